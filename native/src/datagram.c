// connectDatagram(path), sendLines(fd, bytes, from): lines to a datagram socket of the unix family, of which Node has none.
#include "flowlogd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define LINES_AT_ONCE 64

socklen_t unix_address(struct sockaddr_un *address, const char *path, size_t length) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (length == 0 || length >= sizeof address->sun_path) return 0;
  memcpy(address->sun_path, path, length);
  if (path[0] == '@') address->sun_path[0] = '\0'; // the abstract namespace
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

napi_value connect_datagram(napi_env env, napi_callback_info info) {
  size_t count = 1, length;
  napi_value argument, result = NULL;
  char path[256];
  struct sockaddr_un address;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      napi_get_value_string_utf8(env, argument, path, sizeof path, &length) != napi_ok)
    return throw_type(env, "expected a path");
  socklen_t size = unix_address(&address, path, length);
  if (size == 0) return throw_errno(env, "connect", ENAMETOOLONG);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return throw_errno(env, "socket", errno);
  // The send buffer stays at net.core.wmem_default: the kernel wakes a sender whose buffer was full when it is down to a quarter
  // (unix_writable), but one that waits for room in the peer's queue (net.unix.max_dgram_qlen) for each line that is read.
  // A thread that sends looks up once in a while, so that it can be told to end.
  const struct timeval patience = {.tv_usec = 500000};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd, (const struct sockaddr *)&address, size) < 0) {
    int error = errno;
    close(fd);
    return throw_errno(env, "connect", error);
  }
  napi_create_int32(env, fd, &result);
  return result;
}

struct lines {
  int fd;
  const char *bytes;
  size_t length;
  int64_t at; // where the first line begins that was not sent
  int error;  // why it was not, or 0
  napi_ref memory;
  napi_async_work work;
  napi_deferred deferred;
};

static void send_lines_now(napi_env env, void *data) {
  (void)env;
  struct lines *l = data;
  while ((size_t)l->at < l->length) {
    struct iovec parts[LINES_AT_ONCE];
    struct mmsghdr messages[LINES_AT_ONCE];
    unsigned count = 0;
    for (size_t at = (size_t)l->at; at < l->length && count < LINES_AT_ONCE; count++) {
      const char *newline = memchr(l->bytes + at, '\n', l->length - at);
      size_t end = newline == NULL ? l->length : (size_t)(newline - l->bytes) + 1;
      parts[count] = (struct iovec){.iov_base = (char *)l->bytes + at, .iov_len = end - at};
      messages[count] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[count], .msg_iovlen = 1}};
      at = end;
    }
    int sent = sendmmsg(l->fd, messages, count, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      l->error = errno;
      return;
    }
    for (int i = 0; i < sent; i++) l->at += (int64_t)parts[i].iov_len;
  }
}

static void lines_sent(napi_env env, napi_status status, void *data) {
  struct lines *l = data;
  napi_value result, at, error;
  if (status == napi_ok && napi_create_array_with_length(env, 2, &result) == napi_ok &&
      napi_create_int64(env, l->at, &at) == napi_ok && napi_create_int32(env, l->error, &error) == napi_ok) {
    napi_set_element(env, result, 0, at);
    napi_set_element(env, result, 1, error);
    napi_resolve_deferred(env, l->deferred, result);
  }
  napi_delete_async_work(env, l->work);
  napi_delete_reference(env, l->memory);
  free(l);
}

napi_value send_lines(napi_env env, napi_callback_info info) {
  size_t count = 3, length;
  napi_value arguments[3], name, promise = NULL;
  napi_typedarray_type type;
  void *bytes;
  int64_t fd, from;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok ||
      !integer_argument(env, arguments[0], 0, INT32_MAX, &fd))
    return NULL;
  if (napi_get_typedarray_info(env, arguments[1], &type, &length, &bytes, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return throw_type(env, "expected a Uint8Array");
  if (!integer_argument(env, arguments[2], 0, (int64_t)length, &from)) return NULL;
  struct lines *l = calloc(1, sizeof *l);
  if (l == NULL) return throw_errno(env, "sendLines", ENOMEM);
  l->fd = (int)fd;
  l->bytes = bytes;
  l->length = length;
  l->at = from;
  // The memory stays where it is while the reference to it is held.
  if (napi_create_reference(env, arguments[1], 1, &l->memory) != napi_ok ||
      napi_create_string_utf8(env, "sendLines", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, send_lines_now, lines_sent, l, &l->work) != napi_ok ||
      napi_create_promise(env, &l->deferred, &promise) != napi_ok || napi_queue_async_work(env, l->work) != napi_ok) {
    if (l->work != NULL) napi_delete_async_work(env, l->work);
    if (l->memory != NULL) napi_delete_reference(env, l->memory);
    free(l);
    return throw_errno(env, "sendLines", ENOMEM);
  }
  return promise;
}
