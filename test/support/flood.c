// flood COUNT [PER_SECOND]: sends COUNT UDP datagrams over loopback as fast as it goes, or so many a second in bursts 10 ms
// apart; each to a port and address of its own, so that each is a connection of its own, too: 127.1.0.1 and up, ports from
// 1024. Nobody need listen there. SIGTERM ends it early. Paced, it prints the longest time between two bursts in ms.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define BATCH 64
#define PORTS 60000
#define BURSTS 100

static volatile sig_atomic_t over;
static void end(int signal) { over = signal; }

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  if (argc < 2 || argc > 3) errx(2, "flood COUNT [PER_SECOND]");
  long count = atol(argv[1]);
  long burst = argc == 3 ? atol(argv[2]) / BURSTS : count;
  signal(SIGTERM, end);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in self = {.sin_family = AF_INET, .sin_port = htons(5000)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&self, sizeof self) < 0) err(1, "socket");
  struct sockaddr_in to[BATCH];
  struct iovec text = {"flood", 5};
  struct mmsghdr messages[BATCH] = {0};
  double began = now(), last = began, longest = 0;
  for (long sent = 0, due = burst; sent < count && !over;) {
    long left = (due < count ? due : count) - sent;
    int size = left < BATCH ? (int)left : BATCH;
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
    if (sent < due || sent >= count) continue;
    double wait = began + (double)due / (double)burst * (1e3 / BURSTS) - now();
    if (wait > 0) nanosleep(&(struct timespec){.tv_nsec = (long)(wait * 1e6)}, NULL);
    if (now() - last > longest) longest = now() - last;
    last = now();
    due += burst;
  }
  if (argc == 3) printf("%.1f\n", longest);
  return 0;
}
