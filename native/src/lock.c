// lockFile(fd): fcntl(2) locks, which ulogd's pid file has too; Node has none.
#include "flowlogd.h"

#include <fcntl.h>

// The process that holds a lock on the file, 0 when it is now ours, or -1.
static pid_t lock_or_holder(int fd) {
  for (;;) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &lock) == 0) return 0;
    if (errno != EACCES && errno != EAGAIN) return -1;
    if (fcntl(fd, F_GETLK, &lock) < 0) return -1;
    if (lock.l_type != F_UNLCK) return lock.l_pid; // else it was let go meanwhile
  }
}

napi_value lock_file(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result = NULL;
  int64_t fd;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok) return NULL;
  if (!integer_argument(env, argument, 0, INT32_MAX, &fd)) return NULL;
  pid_t holder = lock_or_holder((int)fd);
  if (holder < 0) return throw_errno(env, "fcntl", errno);
  napi_create_int32(env, holder, &result);
  return result;
}
