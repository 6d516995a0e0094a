import { NeutronMap } from '../neutron/neutron-map.ts';
import { Ovsdb } from '../neutron/ovsdb.ts';
import { PortDevices } from '../neutron/port-device.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { type FwaasRule, FwaasRules } from '../router/fwaas-rules.ts';
import { LocalTime } from '../system/local-time.ts';
import { OutputFile } from '../system/output-file.ts';
import { describeEthernet, describePacket } from '../wire/os-ken.ts';
import { printable } from '../wire/printable-text.ts';
import { fileOptions, keepingOf } from './file-options.ts';
import { TokenBucket } from './token-bucket.ts';

/** As neutron-fwaas's own lines: oslo.log's prefix, with the logger's name (oslo_log/_options.py). */
const LOGGER = 'neutron_fwaas.services.logapi.agents.drivers.iptables.log';
/** Devices whose port a packet is logged for when nothing nearer to it is known: a router's inside before its outside. */
const ROUTER_DEVICES = [/^qr-/, /^sg-/, /^qg-/, /^ha-/];
const NOTE_MS = 1000;

/** NEUTRON: the lines of Neutron's packet log. */
export default defineOutput({
  name: 'NEUTRON',
  summary: "Writes packets as Neutron's packet log does, with the floating IP that Neutron's lacks.",
  accepts: ['packet'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,nat1:NAT,neutron1:NEUTRON',
  options: {
    ...fileOptions('/var/log/flowlogd/neutron.log'),
    oslo_prefix: {
      type: 'bool',
      default: true,
      doc: "Begin lines as Neutron's agents do: time, process, level, logger.",
    },
    action: {
      type: 'choice',
      choices: ['', 'ACCEPT', 'DROP'],
      default: '',
      doc: "What happened to packets whose rule does not say: the word ACCEPT or DROP in the rule's prefix does, and for the numbers of neutron-fwaas the chain of the rule. Without any such packets are filtered.",
    },
    rate_limit: {
      type: 'int',
      default: 100,
      unit: 'packets a second',
      doc: 'Lines written at most each second; 0 for no limit.',
    },
    burst_limit: {
      type: 'int',
      default: 25,
      min: 1,
      unit: 'packets',
      doc: 'Lines beyond rate_limit that may follow a pause.',
    },
  },
  reads: {
    'raw.pkt': { type: 'raw' },
    'raw.mac': { type: 'raw', optional: true },
    'oob.protocol': { type: 'u16' },
    'oob.prefix': { type: 'string', optional: true },
    'oob.time.sec': { type: 'u32', optional: true },
    'oob.time.usec': { type: 'u32', optional: true },
    'oob.in': { type: 'string', optional: true },
    'oob.out': { type: 'string', optional: true },
    'nat.floating_ip': { type: 'string', optional: true },
    'nat.fixed_ip': { type: 'string', optional: true },
    'port.id': { type: 'string', optional: true },
    'project.id': { type: 'string', optional: true },
  },
  link({ options, read, clock, log, id, compat, shared, neutron, namespace }) {
    const sink = shared(() => {
      const map = NeutronMap.of(neutron.map);
      const report = (message: string) => log.error(`${id}:NEUTRON: ${message}`);
      return {
        map,
        ports: new PortDevices(map, Ovsdb.of(neutron.ovsdb)),
        report,
        file: new OutputFile(options.file, report, {}, keepingOf(options, compat)),
        bucket: new TokenBucket(options.rate_limit, options.burst_limit),
        told: 0,
        nextNote: 0,
      };
    });
    const { map, ports, report, file, bucket } = sink;
    const fwaas = new FwaasRules(namespace);
    const time = new LocalTime();

    function head(level: string, second: number, microsecond: number): string {
      if (!options.oslo_prefix) return '';
      time.update(second);
      const milliseconds = String(Math.floor(microsecond / 1000)).padStart(3, '0');
      return `${time.iso.replace('T', ' ')}.${milliseconds} ${process.pid} ${level} ${LOGGER} [-] `;
    }

    function textOf({ bytes, value, extra, valid }: Record, slot: number): string {
      if (valid[slot] !== 1) return '';
      return printable(Buffer.from(bytes.buffer, bytes.byteOffset + value[slot]!, extra[slot]!).toString());
    }

    /** The rule says it in its prefix; no rule, no guess. */
    function actionOf(prefix: string, rule: FwaasRule | undefined): string {
      if (rule !== undefined) return rule.action;
      const [word] = /ACCEPT|DROP/i.exec(prefix) ?? [];
      return word?.toUpperCase() ?? options.action;
    }

    function portOf(record: Record, rule: FwaasRule | undefined): string {
      // neutron-fwaas logs for a port of the router.
      const own = rule?.device === undefined ? undefined : ports.idOf(rule.device);
      if (own !== undefined) return own;
      const known = textOf(record, read['port.id']);
      if (known !== '') return known;
      const devices = [textOf(record, read['oob.in']), textOf(record, read['oob.out'])];
      for (const kind of ROUTER_DEVICES) {
        const device = devices.find((name) => kind.test(name));
        const id = device && ports.idOf(device);
        if (id) return id;
      }
      return '';
    }

    /** Ids of the logs that somebody asked Neutron for and that are about this packet, as Python prints a list. */
    function logsOf(action: string, port: string, project: string): string {
      const logs = map?.names?.logs ?? [];
      const ids = logs.filter(
        (one) =>
          (one.event === 'ALL' || one.event === action) &&
          (one.target === undefined
            ? one.resource === undefined && one.project === project && project !== ''
            : one.target === port),
      );
      return `[${ids.map((one) => `'${printable(one.id)}'`).join(', ')}]`;
    }

    function line(record: Record, action: string, rule: FwaasRule | undefined): string {
      const { view, value, extra, valid } = record;
      const port = printable(portOf(record, rule));
      const project = textOf(record, read['project.id']) || printable(map?.names?.port(port)?.project ?? '');
      const mac = read['raw.mac'];
      const packet = read['raw.pkt'];
      const from = value[packet]!;
      const floating = textOf(record, read['nat.floating_ip']);
      const nat =
        floating === '' ? '' : `nat(fixed_ip='${textOf(record, read['nat.fixed_ip'])}',floating_ip='${floating}')`;
      const ethernet = valid[mac] === 1 ? describeEthernet(view, value[mac]!, extra[mac]!) : '';
      const ip = describePacket(view, from, from + extra[packet]!, value[read['oob.protocol']]!);
      return `action=${action}, project_id=${project}, log_resource_ids=${logsOf(action, port, project)}, port=${port}, pkt=${ethernet}${ip}${nat}`;
    }

    /** Says how many lines were left out, behind those that were not, and at most once a second. */
    function tell(now: number): void {
      const missing = bucket.suppressed - sink.told;
      if (missing === 0 || now < sink.nextNote) return;
      sink.told = bucket.suppressed;
      sink.nextNote = now + NOTE_MS;
      const why = `rate_limit=${options.rate_limit} burst_limit=${options.burst_limit}`;
      file.note(`${head('WARNING', clock.seconds, clock.microseconds)}suppressed=${missing}, ${why}`);
    }

    return {
      run(record) {
        const { value, valid } = record;
        if (valid[read['raw.pkt']] !== 1 || valid[read['oob.protocol']] !== 1) return false;
        const now = performance.now();
        const prefix = textOf(record, read['oob.prefix']);
        const rule = fwaas.find(prefix, now);
        const action = actionOf(prefix, rule);
        if (action === '') return false;
        if (!bucket.take(now)) return true;
        const timed = valid[read['oob.time.sec']] === 1;
        const second = timed ? value[read['oob.time.sec']]! : clock.seconds;
        const microsecond = timed ? value[read['oob.time.usec']]! : clock.microseconds;
        const text = `${head('INFO', second, microsecond)}${line(record, action, rule)}\n`;
        file.buffer.append(text);
        file.endLine(file.buffer.length);
        return true;
      },
      start() {
        ports.open(report);
        file.open();
      },
      flush() {
        tell(performance.now());
        file.flush();
      },
      reopen: () => file.reopen(),
      stop() {
        ports.close(report);
        tell(Number.POSITIVE_INFINITY);
        file.close();
      },
      account() {
        const account = file.account();
        return { ...account, dropped: { ...account.dropped, 'rate limit': bucket.suppressed } };
      },
    };
  },
});
