// new Socket(protocol, namespacePath?)
#include "flowlogd.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_here(int protocol) {
  return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}

// A socket belongs for life to the namespace that its thread was in when it was made: go there, make it, come back.
// Returns the socket, or -1 with errno and the call that failed.
static int open_there(int protocol, const char *path, const char **failed) {
  *failed = "open";
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) return -1;
  int there = open(path, O_RDONLY | O_CLOEXEC);
  int fd = -1, error = errno;
  if (there >= 0) {
    *failed = "setns";
    if (setns(there, CLONE_NEWNET) == 0) {
      *failed = "socket";
      fd = open_here(protocol);
      error = errno;
      if (setns(home, CLONE_NEWNET) < 0)
        napi_fatal_error("flowlogd setns", NAPI_AUTO_LENGTH,
                         "this thread cannot return to its own network namespace", NAPI_AUTO_LENGTH);
    } else {
      error = errno;
    }
    close(there);
  }
  close(home);
  errno = error;
  return fd;
}

// Reads a path; false after throwing.
static bool path_argument(napi_env env, napi_value value, char path[PATH_MAX]) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    throw_type(env, "namespacePath: expected a string");
    return false;
  }
  if (length >= PATH_MAX) {
    throw_errno(env, "open", ENAMETOOLONG);
    return false;
  }
  napi_get_value_string_utf8(env, value, path, PATH_MAX, &length);
  if (strlen(path) == length) return true;
  throw_type(env, "namespacePath: contains a NUL byte");
  return false;
}

napi_value new_socket(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2], self, target;
  int64_t protocol;
  char path[PATH_MAX];
  napi_valuetype type;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok ||
      napi_get_new_target(env, info, &target) != napi_ok || target == NULL)
    return throw_type(env, "Socket needs new");
  if (!integer_argument(env, arguments[0], 0, MAX_LINKS - 1, &protocol)) return NULL;
  napi_typeof(env, arguments[1], &type);
  if (type != napi_undefined && !path_argument(env, arguments[1], path)) return NULL;

  const char *failed = "socket";
  int fd = type == napi_undefined ? open_here((int)protocol) : open_there((int)protocol, path, &failed);
  if (fd < 0) return throw_errno(env, failed, errno);

  // Port 0 asks the kernel to choose; its choice is what it sends unicast messages to.
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  // Any process may send to that port. A socket that is connected takes what its peer sends alone (netlink_getsockbyportid):
  // here the kernel, whose port is 0. Asking recvmmsg() for each sender instead takes a tenth more of its time.
  const struct sockaddr_nl kernel = address;
  socklen_t size = sizeof address;
  failed = "bind";
  int error = 0;
  if (bind(fd, (struct sockaddr *)&address, size) < 0) {
    error = errno;
  } else if (getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
    failed = "getsockname";
    error = errno;
  } else if (connect(fd, (const struct sockaddr *)&kernel, sizeof kernel) < 0) {
    failed = "connect";
    error = errno;
  }
  struct netlink_socket *s = error ? NULL : calloc(1, sizeof *s);
  if (s == NULL) {
    close(fd);
    return throw_errno(env, failed, error ? error : ENOMEM);
  }
  s->env = env;
  s->fd = fd;
  s->port_id = address.nl_pid;
  if (napi_create_reference(env, self, 0, &s->self) != napi_ok ||
      napi_wrap(env, self, s, finalize_socket, NULL, NULL) != napi_ok) {
    finalize_socket(env, s, NULL);
    return throw_type(env, "this object cannot become a netlink socket");
  }
  return self;
}

napi_value get_port_id(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  struct netlink_socket *s = socket_of(env, info, 0, NULL);
  if (s != NULL) napi_create_uint32(env, s->port_id, &result);
  return result;
}
