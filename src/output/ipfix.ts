import { AnnouncingDestination } from '../delivery/announcing.ts';
import { DatagramDestination } from '../delivery/datagram.ts';
import { deliveryOptions } from '../delivery/options.ts';
import { StreamDestination } from '../delivery/stream.ts';
import type { Gap } from '../pipeline/ledger.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { ANNOUNCE_ALWAYS, ANNOUNCE_NEVER, ANNOUNCE_ONCE, Announcement, messageEnd } from '../wire/ipfix.ts';
import { FlowRecords, flowReads, LOSS_TEMPLATE, writeMilliseconds } from './ipfix-flow.ts';
import { IpfixSink } from './ipfix-sink.ts';
import { ULOGD_TEMPLATE, writeUlogdFlow } from './ipfix-ulogd.ts';

/** Milliseconds after which ulogd2 sends a message that is not full. */
const ULOGD_INTERVAL = 1000;

/** IPFIX: connections to a flow collector. */
export default defineOutput({
  name: 'IPFIX',
  summary: 'Sends connections to a flow collector (RFC 7011), with both directions and NAT in one record.',
  accepts: ['flow'],
  example: 'stack=ct1:NFCT,ipfix1:IPFIX',
  options: {
    oid: {
      type: 'int',
      default: 1,
      min: 1,
      required: true,
      doc: 'Observation domain: the number by which the collector knows this exporter.',
    },
    host: { type: 'string', default: '', required: true, doc: 'Name or address of the collector.' },
    port: { type: 'int', default: 4739, min: 1, max: 65535, doc: 'Its port.' },
    proto: {
      type: 'choice',
      choices: ['tcp', 'udp'],
      default: 'tcp',
      refused: { sctp: 'Node has no SCTP sockets; use tcp, which loses nothing either, or udp' },
      doc: 'Transport.',
    },
    mtu: {
      type: 'int',
      default: 512,
      min: 300,
      max: 65507,
      unit: 'bytes',
      doc: 'Longest message, without the headers of UDP and IP.',
    },
    send_template: {
      type: 'choice',
      choices: ['once', 'always', 'never'],
      default: 'once',
      doc: 'When templates are sent: once a connection, over UDP also every template_interval seconds; in every message; never.',
    },
    template_interval: {
      type: 'int',
      default: 60,
      min: 1,
      unit: 'seconds',
      doc: 'How often templates go again over UDP, for collectors that have started meanwhile.',
    },
    ...deliveryOptions,
  },
  reads: flowReads,
  link({ options, read, compat, shared, clock, log, id }) {
    const { host, port, proto, mtu, oid, send_template: when } = options;
    const flows = new FlowRecords(read, clock);
    const templates = compat ? [ULOGD_TEMPLATE] : [...flows.templates, LOSS_TEMPLATE];
    const sink = shared(() => {
      const announce = when === 'always' ? ANNOUNCE_ALWAYS : when === 'once' && compat ? ANNOUNCE_ONCE : ANNOUNCE_NEVER;
      const settings = { limit: mtu, domain: oid, announce, countOwn: compat } as const;
      return new IpfixSink(settings, compat ? ULOGD_INTERVAL : 0, destination, options, `${id}:IPFIX`, log);
    });

    function destination() {
      const transport =
        proto === 'udp' ? new DatagramDestination(host, port, messageEnd) : new StreamDestination({ host, port });
      if (when !== 'once') return transport;
      const announcement = new Announcement(templates, mtu, oid);
      const interval = proto === 'udp' ? options.template_interval * 1000 : Number.POSITIVE_INFINITY;
      return new AnnouncingDestination(transport, (next) => announcement.before(next), interval);
    }

    /** How many connections the kernel has not told of, since the start, and between which times the last of them were. */
    function writeLoss(gap: Gap): void {
      sink.lost += gap.lost;
      const at = sink.begin(LOSS_TEMPLATE, clock.seconds | 0);
      const { view } = sink.buffer;
      view.setUint32(at, oid);
      view.setBigUint64(at + 4, BigInt(sink.lost));
      writeMilliseconds(view, at + 12, 0, gap.from * 1000);
      writeMilliseconds(view, at + 20, 0, gap.to * 1000);
      sink.endNote(at + LOSS_TEMPLATE.size);
    }

    return {
      run: compat
        ? (record) => {
            const kind = flows.kindOf(record);
            if (kind < 0 || record.extra[read['orig.ip.saddr']] !== 4) return false;
            if (!sink.fits(ULOGD_TEMPLATE)) sink.flush();
            const at = sink.begin(ULOGD_TEMPLATE, clock.seconds | 0);
            writeUlogdFlow(sink.buffer.view, at, record, read);
            sink.endLine(at + ULOGD_TEMPLATE.size);
            return true;
          }
        : (record) => {
            const kind = flows.kindOf(record);
            if (kind < 0) return false;
            const template = flows.templateOf(kind);
            const at = sink.begin(template, clock.seconds | 0);
            flows.write(sink.buffer.view, at, kind, record);
            sink.endLine(at + template.size);
            return true;
          },
      start: () => sink.open(),
      flush() {
        if (!compat) sink.flush();
      },
      stop: () => sink.close(),
      account: () => sink.account(),
      counters: () => sink.counters(),
      gap: writeLoss,
    };
  },
});
