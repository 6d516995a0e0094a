// A netlink socket for JavaScript: opened in any network namespace, read in batches, watched by libuv.
// Nothing here looks inside a message.
#ifndef FLOWLOGD_H
#define FLOWLOGD_H

#include <errno.h>
#include <linux/netlink.h>
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

// In lengths[]: the datagram was longer than its slot.
#define CUT_SHORT 0x80000000u

// Lives until both its JavaScript object (finalized) and its uv handle (poll_open) are gone: see watch.c.
struct netlink_socket {
  napi_env env;
  napi_ref self; // weak; strong while watching, so that a watched socket is not collected
  int fd;        // -1 once closed
  uint32_t port_id;

  unsigned slot_count; // 0 until attached
  struct mmsghdr *headers;
  struct iovec *slots;
  uint32_t *lengths;
  napi_ref memory;       // keep alive what the
  napi_ref lengths_view; // pointers above point into

  uv_poll_t poll;
  bool poll_open;
  bool finalized;
  bool unreferenced;
  napi_ref callback;
  napi_async_context context;
  napi_async_cleanup_hook_handle exit_hook;
};

// error.c: each throws into JavaScript; the functions that return a napi_value return NULL, to be returned at once.
napi_value throw_errno(napi_env env, const char *syscall, int error);
napi_value throw_type(napi_env env, const char *message);
bool integer_argument(napi_env env, napi_value value, int64_t least, int64_t most, int64_t *result);
// The socket of a method call and its arguments (missing ones are undefined); NULL after throwing, also when it is closed.
struct netlink_socket *open_socket_of(napi_env env, napi_callback_info info, size_t count, napi_value *arguments);
// The same, open or closed.
struct netlink_socket *socket_of(napi_env env, napi_callback_info info, size_t count, napi_value *arguments);

napi_value new_socket(napi_env env, napi_callback_info info);
napi_value get_port_id(napi_env env, napi_callback_info info);

napi_value join_group(napi_env env, napi_callback_info info);
napi_value leave_group(napi_env env, napi_callback_info info);
napi_value set_option(napi_env env, napi_callback_info info);
napi_value set_receive_buffer(napi_env env, napi_callback_info info);
napi_value get_receive_buffer(napi_env env, napi_callback_info info);
napi_value get_drops(napi_env env, napi_callback_info info);
napi_value get_queued(napi_env env, napi_callback_info info);

napi_value send_bytes(napi_env env, napi_callback_info info);
napi_value attach(napi_env env, napi_callback_info info);
napi_value receive(napi_env env, napi_callback_info info);
napi_value wait_readable(napi_env env, napi_callback_info info);
void detach(struct netlink_socket *s);

napi_value watch(napi_env env, napi_callback_info info);
napi_value unwatch(napi_env env, napi_callback_info info);
napi_value ref_loop(napi_env env, napi_callback_info info);
napi_value unref_loop(napi_env env, napi_callback_info info);
napi_value close_socket(napi_env env, napi_callback_info info);
void finalize_socket(napi_env env, void *data, void *hint);

// datagram.c: the length of the address of a unix socket, whose name is abstract when it begins with @; 0 when it is too long.
socklen_t unix_address(struct sockaddr_un *address, const char *path, size_t length);
napi_value connect_datagram(napi_env env, napi_callback_info info);
napi_value send_lines(napi_env env, napi_callback_info info);
napi_value notify(napi_env env, napi_callback_info info);
napi_value lock_file(napi_env env, napi_callback_info info);
napi_value local_offset(napi_env env, napi_callback_info info);
napi_value clock_synchronized(napi_env env, napi_callback_info info);
napi_value keep_capabilities(napi_env env, napi_callback_info info);
napi_value limit_capabilities(napi_env env, napi_callback_info info);

#endif
