#!/bin/bash
# file-outputs.sh OUTPUT...: CPU per event of ulogd2 over that of flowlogd for each file output, both at once on the same kernel events,
# and of tcpdump beside PCAP. As root, on a quiet machine. N=events RATE=per second; needs Debian's ulogd2 and its plugins, tcpdump, rsyslog.
set -u
# A /dev of its own, for the log of SYSLOG: ulogd2 knows no other place.
[ -n "${UNSHARED:-}" ] || UNSHARED=1 exec unshare -m --propagation private "$0" "$@"
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
N=${N:-200000} RATE=${RATE:-40000}
PLUGINS=$(dirname "$(find /usr/lib -name ulogd_inppkt_NFLOG.so | head -1)")
NS=fl-files-$$ W=$(mktemp -d)
in_ns() { ip netns exec $NS "$@"; }
lab_down() {
  local p
  for p in $(ip netns pids $NS 2>/dev/null) ${LOGGER:-}; do kill "$p" 2>/dev/null; done
  ip netns del $NS 2>/dev/null
  rm -rf "$W"
}
trap lab_down EXIT
ip netns add $NS && ip -n $NS link set lo up
gcc -O2 -o "$W/paced" -xc - <<'C' || exit 1
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
// paced COUNT RATE: UDP datagrams of 64 bytes over loopback, so many a second, each a connection of its own.
int main(int argc, char **argv) {
  long count = atol(argv[1]), rate = atol(argv[2]);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in to = {.sin_family = AF_INET};
  char text[64] = "bench";
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (long i = 0; i < count; i++) {
    to.sin_port = htons(1024 + i % 60000);
    to.sin_addr.s_addr = htonl(0x7f010001 + i / 60000);
    sendto(fd, text, sizeof text, 0, (struct sockaddr *)&to, sizeof to);
    if (i % 100) continue;
    next.tv_nsec += 100000000000L / rate;
    while (next.tv_nsec >= 1000000000L) next.tv_nsec -= 1000000000L, next.tv_sec++;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, 0);
  }
}
C
in_ns iptables -A INPUT -p udp -j DROP
for group in 40 41 42; do in_ns iptables -A OUTPUT -p udp -j NFLOG --nflog-group $group --nflog-prefix 'bench '; done

in_ns sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1

# A rsyslogd on /dev/log that writes nothing.
logger() {
  mkdir -p "$W/dev"
  mount -t tmpfs tmpfs "$W/dev"
  local node
  for node in null zero full random urandom tty; do touch "$W/dev/$node" && mount --bind /dev/$node "$W/dev/$node"; done
  mount --move "$W/dev" /dev
  printf 'module(load="imuxsock" SysSock.Name="/dev/log" SysSock.RateLimit.Interval="0")\ninput(type="imuxsock" Socket="/dev/log2" RateLimit.Interval="0")\n*.* action(type="omfile" file="%s/messages")\n' "$W" >"$W/rsyslog.conf"
  in_ns sysctl -qw net.unix.max_dgram_qlen=${QLEN:-512}
  in_ns rsyslogd -n -f "$W/rsyslog.conf" -i "$W/rsyslog.pid" &
  LOGGER=$!
  while [ ! -S /dev/log2 ]; do sleep 0.1; done
}
# Conntrack alone is what NACCT reads; packets cost less without it.
tracking() {
  in_ns iptables -t raw -F
  [ "$1" = NACCT ] || in_ns iptables -t raw -A OUTPUT -p udp -j NOTRACK
  in_ns iptables -F OUTPUT
  [ "$1" = NACCT ] && in_ns iptables -A OUTPUT -p udp -m conntrack --ctstate NEW -j ACCEPT && return
  for group in 40 41 42; do in_ns iptables -A OUTPUT -p udp -j NFLOG --nflog-group $group --nflog-prefix 'bench '; done
}

# CPU seconds of a process and all its threads, by the scheduler.
cpu() { cat /proc/"$1"/task/*/schedstat | awk '{s += $1} END {printf "%.6f", s / 1e9}'; }
# The stack of an output.
stack() {
  case $1 in
    LOGEMU | SYSLOG) echo "log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,out1:$1" ;;
    GPRINT | OPRINT) echo "log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,out1:$1" ;;
    JSON) echo "log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,out1:JSON" ;;
    PCAP) echo "log1:NFLOG,base1:BASE,out1:PCAP" ;;
    XML) echo "log1:NFLOG,out1:XML" ;;
    NACCT) echo "ct1:NFCT,ip2str1:IP2STR,out1:NACCT" ;;
  esac
}
# conf NAME GROUP OUTPUT: a configuration that both read.
conf() {
  mkdir -p "$W/$1"
  {
    printf '[global]\nlogfile="%s"\nloglevel=7\n' "$W/$1.log"
    [ "$1" = our ] && echo 'compat="ulogd-2.0.8"'
    for so in "$PLUGINS"/*.so; do case $so in *DBI* | *SQL* | *GRAPHITE* | *IPFIX*) ;; *) echo "plugin=\"$so\"" ;; esac; done
    echo "stack=$(stack "$3")"
    printf '[log1]\ngroup=%s\nnetlink_socket_buffer_size=67108864\nnetlink_socket_buffer_maxsize=134217728\n' "$2"
    printf '[ct1]\nhash_enable=0\nevent_mask=5\nnetlink_socket_buffer_size=67108864\nnetlink_socket_buffer_maxsize=134217728\n'
    echo '[out1]'
    case $3 in XML) echo "directory=\"$W/$1/\"" ;; SYSLOG) [ "$1" = our ] && echo 'socket=/dev/log2' ;; *) echo "file=\"$W/$1/out\"" ;; esac
  } >"$W/$1.conf"
}
run() {
  local output=$1 pids=() names=() before=() events=$N i p
  rm -rf "$W/ref" "$W/our" "$W/dump"
  tracking "$output"
  [ "$output" = SYSLOG ] && logger
  conf ref 40 "$output"
  conf our 41 "$output"
  [ -n "$FLOWLOGD_ONLY" ] || { ip netns exec $NS ulogd -c "$W/ref.conf" & names+=(ulogd2); pids+=($!); }
  ip netns exec $NS node dist/main.js -c "$W/our.conf" 2>"$W/our.err" & names+=(flowlogd); pids+=($!)
  if [ "$output" = PCAP ]; then ip netns exec $NS tcpdump -i nflog:42 -B 65536 -w "$W/dump" 2>/dev/null & names+=(tcpdump); pids+=($!); fi
  sleep 3
  in_ns "$W/paced" 20000 20000
  [ "$output" = NACCT ] && in_ns conntrack -F 2>/dev/null
  sleep 2 # all are warm
  for i in "${!pids[@]}"; do before[i]=$(cpu "${pids[i]}"); done
  in_ns "$W/paced" "$N" "$RATE"
  [ "$output" = NACCT ] && in_ns conntrack -F 2>/dev/null
  sleep 3
  # Of each connection, begin and end are events.
  [ "$output" = NACCT ] && events=$((2 * N))
  for i in "${!pids[@]}"; do
    p=${pids[i]}
    awk -v o="$output" -v n="${names[i]}" -v a="${before[i]}" -v b="$(cpu "$p")" -v c="$events" 'BEGIN {printf "%s %s %.2f us\n", o, n, (b - a) * 1e6 / c}'
  done
  kill "${pids[@]}" 2>/dev/null
  wait "${pids[@]}" 2>/dev/null
  [ -s "$W/our.err" ] && head -3 "$W/our.err"
  case $output in
    SYSLOG) echo "  both: $(grep -c 'ulogd\[' "$W/messages") lines" ;;
    PCAP) for i in ref/out our/out dump; do [ -e "$W/$i" ] && echo "  $i: $(tcpdump -nr "$W/$i" 2>/dev/null | wc -l) packets"; done ;;
    *) for i in ref our; do [ -d "$W/$i" ] && echo "  $i: $(cat "$W/$i"/* | wc -l) lines"; done ;;
  esac
}
FLOWLOGD_ONLY=${FLOWLOGD_ONLY:-}
for output in "$@"; do run "$output"; done
