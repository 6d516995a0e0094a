// Conntrack events of many kinds, each next to what `conntrack -E` printed for it.
import { until } from '../lab.js';
import { collect, listen, python, request, save } from './listener.js';

/** @typedef {import('./listener.js').Vector} Vector */

// Everything that the client talks to. TCP and UDP answer with what they got.
const SERVER = `
import socket, threading
def tcp(port, greeting=b''):
    l = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True)
    def serve():
        while True:
            c, _ = l.accept()
            c.sendall(greeting)
            try:
                while data := c.recv(999): c.sendall(data)
            except ConnectionError: pass
            c.close()
    threading.Thread(target=serve, daemon=True).start()
def udp(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(('::', port))
    def serve():
        while True:
            data, peer = s.recvfrom(999)
            s.sendto(data, peer)
    threading.Thread(target=serve, daemon=True).start()
for port in (8080, 8443, 8081, 40000): tcp(port)
tcp(21, b'220 ready\\r\\n')
for port in (53, 123, 5353, 5354): udp(port)
print('ready', flush=True)
threading.Event().wait()
`;

// The server sends it back, and the helper expects a connection to port 156 * 256 + 64 = 40000.
const PASSIVE = '227 Entering Passive Mode (10,2,0,2,156,64)\\r\\n';

const TCP = `
import socket, sys
def talk(host, port, source):
    s = socket.create_connection((host, port), source_address=('', source) if source else None)
    s.sendall(b'hello'); s.recv(99); return s
`;

/** What a line of `conntrack -E -o extended,id,timestamp,ktimestamp` says, as test/unit/wire/conntrack.test.ts says it. @param {string} line */
function parseConntrackLine(line) {
  /** @type {Record<string, string | number>[]} */ const tuples = [{}, {}];
  /** @type {Record<string, string | number>} */ const rest = {};
  let tuple = -1;
  for (const [, key, value] of line.matchAll(/([a-z-]+)=(\[?\S+)/g)) {
    if (key === 'src') tuple++;
    const known = tuples[tuple];
    const number = key === 'src' || key === 'dst' || key === 'helper' ? value : Number(value);
    // `id` is the ICMP identifier inside a tuple and the entry's own behind them.
    if (known && /^(src|dst|[sd]port|[sd](rc|st)key|type|code|packets|bytes)$/.test(key)) known[key] = number;
    else if (known && key === 'id' && 'type' in known && !('id' in known)) known.id = number;
    else if (/^(mark|zone|zone-orig|helper|use|id|portid)$/.test(key)) rest[key] = number;
  }
  for (const [, key, date] of line.matchAll(/\[(start|stop)=([^\]]+)\]/g)) rest[key] = Date.parse(`${date} UTC`) / 1000;
  const [, family, protocol, timeout, state] =
    /(ipv[46]) +\d+ +\S+ +(\d+)(?: +(\d+))?(?: +([A-Z][A-Z_0-9]+))? /.exec(line) ?? [];
  return {
    event: /\[(NEW|UPDATE|DESTROY)\]/.exec(line)?.[1] ?? 'UPDATE',
    family: family === 'ipv6' ? 10 : 2,
    protocol: Number(protocol),
    ...(timeout ? { timeout: Number(timeout) } : {}),
    ...(state ? { state } : {}),
    orig: tuples[0],
    reply: tuples[1],
    unreplied: line.includes('[UNREPLIED]'),
    assured: line.includes('[ASSURED]'),
    ...rest,
  };
}

/** @param {import('../lab.js').Lab} lab */
export async function recordConntrack(lab) {
  const [client, router, server] = ['rc', 'rr', 'rs'].map((name) => lab.namespace(name));
  lab.cable([client, 'c0'], [router, 'r0']);
  lab.cable([server, 's0'], [router, 'r1']);
  lab.sh(`ip -n ${client} address add 10.1.0.2/24 dev c0; ip -n ${client} address add fd01::2/64 dev c0 nodad
    ip -n ${router} address add 10.1.0.1/24 dev r0; ip -n ${router} address add fd01::1/64 dev r0 nodad
    ip -n ${router} address add 10.2.0.1/24 dev r1; ip -n ${router} address add fd02::1/64 dev r1 nodad
    ip -n ${server} address add 10.2.0.2/24 dev s0; ip -n ${server} address add fd02::2/64 dev s0 nodad
    for n in ${client}:1 ${server}:2; do
      ip -n \${n%:*} route add default via 10.\${n#*:}.0.1; ip -n \${n%:*} route add default via fd0\${n#*:}::1
    done`);
  lab.sh(
    `sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.netfilter.nf_conntrack_acct=1
    sysctl -qw net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_checksum=0
    sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0
    nft -f - <<'NFT'
table inet t {
  ct helper ftp-standard { type "ftp" protocol tcp; }
  chain first { type filter hook prerouting priority raw
    meta l4proto udp th dport 5353 ct original zone set 7
    meta l4proto udp th dport 5354 ct zone set 9
    ip protocol tcp tcp dport 8081 tcp flags syn notrack
  }
  chain mangle { type filter hook forward priority mangle
    udp dport 53 ct mark set 0xdeadbeef
    udp dport 123 ct label set 5
    tcp dport 21 ct helper set "ftp-standard"
  }
  chain filter { type filter hook forward priority filter
    ip protocol tcp tcp dport 8081 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
    ip protocol tcp tcp dport 8081 ct state invalid drop
  }
  chain destinations { type nat hook prerouting priority dstnat
    ip daddr 10.1.0.1 tcp dport 80 dnat ip to 10.2.0.2:8080
    ip6 daddr fd01::1 udp dport 53 dnat ip6 to [fd02::2]:53
  }
  chain sources { type nat hook postrouting priority srcnat
    ip daddr 10.2.0.2 tcp dport 8443 masquerade random
  }
}
NFT`,
    router,
  );
  const ready = await collect(lab, ['python3', '-c', SERVER], server);
  await until('the server to be ready', () => ready.lines.length === 1);

  const listener = await listen(lab, router, 12, { groups: [1, 2, 3] });
  const oracle = await collect(
    lab,
    ['stdbuf', '-oL', 'conntrack', '-E', '-o', 'extended,id,timestamp,ktimestamp'],
    router,
  );
  const subscribed = () => lab.sh('cat /proc/net/netlink', router).match(/ 12 +\d+ +00000007 /g)?.length === 2;
  await until('conntrack -E to listen', subscribed);

  const connect = (/** @type {string} */ host, /** @type {number} */ port, source = 0) =>
    `${TCP}\ntalk('${host}', ${port}, ${source}).close()`;
  const ask = (/** @type {string} */ host, /** @type {number} */ port, family = 'AF_INET') =>
    `import socket\ns = socket.socket(socket.${family}, socket.SOCK_DGRAM)\ns.connect(('${host}', ${port})); s.settimeout(5); s.send(b'hi'); s.recv(9)`;
  const raw = (/** @type {number} */ protocol, /** @type {string} */ hex) =>
    `import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_RAW, ${protocol})\ns.sendto(bytes.fromhex('${hex}'), ('10.2.0.2', 0))`;

  /** @type {[name: string, traffic: () => unknown][]} */
  const steps = [
    ['tcp', () => python(lab, connect('10.2.0.2', 8080, 44000), client)],
    ['tcp over IPv6', () => python(lab, connect('fd02::2', 8080), client)],
    ['udp with a mark', () => python(lab, ask('10.2.0.2', 53), client)],
    ['udp with a label', () => python(lab, ask('10.2.0.2', 123), client)],
    ['udp in zone 7 of its original direction', () => python(lab, ask('10.2.0.2', 5353), client)],
    ['udp in zone 9', () => python(lab, ask('10.2.0.2', 5354), client)],
    ['icmp', () => lab.sh('ping -c 1 -W 5 10.2.0.2', client)],
    ['icmpv6', () => lab.sh('ping -c 1 -W 5 fd02::2', client)],
    ['tcp from a translated source', () => python(lab, connect('10.2.0.2', 8443), client)],
    ['tcp to a translated destination', () => python(lab, connect('10.1.0.1', 80), client)],
    ['udp to a translated IPv6 destination', () => python(lab, ask('fd01::1', 53, 'AF_INET6'), client)],
    [
      'ftp with an expected data connection',
      () =>
        python(
          lab,
          `${TCP}\na = socket.create_connection(('10.2.0.2', 21)); a.recv(99); a.sendall(b'${PASSIVE}'); a.recv(99)\nb = talk('10.2.0.2', 40000, 0)\nb.close(); a.close()`,
          client,
        ),
    ],
    ['tcp through SYNPROXY', () => python(lab, connect('10.2.0.2', 8081), client)],
    ['sctp', () => python(lab, raw(132, '30390050000000000000000001000014aabbccdd0000ffff000a000a00000001'), client)],
    ['gre', () => python(lab, raw(47, '2001880b00040007000000010000000200000000'), client)],
    ['protocol 253', () => python(lab, raw(253, '00112233'), client)],
  ];
  const count = (/** @type {string} */ event) => oracle.lines.filter((line) => line.includes(event)).length;
  /** @type {Vector[]} */ const result = [];
  let done = 0;
  for (const [name, traffic] of steps) {
    traffic();
    await until(`an entry of ${name}`, () => count('[NEW]') > count('[DESTROY]'));
    lab.sh('conntrack -F', router);
    await until(
      `the end of ${name}`,
      () => count('[NEW]') === count('[DESTROY]') && listener.lines.length === oracle.lines.length,
    );
    for (; done < oracle.lines.length; done++) {
      const line = oracle.lines[done];
      // The way down of a TCP connection is the same each time: the first two connections show it.
      if (done > 14 && /FIN_WAIT|LAST_ACK|UPDATE.*TIME_WAIT/.test(line)) continue;
      result.push({
        name: `${name}: ${line.match(/\[([A-Z]+)\]/)?.[1].toLowerCase()} ${done}`,
        hex: listener.lines[done],
        expected: parseConntrackLine(line),
      });
    }
  }
  // An entry of a dump: the seconds left are the same in both, or it is asked for again.
  python(lab, ask('10.2.0.2', 53), client);
  const list = () => lab.sh('conntrack -L -o extended,id,ktimestamp 2>/dev/null', router).trim();
  await until('a dump within one second', async () => {
    const before = list();
    const dump = await listen(lab, router, 12, { requests: [request(0x101, 0x300, '00000000')] });
    await until('the dump', () => dump.lines.at(-1)?.slice(8, 12) === '0300');
    await dump.stop();
    if (list() !== before) return false;
    return result.push({ name: 'a dump of one entry', hex: dump.lines[0], expected: parseConntrackLine(before) });
  });
  lab.sh('conntrack -F', router);

  // An entry that dies by itself.
  const timeouts = 'nf_conntrack_udp_timeout nf_conntrack_udp_timeout_stream';
  lab.sh(`cd /proc/sys/net/netfilter; for timeout in ${timeouts}; do echo 1 >$timeout; done`, router);
  python(lab, ask('10.2.0.2', 53), client);
  await until('the entry to expire', () => {
    lab.sh('conntrack -L 2>/dev/null', router); // looking at an expired entry ends it
    return count('[NEW]') === count('[DESTROY]');
  });
  await until('the last event', () => listener.lines.length === oracle.lines.length);
  const last = listener.lines.length - 1;
  result.push({
    name: 'udp: expired by itself',
    hex: listener.lines[last],
    expected: parseConntrackLine(oracle.lines[last]),
  });
  save('conntrack', result);

  /** @type {Vector[]} */ const stats = [];
  const perCpu = await listen(lab, router, 12, { requests: [request(0x104, 0x300, '00000000')] });
  await until('the counters', () => perCpu.lines.at(-1)?.slice(8, 12) === '0300');
  const lines = lab.sh('conntrack -S', router).trim().split('\n');
  const values = lines.map((line) => Object.fromEntries([...line.matchAll(/(\w+)=(\d+)/g)].map(([, k, v]) => [k, +v])));
  stats.push({ name: 'counters of each processor', hex: perCpu.lines[0], expected: values });
  const totals = await listen(lab, router, 12, { requests: [request(0x105, 4, '00000000')] });
  await until('the totals', () => totals.lines.length > 0);
  const [entries, most] = lab
    .sh('cd /proc/sys/net/netfilter; cat nf_conntrack_count nf_conntrack_max', router)
    .split('\n');
  stats.push({ name: 'totals', hex: totals.lines[0], expected: { entries: +entries, most: +most } });
  save('conntrack-stats', stats);
}
