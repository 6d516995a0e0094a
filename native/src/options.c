// Socket options: groups, buffer size, netlink switches, the kernel's drop counter.
#include "flowlogd.h"

#include <limits.h>
#include <linux/sock_diag.h>

static napi_value set_netlink(napi_env env, int fd, int option, int64_t value) {
  int number = (int)value;
  if (setsockopt(fd, SOL_NETLINK, option, &number, sizeof number) < 0) throw_errno(env, "setsockopt", errno);
  return NULL;
}

static napi_value change_membership(napi_env env, napi_callback_info info, int option) {
  napi_value argument;
  int64_t group;
  struct netlink_socket *s = open_socket_of(env, info, 1, &argument);
  if (s == NULL || !integer_argument(env, argument, 1, INT_MAX, &group)) return NULL;
  return set_netlink(env, s->fd, option, group);
}

napi_value join_group(napi_env env, napi_callback_info info) {
  return change_membership(env, info, NETLINK_ADD_MEMBERSHIP);
}

napi_value leave_group(napi_env env, napi_callback_info info) {
  return change_membership(env, info, NETLINK_DROP_MEMBERSHIP);
}

napi_value set_option(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  int64_t option, value;
  struct netlink_socket *s = open_socket_of(env, info, 2, arguments);
  if (s == NULL || !integer_argument(env, arguments[0], 0, INT_MAX, &option) ||
      !integer_argument(env, arguments[1], INT_MIN, INT_MAX, &value))
    return NULL;
  return set_netlink(env, s->fd, (int)option, value);
}

// The kernel doubles what it is asked for and reports the double (socket(7), SO_RCVBUF).
static napi_value obtained_buffer(napi_env env, int fd) {
  napi_value result = NULL;
  int doubled;
  socklen_t size = sizeof doubled;
  if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &size) < 0) return throw_errno(env, "getsockopt", errno);
  napi_create_int32(env, doubled / 2, &result);
  return result;
}

napi_value set_receive_buffer(napi_env env, napi_callback_info info) {
  napi_value argument;
  int64_t asked;
  struct netlink_socket *s = open_socket_of(env, info, 1, &argument);
  if (s == NULL || !integer_argument(env, argument, 0, INT_MAX / 2, &asked)) return NULL;
  int bytes = (int)asked;
  // Without CAP_NET_ADMIN the kernel grants up to net.core.rmem_max.
  if (setsockopt(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0 &&
      (errno != EPERM || setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0))
    return throw_errno(env, "setsockopt", errno);
  return obtained_buffer(env, s->fd);
}

napi_value get_receive_buffer(napi_env env, napi_callback_info info) {
  struct netlink_socket *s = open_socket_of(env, info, 0, NULL);
  return s == NULL ? NULL : obtained_buffer(env, s->fd);
}

// /proc/net/netlink shows the same numbers, but only of the reader's own namespace.
static napi_value memory_number(napi_env env, napi_callback_info info, int which, uint32_t divisor) {
  napi_value result = NULL;
  uint32_t memory[SK_MEMINFO_VARS] = {0};
  socklen_t size = sizeof memory;
  struct netlink_socket *s = open_socket_of(env, info, 0, NULL);
  if (s == NULL) return NULL;
  if (getsockopt(s->fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0) return throw_errno(env, "getsockopt", errno);
  napi_create_uint32(env, memory[which] / divisor, &result);
  return result;
}

napi_value get_drops(napi_env env, napi_callback_info info) {
  return memory_number(env, info, SK_MEMINFO_DROPS, 1);
}

// Halved as obtained_buffer halves the limit that it counts against.
napi_value get_queued(napi_env env, napi_callback_info info) {
  return memory_number(env, info, SK_MEMINFO_RMEM_ALLOC, 2);
}
