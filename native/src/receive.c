// Bytes to and from the kernel.
#include "flowlogd.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>

// recvmmsg() takes no more at once (UIO_MAXIOV).
#define MOST_SLOTS 1024

napi_value send_bytes(napi_env env, napi_callback_info info) {
  napi_value argument;
  napi_typedarray_type type;
  size_t length;
  void *bytes;
  struct netlink_socket *s = open_socket_of(env, info, 1, &argument);
  if (s == NULL) return NULL;
  if (napi_get_typedarray_info(env, argument, &type, &length, &bytes, NULL, NULL) != napi_ok || type != napi_uint8_array)
    return throw_type(env, "expected a Uint8Array");
  const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (sendto(s->fd, bytes, length, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
    throw_errno(env, "sendto", errno);
  return NULL;
}

void detach(struct netlink_socket *s) {
  if (s->memory != NULL) napi_delete_reference(s->env, s->memory);
  if (s->lengths_view != NULL) napi_delete_reference(s->env, s->lengths_view);
  free(s->headers);
  free(s->slots);
  s->memory = s->lengths_view = NULL;
  s->headers = NULL;
  s->slots = NULL;
  s->slot_count = 0;
}

// attach(memory, offset, slotSize, slots, lengths)
napi_value attach(napi_env env, napi_callback_info info) {
  napi_value arguments[5];
  void *memory, *lengths;
  size_t size, lengths_count;
  int64_t offset, slot_size, count;
  napi_typedarray_type type;
  struct netlink_socket *s = open_socket_of(env, info, 5, arguments);
  if (s == NULL) return NULL;
  if (napi_get_arraybuffer_info(env, arguments[0], &memory, &size) != napi_ok)
    return throw_type(env, "memory: expected an ArrayBuffer");
  if (!integer_argument(env, arguments[1], 0, (int64_t)size, &offset) ||
      !integer_argument(env, arguments[2], 1, INT_MAX, &slot_size) ||
      !integer_argument(env, arguments[3], 1, MOST_SLOTS, &count))
    return NULL;
  if (slot_size * count > (int64_t)size - offset) return throw_type(env, "memory: too small for the slots");
  if (napi_get_typedarray_info(env, arguments[4], &type, &lengths_count, &lengths, NULL, NULL) != napi_ok ||
      type != napi_uint32_array || lengths_count < (size_t)count)
    return throw_type(env, "lengths: expected a Uint32Array with an element per slot");

  detach(s);
  s->headers = calloc(count, sizeof *s->headers);
  s->slots = calloc(count, sizeof *s->slots);
  if (s->headers == NULL || s->slots == NULL ||
      napi_create_reference(env, arguments[0], 1, &s->memory) != napi_ok ||
      napi_create_reference(env, arguments[4], 1, &s->lengths_view) != napi_ok) {
    detach(s);
    return throw_errno(env, "attach", ENOMEM);
  }
  for (int64_t i = 0; i < count; i++) {
    s->slots[i] = (struct iovec){.iov_base = (char *)memory + offset + i * slot_size, .iov_len = slot_size};
    s->headers[i].msg_hdr = (struct msghdr){.msg_iov = &s->slots[i], .msg_iovlen = 1};
  }
  s->lengths = lengths;
  s->slot_count = (unsigned)count;
  return NULL;
}

napi_value receive(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  struct netlink_socket *s = open_socket_of(env, info, 0, NULL);
  if (s == NULL) return NULL;
  if (s->slot_count == 0) return throw_type(env, "attach memory first");
  int count = recvmmsg(s->fd, s->headers, s->slot_count, MSG_DONTWAIT, NULL);
  if (count < 0) count = errno == EAGAIN || errno == EINTR ? 0 : -errno;
  for (int i = 0; i < count; i++) {
    const struct mmsghdr *header = &s->headers[i];
    s->lengths[i] = header->msg_len | (header->msg_hdr.msg_flags & MSG_TRUNC ? CUT_SHORT : 0);
  }
  napi_create_int32(env, count, &result);
  return result;
}

// wait(milliseconds): blocks this thread until something can be read; an interrupting signal ends it early.
napi_value wait_readable(napi_env env, napi_callback_info info) {
  napi_value argument, result = NULL;
  int64_t milliseconds;
  struct netlink_socket *s = open_socket_of(env, info, 1, &argument);
  if (s == NULL || !integer_argument(env, argument, 0, INT_MAX, &milliseconds)) return NULL;
  struct pollfd readable = {.fd = s->fd, .events = POLLIN};
  napi_get_boolean(env, poll(&readable, 1, (int)milliseconds) > 0, &result);
  return result;
}
