// Readiness from libuv, and the end of a socket's life.
//
// libuv closes a handle later, in a turn of its loop, and must be left alone until then. So the memory of a socket is
// freed by whichever comes last: the collection of its JavaScript object, or the end of its uv handle.
#include "flowlogd.h"

#include <stdlib.h>
#include <unistd.h>

static void on_readable(uv_poll_t *poll, int status, int events) {
  (void)events;
  struct netlink_socket *s = poll->data;
  napi_env env = s->env;
  napi_handle_scope scope;
  napi_value self, callback, argument;
  // An overrun shows as POLLERR, for which libuv stops the handle (uv__poll_io). We want to hear of what follows it, too.
  if (status < 0) uv_poll_start(poll, UV_READABLE, on_readable);
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  if (napi_get_reference_value(env, s->self, &self) == napi_ok &&
      napi_get_reference_value(env, s->callback, &callback) == napi_ok &&
      napi_create_int32(env, status, &argument) == napi_ok &&
      napi_make_callback(env, s->context, self, callback, 1, &argument, NULL) != napi_ok) {
    // Nobody above us on the stack would see what the callback threw: make it an 'uncaughtException'.
    bool thrown = false;
    napi_value exception;
    if (napi_is_exception_pending(env, &thrown) == napi_ok && thrown &&
        napi_get_and_clear_last_exception(env, &exception) == napi_ok)
      napi_fatal_exception(env, exception);
  }
  napi_close_handle_scope(env, scope);
}

static void on_closed(uv_handle_t *handle) {
  struct netlink_socket *s = handle->data;
  s->poll_open = false;
  napi_remove_async_cleanup_hook(s->exit_hook); // at the end of a thread this is what the thread waits for
  if (s->finalized) free(s);
}

static void forget_callback(struct netlink_socket *s) {
  if (s->callback == NULL) return;
  napi_delete_reference(s->env, s->callback);
  napi_async_destroy(s->env, s->context);
  s->callback = NULL;
  s->context = NULL;
}

static void shut(struct netlink_socket *s) {
  if (s->fd < 0) return;
  forget_callback(s);
  detach(s);
  if (s->self != NULL) napi_delete_reference(s->env, s->self);
  s->self = NULL;
  if (s->poll_open) uv_close((uv_handle_t *)&s->poll, on_closed);
  close(s->fd); // libuv allows it right after uv_close()
  s->fd = -1;
}

// A worker thread that ends with an open handle in its loop aborts the process: close it first.
static void on_thread_exit(napi_async_cleanup_hook_handle hook, void *data) {
  (void)hook;
  shut(data);
}

void finalize_socket(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  struct netlink_socket *s = data;
  shut(s);
  s->finalized = true;
  if (!s->poll_open) free(s);
}

static bool open_poll(napi_env env, struct netlink_socket *s) {
  if (s->poll_open) return true;
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  int status = uv_poll_init(loop, &s->poll, s->fd);
  if (status < 0) {
    throw_errno(env, "uv_poll_init", -status);
    return false;
  }
  s->poll.data = s;
  s->poll_open = true;
  if (s->unreferenced) uv_unref((uv_handle_t *)&s->poll);
  napi_add_async_cleanup_hook(env, on_thread_exit, s, &s->exit_hook);
  return true;
}

napi_value watch(napi_env env, napi_callback_info info) {
  napi_value callback, self, name;
  napi_valuetype type;
  struct netlink_socket *s = open_socket_of(env, info, 1, &callback);
  if (s == NULL) return NULL;
  napi_typeof(env, callback, &type);
  if (type != napi_function) return throw_type(env, "expected a function");
  if (!open_poll(env, s)) return NULL;
  if (s->callback == NULL) {
    napi_get_reference_value(env, s->self, &self);
    napi_create_string_utf8(env, "NETLINKSOCKET", NAPI_AUTO_LENGTH, &name);
    if (napi_async_init(env, self, name, &s->context) != napi_ok) return throw_errno(env, "watch", ENOMEM);
    napi_reference_ref(env, s->self, NULL);
  } else {
    napi_delete_reference(env, s->callback);
  }
  napi_create_reference(env, callback, 1, &s->callback);
  int status = uv_poll_start(&s->poll, UV_READABLE, on_readable);
  return status < 0 ? throw_errno(env, "uv_poll_start", -status) : NULL;
}

napi_value unwatch(napi_env env, napi_callback_info info) {
  struct netlink_socket *s = socket_of(env, info, 0, NULL);
  if (s == NULL || s->callback == NULL) return NULL;
  uv_poll_stop(&s->poll);
  forget_callback(s);
  napi_reference_unref(env, s->self, NULL);
  return NULL;
}

static napi_value change_reference(napi_env env, napi_callback_info info, bool unreferenced) {
  struct netlink_socket *s = socket_of(env, info, 0, NULL);
  if (s == NULL) return NULL;
  s->unreferenced = unreferenced;
  if (s->poll_open) (unreferenced ? uv_unref : uv_ref)((uv_handle_t *)&s->poll);
  return NULL;
}

napi_value ref_loop(napi_env env, napi_callback_info info) { return change_reference(env, info, false); }

napi_value unref_loop(napi_env env, napi_callback_info info) { return change_reference(env, info, true); }

napi_value close_socket(napi_env env, napi_callback_info info) {
  struct netlink_socket *s = socket_of(env, info, 0, NULL);
  if (s != NULL) shut(s);
  return NULL;
}
