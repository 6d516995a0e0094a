// flood COUNT: sends COUNT UDP datagrams over loopback as fast as it goes, each to a port and address of its own, so that
// each is a connection of its own, too: 127.1.0.1 and up, ports from 1024. Nobody need listen there.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64
#define PORTS 60000

int main(int argc, char **argv) {
  if (argc != 2) errx(2, "flood COUNT");
  long count = atol(argv[1]);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in self = {.sin_family = AF_INET, .sin_port = htons(5000)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) < 0) err(1, "socket");
  struct sockaddr_in to[BATCH];
  struct iovec text = {"flood", 5};
  struct mmsghdr messages[BATCH] = {0};
  for (long sent = 0; sent < count;) {
    int size = count - sent < BATCH ? (int)(count - sent) : BATCH;
    for (int i = 0; i < size; i++) {
      long n = sent + i;
      to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)(1024 + n % PORTS))};
      to[i].sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)(n / PORTS));
      messages[i].msg_hdr = (struct msghdr){.msg_name = &to[i], .msg_namelen = sizeof to[i], .msg_iov = &text, .msg_iovlen = 1};
    }
    int done = sendmmsg(fd, messages, (unsigned)size, 0);
    // A port that nobody listens on answers, and its answer is reported by the next call: not an error of that one.
    if (done < 0 && errno != ECONNREFUSED && errno != ENOBUFS) err(1, "sendmmsg");
    if (done > 0) sent += done;
  }
  return 0;
}
