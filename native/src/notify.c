// notify(path, text): sd_notify(3), for which Node has no datagram sockets of the unix family.
#include "flowlogd.h"

#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static bool notify_now(const char *path, size_t path_length, const char *text, size_t length) {
  struct sockaddr_un address;
  socklen_t size = unix_address(&address, path, path_length);
  if (size == 0) return false;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  // A full queue means a busy service manager: worth a moment's wait, not worth ours for ever.
  const struct timeval second = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
  ssize_t sent = sendto(fd, text, length, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
  close(fd);
  return sent == (ssize_t)length;
}

napi_value notify(napi_env env, napi_callback_info info) {
  size_t count = 2, path_length, length;
  napi_value arguments[2], result = NULL;
  char path[256], text[4096];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok ||
      napi_get_value_string_utf8(env, arguments[0], path, sizeof path, &path_length) != napi_ok ||
      napi_get_value_string_utf8(env, arguments[1], text, sizeof text, &length) != napi_ok)
    return throw_type(env, "expected a path and a text");
  napi_get_boolean(env, notify_now(path, path_length, text, length), &result);
  return result;
}
