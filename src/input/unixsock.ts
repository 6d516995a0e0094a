import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import type { KeySpecs } from '../pipeline/key.ts';
import { defineInput } from '../pipeline/plugin.ts';
import { Seldom } from '../system/seldom.ts';
import { listenUnix } from '../system/unix-listener.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/ip.ts';
import { decodeUnixsock, UNIXSOCK_LONGEST, UnixsockFrame, unixsockLength } from '../wire/unixsock.ts';
import { Malformed } from './malformed.ts';
import { packetKeys } from './packet-keys.ts';

/** Bytes of one client that are looked at together. */
const ROOM = 256 << 10;
/** Clients at a time; whoever comes beyond is turned away: each may hold a file descriptor and a frame's memory for ever. */
const CLIENTS = 256;
/** Milliseconds for which a client that sent rubbish keeps its place: it cannot come back at full speed. */
const PENANCE = 1000;
/** Shortest time between two messages about clients turned away, in ms. */
const INTERVAL = 60_000;

const { 'oob.ifindex_in': _in, 'oob.ifindex_out': _out, raw: _raw, ct: _ct, ...common } = packetKeys;
const { 'raw.mac': mac, 'raw.pkt': pkt, 'raw.pktlen': pktlen, 'raw.pktcount': pktcount, ...behindPacket } = common;
const { 'oob.prefix': prefix, 'oob.time.sec': sec, 'oob.time.usec': usec, 'oob.mark': mark, ...rest } = behindPacket;
/** The keys of NFLOG, with names of interfaces in the place of their numbers: the order is ulogd's. */
const unixsockKeys = {
  'raw.mac': mac,
  'raw.pkt': pkt,
  'raw.pktlen': pktlen,
  'raw.pktcount': pktcount,
  'oob.prefix': prefix,
  'oob.time.sec': sec,
  'oob.time.usec': usec,
  'oob.mark': mark,
  'oob.in': { type: 'string', doc: 'Interface the packet came in by.', ipfix: { field: 82 } },
  'oob.out': { type: 'string', doc: 'Interface the packet goes out by.', ipfix: { field: 82 } },
  ...rest,
  'nufw.user.name': { type: 'string', doc: 'User that the sender of the frame names.' },
  'nufw.user.id': { type: 'u32', doc: 'Number of that user.' },
  'nufw.os.name': { type: 'string', doc: "Name of the user's operating system." },
  'nufw.os.rel': { type: 'string', doc: 'Its release.' },
  'nufw.os.vers': { type: 'string', doc: 'Its version.' },
  'nufw.app.name': { type: 'string', doc: 'Program that sent the packet.' },
} as const satisfies KeySpecs;

/** UNIXSOCK: packets that programs hand over. */
export default defineInput({
  name: 'UNIXSOCK',
  summary: 'Takes packets from programs, such as an authenticating firewall, on a socket in the file system.',
  gives: 'raw',
  example: 'stack=us1:UNIXSOCK,base1:BASE,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {
    socket_path: {
      type: 'string',
      default: '/var/run/ulogd/ulogd2.sock',
      exclusive: 'one input listens on a socket',
      doc: 'Path of the socket.',
    },
    bufsize: { type: 'int', default: 0, unit: 'bytes', doc: 'Accepted for ulogd.conf; the system decides.' },
    perms: { type: 'int', default: 0o600, max: 0o777, doc: 'Permissions of the socket, such as 0660.' },
    owner: { type: 'string', default: '', doc: 'User that owns the socket.' },
    group: { type: 'string', default: '', doc: 'Group of the socket.' },
  },
  writes: unixsockKeys,
  link({ id, options, write, record, memory, clock, log, compat }, deliver) {
    const path = options.socket_path;
    const offset = memory.reserve(ROOM);
    const { view } = record;
    const frame = new UnixsockFrame();
    const clients = new Set<Socket>();
    const name = `${id}:UNIXSOCK`;
    const what = 'a client sent what is no frame, and was disconnected';
    const malformed = new Malformed(name, log, deliver.ledger, what);
    const saying = new Seldom(INTERVAL);
    const texts = [
      write['oob.prefix'],
      write['oob.in'],
      write['oob.out'],
      write['nufw.user.name'],
      write['nufw.os.name'],
      write['nufw.os.rel'],
      write['nufw.os.vers'],
      write['nufw.app.name'],
    ];
    let server: Server | undefined;

    function onFrame(): void {
      const { packetOffset, packetLength } = frame;
      const version = packetLength > 0 ? view.getUint8(packetOffset) >> 4 : 0;
      const ipv4 = version === 4;
      const ipv6 = version === 6;
      record.setNumber(write['oob.family'], ipv4 ? NFPROTO_IPV4 : ipv6 ? NFPROTO_IPV6 : 0);
      // ulogd2 leaves the ethertype 0.
      record.setNumber(write['oob.protocol'], compat ? 0 : ipv4 ? ETHERTYPE_IPV4 : ipv6 ? ETHERTYPE_IPV6 : 0);
      record.setBytes(write['raw.pkt'], packetOffset, packetLength);
      record.setNumber(write['raw.pktlen'], packetLength);
      record.setNumber(write['raw.pktcount'], 1);
      for (let i = 0; i < texts.length; i++) {
        if (frame.textLengths[i]! >= 0) record.setBytes(texts[i]!, frame.textOffsets[i]!, frame.textLengths[i]!);
      }
      if (frame.seconds >= 0) record.setNumber(write['oob.time.sec'], frame.seconds);
      if (frame.userId >= 0) record.setNumber(write['nufw.user.id'], frame.userId);
      if (frame.state >= 0) record.setNumber(write['raw.label'], frame.state);
      deliver.event();
    }

    /** Handles the whole frames of `bytes`; returns how many bytes these were, or -1 when what follows is no frame. */
    function read(bytes: Uint8Array): number {
      memory.bytes.set(bytes, offset);
      const end = offset + bytes.length;
      let at = offset;
      while (at < end) {
        const length = unixsockLength(view, at, end);
        if (length === 0 || length > end - at) break;
        if (length < 0 || !decodeUnixsock(view, at, at + length, frame)) {
          malformed.count(view, at, length < 0 ? end : at + length);
          return -1;
        }
        onFrame();
        at += length;
      }
      return at - offset;
    }

    function onClient(client: Socket): void {
      clients.add(client);
      let rest: Uint8Array = new Uint8Array();
      client.on('data', (chunk: Buffer) => {
        clock.update();
        let bytes: Uint8Array = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
        while (bytes.length > 0) {
          const done = read(bytes.subarray(0, ROOM));
          if (done < 0) {
            client.pause();
            setTimeout(() => client.destroy(), PENANCE).unref();
            rest = new Uint8Array();
            deliver.batch();
            return;
          }
          bytes = bytes.subarray(done);
          if (done === 0) break;
        }
        // The longest frame fits: what is left is the beginning of one.
        rest = Uint8Array.from(bytes.subarray(0, UNIXSOCK_LONGEST));
        deliver.batch();
      });
      client.on('error', (error) => log.debug(`${name}: ${error.message}`));
      client.on('close', () => {
        clients.delete(client);
        if (rest.length > 0) malformed.add(); // a frame that was cut off
      });
    }

    function onTurnedAway(): void {
      if (saying.isTime())
        log.error(`${name}: ${CLIENTS} clients are connected, which is the most: another was turned away`);
    }

    return {
      async start() {
        mkdirSync(dirname(path), { recursive: true });
        const listening = createServer(onClient);
        listening.maxConnections = CLIENTS;
        listening.on('drop', onTurnedAway);
        await listenUnix(listening, path, options.perms).catch((error: Error) => {
          throw new Error(`cannot listen on ${path}: ${error.message}`);
        });
        server = listening;
        if (options.owner !== '' || options.group !== '') {
          chownSync(path, numberOf('passwd', options.owner), numberOf('group', options.group));
        }
      },
      async stop() {
        if (server === undefined) return;
        const ended = new Promise((resolve) => server?.close(resolve)); // unlinks the socket
        server = undefined;
        for (const client of clients) client.destroy();
        await ended;
      },
    };
  },
});

/** Number of a user or group, by getent(1); -1, which changes nothing, for none. Throws when there is no such name. */
function numberOf(database: 'passwd' | 'group', name: string): number {
  if (name === '') return -1;
  try {
    const line = execFileSync('getent', [database, '--', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(line.split(':')[2]);
  } catch {
    throw new Error(`unknown ${database === 'passwd' ? 'user' : 'group'} ${name}`);
  }
}
