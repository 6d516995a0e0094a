import { Identities, LONGEST_NAME } from '../neutron/identities.ts';
import { NeutronMap } from '../neutron/neutron-map.ts';
import { Ovsdb } from '../neutron/ovsdb.ts';
import type { KeySpec } from '../pipeline/key.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { same } from '../router/floating-ips.ts';
import { Router } from '../router/router.ts';
import { ConntrackEntry } from '../wire/conntrack.ts';
import { EndReason } from '../wire/conntrack-end.ts';
import { IP_TEXT_ROOM, writeIp } from '../wire/ip-text.ts';
import { mappingOf } from './nat-packet.ts';
import { Words } from './words.ts';

const text = (doc: string) => ({ type: 'string', plain: true, doc }) as const satisfies KeySpec;
const name = (doc: string) => ({ type: 'string', doc }) as const satisfies KeySpec;
const address = { type: 'ip', optional: true } as const;
const port = { type: 'u16', optional: true } as const;
const time = { type: 'u32', optional: true } as const;

/** Values of nat.type, and their numbers. */
const TYPES = ['none', 'dnat', 'snat', 'both', 'redirect'];
const DNAT = 1;
const SNAT = 2;
const REDIRECT = 4;

/** Values of nat.class, and their numbers. */
const CLASSES = ['local', 'routed', 'fip-in', 'fip-out', 'snat', 'port-forward', 'hairpin', 'metadata'];
const LOCAL = 0;
const ROUTED = 1;
const FIP_IN = 2;
const FIP_OUT = 3;
const SHARED = 4;
const PORT_FORWARD = 5;
const HAIRPIN = 6;
const TO_METADATA = 7;

/** Where cloud instances ask for their metadata, as Neutron redirects it. */
const METADATA = new DataView(Uint8Array.of(169, 254, 169, 254).buffer);
const METADATA_IPV6 = new DataView(
  Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0xa9, 0xfe).buffer,
);

/** NAT: what a router made of a connection or a packet, and who was behind the address. */
export default defineFilter({
  name: 'NAT',
  summary:
    "Says how a connection's addresses were translated: floating IP, shared address, forwarded port, and whose they were.",
  accepts: ['flow', 'packet'],
  example: 'stack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON',
  options: {},
  reads: {
    'orig.ip.saddr': address,
    'orig.ip.daddr': address,
    'reply.ip.saddr': address,
    'reply.ip.daddr': address,
    'orig.l4.sport': port,
    'orig.l4.dport': port,
    'reply.l4.sport': port,
    'reply.l4.dport': port,
    'flow.start.sec': time,
    'flow.start.usec': time,
    'flow.end.sec': time,
    'flow.end.usec': time,
    ct: { type: 'raw', optional: true },
    'ip.saddr': address,
    'ip.daddr': address,
    'oob.time.sec': time,
    'oob.time.usec': time,
  },
  writes: {
    'nat.type': text(
      'What was translated, by the two tuples: dnat, snat, both, redirect (to the router itself) or none.',
    ),
    'nat.class': text(
      'What for: fip-in, fip-out, snat, port-forward, hairpin (between two machines behind the router), metadata, routed or local (from or to the router itself).',
    ),
    'nat.floating_ip': text('Floating address of the connection or packet, if it has one.'),
    'nat.fixed_ip': text('Internal address behind the translation.'),
    'nat.external_ip': text('Address that the outside sees: floating, or shared by many.'),
    'nat.external_port': { type: 'u16', doc: 'Port that the outside sees at nat.external_ip.' },
    'floating_ip.id': name("Neutron's id of the floating IP, by the file of [neutron] map=."),
    'port.id': name(
      "Neutron's id of the port of nat.fixed_ip, by that file; otherwise the port of this host that the address is sent to, by [neutron] ovsdb=.",
    ),
    'project.id': name('Project of the floating IP, otherwise of the port, by that file.'),
    'server.id': name("Nova's id of the server of nat.fixed_ip, by that file or by [neutron] ovsdb=."),
    'server.name': name('Its name, by that file.'),
    'flow.duration': { type: 'u64', doc: 'Time from begin to end of the connection, in milliseconds.' },
    'flow.end_reason': text(
      'Why the connection ended: timeout, tcp-close, reset, or deleted by userspace; absent where the kernel does not tell.',
    ),
  },
  link({ id, read, write, memory, namespace, neutron, log, clock }) {
    const router = Router.of(namespace);
    const types = new Words(memory, TYPES);
    const classes = new Words(memory, CLASSES);
    const reasons = new Words(memory, EndReason.WORDS);
    const reason = new EndReason(new ConntrackEntry());
    const fixedAt = memory.reserve(IP_TEXT_ROOM);
    const externalAt = memory.reserve(IP_TEXT_ROOM);
    const map = NeutronMap.of(neutron.map);
    const ovsdb = Ovsdb.of(neutron.ovsdb);
    const identities = map || ovsdb ? new Identities(map, ovsdb, router.neighbours) : undefined;
    const namesAt = memory.reserve(5 * LONGEST_NAME);
    const {
      'orig.ip.saddr': origSource,
      'orig.ip.daddr': origTarget,
      'reply.ip.saddr': replySource,
      'reply.ip.daddr': replyTarget,
      'flow.start.sec': startSecond,
      'flow.start.usec': startMicrosecond,
      'flow.end.sec': endSecond,
      'flow.end.usec': endMicrosecond,
      ct,
    } = read;
    const report = (message: string) => log.error(`${id}:NAT: ${message}`);
    /** Rules were looked for anew since the last batch. */
    let refreshed = false;
    let refreshedNeighbours = false;

    function portsDiffer({ value, valid }: Record, one: number, other: number): boolean {
      return valid[one] === 1 && valid[other] === 1 && value[one] !== value[other];
    }

    /** Whether this address stands, or stood, for that one as a whole. A rule that is newer than the last news is looked for. */
    function isPair(view: DataView, external: number, internal: number, length: number): boolean {
      if (router.knowsPair(view, external, internal, length)) return true;
      if (refreshed || router.own.isPrimary(view, external, length)) return false;
      refreshed = true;
      router.refresh();
      return router.knowsPair(view, external, internal, length);
    }

    function classOfDnat(record: Record, external: number, internal: number, length: number): number {
      const { view } = record;
      if (isPair(view, external, internal, length)) return FIP_IN;
      const moved = portsDiffer(record, read['orig.l4.dport'], read['reply.l4.sport']);
      // An address that is neither forwarded by port nor known as a whole was translated as a whole before we came.
      return moved || router.forwards(view, external, length) ? PORT_FORWARD : FIP_IN;
    }

    function classOfSnat({ view }: Record, external: number, internal: number, length: number): number {
      const floats = isPair(view, external, internal, length) || router.knowsFloating(view, external, length);
      return floats ? FIP_OUT : SHARED;
    }

    /** The floating address of a port that is forwarded, or of a hairpin: not the router's own. */
    function isFloating({ view }: Record, external: number, length: number): boolean {
      return router.knowsFloating(view, external, length) || !router.own.isPrimary(view, external, length);
    }

    /** Returns the length of the text. */
    function setAddress(record: Record, slot: number, at: number, from: number, length: number): number {
      const size = writeIp(record.bytes, at, record.bytes, from, length) - at;
      record.setBytes(slot, at, size);
      return size;
    }

    function translation(record: Record): void {
      const { view, value, extra } = record;
      const length = extra[origSource]!;
      const os = value[origSource]!;
      const od = value[origTarget]!;
      const rs = value[replySource]!;
      const rd = value[replyTarget]!;
      const moved = !same(view, od, view, rs, length);
      const dnat = moved || portsDiffer(record, read['orig.l4.dport'], read['reply.l4.sport']);
      const snat =
        !same(view, os, view, rd, length) || portsDiffer(record, read['orig.l4.sport'], read['reply.l4.dport']);
      const redirected = dnat && !snat && router.own.has(view, rs, length);
      types.set(record, write['nat.type'], redirected ? REDIRECT : (dnat ? DNAT : 0) + (snat ? SNAT : 0));

      const metadata = length === 4 ? METADATA : METADATA_IPV6;
      if (same(view, od, metadata, 0, length)) return classes.set(record, write['nat.class'], TO_METADATA);
      if (redirected) return classes.set(record, write['nat.class'], LOCAL);
      if (!dnat && !snat) {
        const local = router.own.has(view, os, length) || router.own.has(view, od, length);
        return classes.set(record, write['nat.class'], local ? LOCAL : ROUTED);
      }
      // Translated both ways between two machines behind the router it is a hairpin; otherwise the end that is outside says what it is.
      const both = dnat && snat;
      const fromOutside = both && router.isOutside(view, os, od, length);
      const toInside = dnat && (fromOutside || !both || !router.isOutside(view, rs, od, length));
      const external = toInside ? od : rd;
      const internal = toInside ? rs : os;
      let what = HAIRPIN;
      if (!toInside) what = classOfSnat(record, external, internal, length);
      else if (!both || fromOutside) what = classOfDnat(record, external, internal, length);
      classes.set(record, write['nat.class'], what);
      setAddress(record, write['nat.fixed_ip'], fixedAt, internal, length);
      const size = setAddress(record, write['nat.external_ip'], externalAt, external, length);
      const floats = what !== SHARED && (what === FIP_IN || what === FIP_OUT || isFloating(record, external, length));
      if (floats) record.setBytes(write['nat.floating_ip'], externalAt, size);
      if (identities) names(record, view, identities, internal, floats ? external : -1, length);
      const externalPort = toInside ? read['orig.l4.dport'] : read['reply.l4.dport'];
      if (record.valid[externalPort] === 1) record.setNumber(write['nat.external_port'], value[externalPort]!);
    }

    /** A packet shows one side of its translation: the rules at its time tell the other. */
    function packet(record: Record): void {
      const { bytes, value, valid } = record;
      const source = read['ip.saddr'];
      const target = read['ip.daddr'];
      const timed = valid[read['oob.time.sec']] === 1;
      const seconds = timed ? value[read['oob.time.sec']]! : clock.seconds;
      const microseconds = timed ? value[read['oob.time.usec']]! : clock.microseconds;
      const now = seconds * 1000 + microseconds / 1000;
      let entry = mappingOf(record, router, source, target, now);
      if (entry === 0 && !refreshed) {
        refreshed = true;
        router.refresh();
        entry = mappingOf(record, router, source, target, now);
      }
      if (entry === 0) return;
      const { floating } = router;
      const length = floating.lengthOf(entry);
      const fixed = floating.fixedAt(entry);
      const external = floating.floatingAt(entry);
      const size = writeIp(bytes, externalAt, floating.bytes, external, length) - externalAt;
      record.setBytes(write['nat.external_ip'], externalAt, size);
      record.setBytes(write['nat.floating_ip'], externalAt, size);
      record.setBytes(write['nat.fixed_ip'], fixedAt, writeIp(bytes, fixedAt, floating.bytes, fixed, length) - fixedAt);
      if (identities) names(record, floating.view, identities, fixed, external, length);
    }

    function names(
      record: Record,
      view: DataView,
      from: Identities,
      fixed: number,
      floating: number,
      length: number,
    ): void {
      let who = from.find(view, fixed, floating, length);
      if (who.port === undefined && !refreshedNeighbours) {
        refreshedNeighbours = true;
        router.neighbours.refresh();
        who = from.find(view, fixed, floating, length);
      }
      setName(record, write['floating_ip.id'], namesAt, who.floatingIp);
      setName(record, write['port.id'], namesAt + LONGEST_NAME, who.port);
      setName(record, write['project.id'], namesAt + 2 * LONGEST_NAME, who.project);
      setName(record, write['server.id'], namesAt + 3 * LONGEST_NAME, who.serverId);
      setName(record, write['server.name'], namesAt + 4 * LONGEST_NAME, who.server);
    }

    function setName(record: Record, slot: number, at: number, name: Uint8Array | undefined): void {
      if (name === undefined) return;
      for (let i = 0; i < name.length; i++) record.bytes[at + i] = name[i]!;
      record.setBytes(slot, at, name.length);
    }

    function duration(record: Record): void {
      const { value, valid } = record;
      if (valid[startSecond] === 0 || valid[endSecond] === 0) return;
      const begin = value[startSecond]! * 1000 + value[startMicrosecond]! / 1000;
      const milliseconds = Math.floor(value[endSecond]! * 1000 + value[endMicrosecond]! / 1000 - begin);
      if (milliseconds < 0) return;
      record.setWide(write['flow.duration'], (milliseconds / 0x1_0000_0000) | 0, milliseconds >>> 0);
    }

    /** Where there is no Open vSwitch nobody asks who is behind an Ethernet address. */
    function followNeighbours(): void {
      try {
        router.neighbours.open();
      } catch (error) {
        log.error(
          `${id}:NAT: neighbours are not followed, nor by them the port of an address: ${(error as Error).message}`,
        );
      }
    }

    return {
      run(record) {
        const { value, extra, valid, view } = record;
        if (
          valid[origSource] === 1 &&
          valid[origTarget] === 1 &&
          valid[replySource] === 1 &&
          valid[replyTarget] === 1 &&
          extra[origSource] === extra[origTarget] &&
          extra[origSource] === extra[replySource] &&
          extra[origSource] === extra[replyTarget]
        ) {
          translation(record);
        } else if (valid[read['ip.saddr']] === 1) {
          packet(record);
          return true;
        }
        duration(record);
        if (valid[ct] === 1) {
          const why = reason.of(view, value[ct]!, value[ct]! + extra[ct]!);
          if (why >= 0) reasons.set(record, write['flow.end_reason'], why);
        }
        return true;
      },
      flush() {
        refreshed = refreshedNeighbours = false;
      },
      async start() {
        map?.open(report);
        ovsdb?.open(report);
        await router.open(report, report);
        ovsdb?.whenThere(followNeighbours);
        if (router.rulesRefused)
          log.error(`${id}:NAT: may not read the NAT rules: floating addresses are not known as such`);
      },
      stop() {
        map?.close(report);
        ovsdb?.forget(followNeighbours);
        ovsdb?.close(report);
        router.close(report);
      },
    };
  },
});
