#include "flowlogd.h"

#include <stdio.h>
#include <string.h>

// An Error as Node's own: code 'EPERM', errno −1, syscall 'setns'.
napi_value throw_errno(napi_env env, const char *syscall, int error) {
  char name[32], text[192];
  napi_value code, message, number, call, object;
  uv_err_name_r(-error, name, sizeof name);
  snprintf(text, sizeof text, "%s: %s, %s", syscall, name, strerror(error));
  if (napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code) == napi_ok &&
      napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) == napi_ok &&
      napi_create_string_utf8(env, syscall, NAPI_AUTO_LENGTH, &call) == napi_ok &&
      napi_create_int32(env, -error, &number) == napi_ok &&
      napi_create_error(env, code, message, &object) == napi_ok &&
      napi_set_named_property(env, object, "errno", number) == napi_ok &&
      napi_set_named_property(env, object, "syscall", call) == napi_ok)
    napi_throw(env, object);
  return NULL;
}

napi_value throw_type(napi_env env, const char *message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return NULL;
}

bool integer_argument(napi_env env, napi_value value, int64_t least, int64_t most, int64_t *result) {
  if (napi_get_value_int64(env, value, result) != napi_ok) {
    throw_type(env, "expected a number");
    return false;
  }
  if (*result >= least && *result <= most) return true;
  char text[96];
  snprintf(text, sizeof text, "%lld is not within %lld–%lld", (long long)*result, (long long)least, (long long)most);
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", text);
  return false;
}

struct netlink_socket *socket_of(napi_env env, napi_callback_info info, size_t count, napi_value *arguments) {
  napi_value self;
  void *data;
  if (napi_get_cb_info(env, info, &count, arguments, &self, NULL) != napi_ok || napi_unwrap(env, self, &data) != napi_ok) {
    throw_type(env, "not a netlink socket");
    return NULL;
  }
  return data;
}

struct netlink_socket *open_socket_of(napi_env env, napi_callback_info info, size_t count, napi_value *arguments) {
  struct netlink_socket *s = socket_of(env, info, count, arguments);
  if (s == NULL || s->fd >= 0) return s;
  throw_errno(env, "netlink socket is closed", EBADF);
  return NULL;
}
