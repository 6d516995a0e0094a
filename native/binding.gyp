{
  "targets": [
    {
      "target_name": "flowlogd",
      "sources": ["src/addon.c", "src/error.c", "src/open.c", "src/options.c", "src/receive.c", "src/watch.c", "src/datagram.c", "src/notify.c", "src/lock.c", "src/capabilities.c", "src/local-time.c", "src/clock.c"],
      "defines": ["NAPI_VERSION=8", "_GNU_SOURCE"],
      "cflags_c": ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"]
    }
  ]
}
