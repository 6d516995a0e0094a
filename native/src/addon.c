// What JavaScript sees: { Socket, connectDatagram, sendLines, notify, lockFile, localOffset, clockSynchronized, keepCapabilities, limitCapabilities }. src/system/native.ts documents each.
#include "flowlogd.h"

#define METHOD(name, function) {name, NULL, function, NULL, NULL, NULL, napi_default_method, NULL}
#define GETTER(name, function) {name, NULL, NULL, function, NULL, NULL, napi_enumerable, NULL}

static const napi_property_descriptor members[] = {
  GETTER("portId", get_port_id),
  GETTER("receiveBuffer", get_receive_buffer),
  METHOD("join", join_group),
  METHOD("leave", leave_group),
  METHOD("setOption", set_option),
  METHOD("setReceiveBuffer", set_receive_buffer),
  METHOD("drops", get_drops),
  METHOD("queued", get_queued),
  METHOD("send", send_bytes),
  METHOD("attach", attach),
  METHOD("receive", receive),
  METHOD("wait", wait_readable),
  METHOD("watch", watch),
  METHOD("unwatch", unwatch),
  METHOD("ref", ref_loop),
  METHOD("unref", unref_loop),
  METHOD("close", close_socket),
};

NAPI_MODULE_INIT() {
  napi_value class, function;
  size_t count = sizeof members / sizeof *members;
  if (napi_define_class(env, "Socket", NAPI_AUTO_LENGTH, new_socket, NULL, count, members, &class) != napi_ok ||
      napi_set_named_property(env, exports, "Socket", class) != napi_ok ||
      napi_create_function(env, "connectDatagram", NAPI_AUTO_LENGTH, connect_datagram, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "connectDatagram", function) != napi_ok ||
      napi_create_function(env, "sendLines", NAPI_AUTO_LENGTH, send_lines, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "sendLines", function) != napi_ok ||
      napi_create_function(env, "notify", NAPI_AUTO_LENGTH, notify, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "notify", function) != napi_ok ||
      napi_create_function(env, "lockFile", NAPI_AUTO_LENGTH, lock_file, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "lockFile", function) != napi_ok ||
      napi_create_function(env, "localOffset", NAPI_AUTO_LENGTH, local_offset, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "localOffset", function) != napi_ok ||
      napi_create_function(env, "clockSynchronized", NAPI_AUTO_LENGTH, clock_synchronized, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "clockSynchronized", function) != napi_ok ||
      napi_create_function(env, "keepCapabilities", NAPI_AUTO_LENGTH, keep_capabilities, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "keepCapabilities", function) != napi_ok ||
      napi_create_function(env, "limitCapabilities", NAPI_AUTO_LENGTH, limit_capabilities, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "limitCapabilities", function) != napi_ok)
    return NULL;
  return exports;
}
