// clockSynchronized(): what the kernel was told by whoever keeps its time. There is no file in /proc that says so.
#include "flowlogd.h"

#include <sys/timex.h>

napi_value clock_synchronized(napi_env env, napi_callback_info info) {
  (void)info;
  struct timex state = {.modes = 0}; // only reads: no right is needed
  if (adjtimex(&state) < 0) return throw_errno(env, "adjtimex", errno);
  napi_value result = NULL;
  napi_get_boolean(env, (state.status & STA_UNSYNC) == 0, &result);
  return result;
}
