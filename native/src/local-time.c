// localOffset(seconds): where local time stands, by the C library. ICU, which Date asks, does not know POSIX rules in TZ.
#include "flowlogd.h"

#include <time.h>

napi_value local_offset(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result = NULL;
  int64_t seconds;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (!integer_argument(env, argument, 0, INT64_MAX, &seconds)) return NULL;
  time_t time = (time_t)seconds;
  struct tm local;
  tzset();
  if (localtime_r(&time, &local) == NULL) return throw_errno(env, "localtime", errno);
  napi_create_int64(env, local.tm_gmtoff, &result);
  return result;
}
