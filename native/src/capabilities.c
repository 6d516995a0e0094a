// keepCapabilities() and limitCapabilities(mask): what setuid(2) takes, and Node has no call to keep.
#include "flowlogd.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// Both hold for the calling thread alone (capabilities(7)): glibc has setuid() done by every thread, this by one.
napi_value keep_capabilities(napi_env env, napi_callback_info info) {
  (void)info;
  return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? throw_errno(env, "prctl", errno) : NULL;
}

napi_value limit_capabilities(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int64_t mask;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (!integer_argument(env, argument, 0, UINT32_MAX, &mask)) return NULL;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
  if (syscall(SYS_capget, &header, sets) < 0) return throw_errno(env, "capget", errno);
  // Only what we have: asking for more would be refused as a whole.
  sets[0].permitted &= (uint32_t)mask;
  sets[0].effective = sets[0].permitted;
  sets[1].permitted = sets[1].effective = 0;
  sets[0].inheritable = sets[0].permitted;
  sets[1].inheritable = 0;
  if (syscall(SYS_capset, &header, sets) < 0) return throw_errno(env, "capset", errno);
  // A program that we run, such as nft, would have none of them otherwise: it is not root's any more.
  for (unsigned capability = 0; capability < 32; capability++) {
    if ((sets[0].permitted >> capability & 1) == 0) continue;
    // EPERM: who started us has forbidden it (SECBIT_NO_CAP_AMBIENT_RAISE), and we do without such programs.
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0 && errno != EPERM)
      return throw_errno(env, "prctl", errno);
  }
  return NULL;
}
