// Puts frames on a wire: reads [u16 big-endian length][frame] records from stdin and sends each one.
//   inject packet DEVICE [PAUSE_US]   as they are, on an Ethernet device (AF_PACKET, below every hook of the sender)
//   inject tun    DEVICE [PAUSE_US]   IP packets, as if received by a tun device, which has no link-layer header
// Every record goes out from one processor: a veth queues per processor, so the receiver sees them in this order.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_packet(const char *device) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device)};
  int fd = socket(AF_PACKET, SOCK_RAW, 0);  // protocol 0: sends only, queues nothing for itself
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) err(1, "cannot send on %s", device);
  return fd;
}

static int open_tun(const char *device) {
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  int fd = open("/dev/net/tun", O_RDWR);
  strncpy(request.ifr_name, device, IFNAMSIZ - 1);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) err(1, "cannot attach to tun device %s", device);
  return fd;
}

int main(int argc, char **argv) {
  static unsigned char frame[65536];
  unsigned char size[2];
  cpu_set_t one;
  if (argc < 3) errx(2, "usage: inject packet|tun DEVICE [PAUSE_US]");
  useconds_t pause = argc > 3 ? (useconds_t)atoi(argv[3]) : 0;
  CPU_ZERO(&one);
  CPU_SET(0, &one);
  if (sched_setaffinity(0, sizeof one, &one) < 0) err(1, "cannot stay on one processor");
  int fd = strcmp(argv[1], "tun") == 0 ? open_tun(argv[2]) : open_packet(argv[2]);
  for (unsigned long n = 1; fread(size, 1, 2, stdin) == 2; n++) {
    size_t length = (size_t)size[0] << 8 | size[1];
    if (fread(frame, 1, length, stdin) != length) errx(1, "record %lu is cut short", n);
    if (write(fd, frame, length) != (ssize_t)length) err(1, "record %lu (%zu bytes)", n, length);
    if (n % 32 == 0 && pause) usleep(pause);  // the receiver's backlog holds 1000 (net.core.netdev_max_backlog)
  }
  return 0;
}
