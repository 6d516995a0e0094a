// The real ulogd 2.0.8 and flowlogd side by side on the same kernel events, their files compared byte for byte.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab, until } from '../../scripts/lab.js';
import { ETHERTYPE, ethernet, ipv4, udp } from './packets.ts';
import { compile } from './program.ts';

const here = dirname(fileURLToPath(import.meta.url));
const PLUGIN_FOLDER = '/usr/lib/x86_64-linux-gnu/ulogd';
const PLUGINS =
  'inppkt_NFLOG inpflow_NFCT filter_IFINDEX filter_IP2STR filter_PRINTPKT filter_PRINTFLOW filter_HWHDR filter_MARK ' +
  'filter_IP2BIN filter_IP2HBIN filter_PWSNIFF raw2packet_BASE output_LOGEMU output_JSON output_GPRINT output_OPRINT ' +
  'output_NACCT';

/** The two daemons: `ref` is Debian's ulogd, `our` is the build (or `FLOWLOGD=`, to hold the reference against itself). */
export const SIDES = ['ref', 'our'] as const;
export type Side = (typeof SIDES)[number];

/** The NFLOG group each side reads. Rules log to both in one statement, the reference first. */
export const GROUP: Readonly<Record<Side, number>> = { ref: 32, our: 33 };

/** Link-layer addresses that never change, so that samples stay comparable. */
export const MAC = { router: '02:00:00:00:00:01', peer: '02:00:00:00:00:02', absent: '02:00:00:00:00:99' } as const;

/** An nft statement that logs to both groups. `options` are nft's: `prefix "x" snaplen 64`. */
export function log(options = ''): string {
  return SIDES.map((side) => `log ${options} group ${GROUP[side]}`).join(' ');
}

/** What both configurations hold beside the preamble. `outputs` each get `file=` and `sync=1`. */
export interface Setup {
  readonly stacks: readonly string[];
  readonly outputs: readonly string[];
  readonly sections?: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
  readonly timeZone?: string;
}

interface Daemon {
  readonly side: Side;
  readonly process: ChildProcess;
  readonly ended: Promise<number | null>;
}

/** Two namespaces joined by a cable: `router`, where both daemons listen, and `peer`, where packets come from. */
export class DifferentialLab {
  readonly lab = new Lab();
  readonly router = this.lab.namespace('fl-router');
  readonly peer = this.lab.namespace('fl-peer');
  readonly #inject = compile('inject', this.lab.directory);
  readonly #keep = process.env.DIFFERENTIAL_KEEP;
  #daemons: Daemon[] = [];
  #setup: Setup = { stacks: [], outputs: [] };
  #read: Record<string, number> = {};
  #sent: string[] = [];
  #rules = '';

  constructor() {
    this.lab.cable([this.router, 'fl0'], [this.peer, 'fl1']);
    this.lab.sh(
      `sysctl -qw net.ipv6.conf.fl0.router_solicitations=0 net.ipv6.conf.fl0.accept_dad=0
       ip link set fl0 address ${MAC.router}; ip addr add 10.77.0.1/24 dev fl0; ip addr add fd77::1/64 dev fl0 nodad
       ip neigh add 10.77.0.2 lladdr ${MAC.peer} dev fl0; ip neigh add fd77::2 lladdr ${MAC.peer} dev fl0`,
      this.router,
    );
    this.lab.sh(
      // No IPv6 here: the peer's kernel would send reports of its own. What it is said to send, inject() sends.
      `sysctl -qw net.ipv6.conf.fl1.disable_ipv6=1; ip link set fl1 address ${MAC.peer}
       ip addr add 10.77.0.2/24 dev fl1; ip neigh add 10.77.0.1 lladdr ${MAC.router} dev fl1`,
      this.peer,
    );
  }

  /** Runs shell commands in the router's namespace and returns what they print. */
  sh(commands: string): string {
    return this.lab.sh(commands, this.router);
  }

  /** Replaces the router's whole rule set; packets from port 65001 of the peer stay reserved for markers. */
  rules(text: string): void {
    this.#rules = text;
    const marker = `table ip flowlogd_marker { chain marker { type filter hook prerouting priority -500;
      ip saddr 10.77.0.2 udp sport 65001 meta mark set 5 ${log('prefix "MARKER" queue-threshold 1')} drop; }; }`;
    this.#nft(`flush ruleset\n${marker}\n${text}\n`);
  }

  #nft(text: string): void {
    execFileSync('ip', ['netns', 'exec', this.router, 'nft', '-f', '-'], {
      input: text,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
  }

  /** Puts frames on a device of the peer (or IP packets into a tun device of the router), in order. */
  inject(frames: readonly Buffer[], device = 'fl1', kind: 'packet' | 'tun' = 'packet'): void {
    const records = frames.flatMap((frame) => [Buffer.from([frame.length >> 8, frame.length & 255]), frame]);
    const where = kind === 'tun' ? this.router : this.peer;
    const command = ['netns', 'exec', where, this.#inject, kind, device, '200'];
    execFileSync('ip', command, { input: Buffer.concat(records), stdio: ['pipe', 'pipe', 'pipe'] });
    this.#sent.push(...frames.map((frame) => frame.toString('hex')));
  }

  /** Sends frames through rules and compares; by default one line for each frame, 'some' where the kernel has a say. */
  async scene(
    name: string,
    rules: string,
    frames: readonly Buffer[],
    lines: number | 'some' = frames.length,
    device = 'fl1',
  ): Promise<void> {
    this.rules(rules);
    this.inject(frames, device);
    await this.settle();
    this.compare(name, lines === 'some' ? { atLeast: frames.length / 2 } : { lines });
  }

  /** Starts both daemons on the same configuration but for group and file names; resolves when both listen. */
  async start(setup: Setup): Promise<void> {
    for (const { process } of this.#daemons) process.kill('SIGKILL'); // left by a test that failed
    this.#setup = setup;
    this.#read = {};
    this.#daemons = SIDES.map((side) => this.#startSide(side));
    for (const { side, process, ended } of this.#daemons) {
      const early = ended.then((code) =>
        Promise.reject(new Error(`${side} ended at once (${code}): ${this.#logOf(side)}`)),
      );
      await Promise.race([early, until(`${side} listens`, () => this.#listens(side, process.pid!))]);
      early.catch(() => {}); // the end that stop() asks for
    }
  }

  #startSide(side: Side): Daemon {
    const { timeZone = 'UTC' } = this.#setup;
    const configuration = this.#configuration(side);
    const file = join(this.lab.directory, `${side}.conf`);
    writeFileSync(file, configuration);
    for (const output of this.#setup.outputs) writeFileSync(this.#output(side, output), '');
    const stderr = openSync(join(this.lab.directory, `${side}.stderr`), 'w');
    const child = this.lab.start([daemonOf(side), '-c', file], this.router, {
      env: { ...process.env, TZ: timeZone },
      stdio: ['ignore', stderr, stderr],
    });
    closeSync(stderr);
    return { side, process: child, ended: new Promise((done) => child.once('exit', (code) => done(code))) };
  }

  #configuration(side: Side): string {
    const { stacks, outputs, sections = {} } = this.#setup;
    const blocks: Record<string, Record<string, string | number>> = {};
    for (const [name, options] of Object.entries(sections)) blocks[name] = { ...options };
    for (const stack of stacks) {
      const source = stack.slice(0, stack.indexOf(':'));
      const group = stack.includes(':NFLOG,') ? { group: GROUP[side] } : {};
      // Room for a burst: a loss would differ between the two by chance.
      blocks[source] = {
        netlink_socket_buffer_size: 8388608,
        netlink_socket_buffer_maxsize: 16777216,
        ...group,
        ...blocks[source],
      };
    }
    for (const name of outputs) blocks[name] = { ...blocks[name], file: `"${this.#output(side, name)}"`, sync: 1 };
    const lines = [
      '[global]',
      `logfile="${join(this.lab.directory, `${side}.log`)}"`,
      'loglevel=3',
      'compat="ulogd-2.0.8"',
    ];
    for (const plugin of PLUGINS.split(' ')) lines.push(`plugin="${PLUGIN_FOLDER}/ulogd_${plugin}.so"`);
    for (const stack of stacks) lines.push(`stack=${stack}`);
    for (const [name, options] of Object.entries(blocks)) {
      lines.push(`[${name}]`, ...Object.entries(options).map(([key, value]) => `${key}=${value}`));
    }
    return `${lines.join('\n')}\n`;
  }

  /** True once this side waits with all its sockets set up and read empty: nothing from now on can be missed. */
  #listens(side: Side, pid: number): boolean {
    if (!/^\d+ \(.*\) S /.test(readProcess(pid, 'stat'))) return false;
    const { stacks, sections = {} } = this.#setup;
    // Columns: group, port id, queued, copy mode (2 = packet), copy range (the most there is): nfnetlink_log.c, seq_show().
    const instance = new RegExp(`^ *${GROUP[side]} +\\d+ +\\d+ +2 +65531 `, 'm');
    if (stacks.some((stack) => stack.includes(':NFLOG,'))) {
      return instance.test(readProcess(pid, 'net/netfilter/nfnetlink_log'));
    }
    // Columns: socket, protocol (12 = NETLINK_NETFILTER), port id (0 = the kernel's own), groups, bytes queued:
    // af_netlink.c, netlink_native_seq_show(). Sockets of both sides are listed; who polls joins no group.
    const polls = Object.values(sections).some((section) => section.pollinterval);
    const rows = readProcess(pid, 'net/netlink').matchAll(/^[0-9a-f]+ 12 +([1-9]\d*) +([0-9a-f]{8}) +(\d+) /gm);
    const sockets = [...rows].map(([, , groups, queued]) => ({
      joined: groups !== '00000000',
      queued: Number(queued),
    }));
    return (
      sockets.filter(({ joined }) => joined || polls).length >= SIDES.length && !sockets.some(({ queued }) => queued)
    );
  }

  /** Ends both daemons as an operator would, and insists that both end well. */
  async stop(): Promise<void> {
    for (const { process } of this.#daemons) process.kill('SIGTERM');
    for (const { side, process, ended } of this.#daemons) {
      const code = await Promise.race([
        ended,
        until(`${side} ends`, () => process.exitCode !== null && process.exitCode),
      ]);
      // ulogd 2.0.8 uses freed memory when it stops (the files are complete by then): its end proves nothing.
      if (code !== 0 && !(side === 'ref' && process.signalCode === 'SIGSEGV'))
        throw new Error(`${side} ended with ${code ?? process.signalCode}: ${this.#logOf(side)}`);
    }
    this.#daemons = [];
  }

  /** Removes namespaces, processes and files. */
  close(): void {
    this.lab.close();
  }

  /** Sends one marker packet behind all that was injected, and waits until every file of both sides holds it. */
  async settle(): Promise<void> {
    const frame = ethernet(
      { dst: MAC.router, src: MAC.peer, type: ETHERTYPE.ipv4 },
      ipv4({}, udp({ sport: 65001, dport: 9 })),
    );
    const sent = this.#sent;
    this.inject([frame]);
    this.#sent = sent;
    await this.until('the marker', (text) => /^.*MARKER.*\n/m.test(text));
  }

  /** Waits until the new part of every file of both sides satisfies the condition. */
  async until(what: string, condition: (text: string, output: string) => boolean, seconds = 20): Promise<void> {
    for (const side of SIDES) {
      for (const output of this.#setup.outputs) {
        const seen = () => condition(this.#fresh(side, output), output);
        await until(`${what} in ${side}.${output}`, seen, seconds).catch((error: Error) => {
          throw new Error(`${error.message}\n${this.#logOf(side)}`);
        });
      }
    }
  }

  /**
   * Compares what both sides wrote since the last comparison, times masked by shape, and says so in one line.
   * @throws with the first differing line of both sides
   */
  compare(scene: string, comparison: Comparison = {}): void {
    try {
      const verdicts = this.#compareOutputs(scene, comparison);
      process.stdout.write(`  ${scene}: ${verdicts.join(', ')}: every byte the same\n`);
    } finally {
      this.#keepSample(scene, 'frames.hex', this.#sent.map((hex) => `${hex}\n`).join(''));
      this.#keepSample(scene, 'rules.nft', this.#rules);
      this.#keepSample(scene, 'ref.conf', readFileSync(join(this.lab.directory, 'ref.conf'), 'latin1'));
      this.forget();
    }
  }

  #compareOutputs(
    scene: string,
    { lines, atLeast = 1, sorted = false, without, kernelTimes = false }: Comparison,
  ): string[] {
    return this.#setup.outputs.map((output) => {
      const [ref, our] = SIDES.map((side) => {
        const fresh = this.#scene(side, output);
        this.#keepSample(scene, `${side}.${output}`, fresh);
        const kept = fresh.split(/(?<=\n)/).filter((line) => !line.includes('MARKER') && !without?.test(line));
        const masked = kept.map((line) => mask(line, side, kernelTimes));
        return sorted ? masked.sort() : masked;
      }) as [string[], string[]];
      const at = ref.findIndex((line, index) => line !== our[index]);
      const first = at >= 0 ? at : ref.length < our.length ? ref.length : -1;
      if (first >= 0) {
        const differing = ref.filter((line, index) => line !== our[index]).length;
        throw new Error(
          `${scene}: ${output}: ulogd wrote ${ref.length} lines, flowlogd ${our.length}; ${differing} differ, first line ${first + 1}:\n` +
            `  ulogd    ${show(ref[first])}\n  flowlogd ${show(our[first])}\n  ${pointer(ref[first], our[first])}`,
        );
      }
      if (lines !== undefined && ref.length !== lines)
        throw new Error(`${scene}: ${output}: ${ref.length} lines, not ${lines}: the reference saw something else`);
      if (ref.length < atLeast)
        throw new Error(`${scene}: ${output}: only ${ref.length} lines: the reference saw too little`);
      return `${output} ${ref.length} lines`;
    });
  }

  /** Leaves out of the next comparison what this one was about. */
  forget(): void {
    for (const side of SIDES) {
      for (const output of this.#setup.outputs) {
        const file = `${side}.${output}`;
        this.#read[file] = (this.#read[file] ?? 0) + Buffer.byteLength(this.#scene(side, output), 'latin1');
      }
    }
    this.#sent = [];
  }

  #output(side: Side, output: string): string {
    return join(this.lab.directory, `${side}.${output}`);
  }

  /** What was written up to the marker: what the system logs of its own accord behind it reaches the two sides at different times. */
  #scene(side: Side, output: string): string {
    const fresh = this.#fresh(side, output);
    return /^[\s\S]*?^.*MARKER.*\n/m.exec(fresh)?.[0] ?? fresh;
  }

  /** Latin-1, so that one character is one byte whatever the daemon wrote. */
  #fresh(side: Side, output: string): string {
    return readFileSync(this.#output(side, output)).toString('latin1', this.#read[`${side}.${output}`] ?? 0);
  }

  #logOf(side: Side): string {
    const files = [`${side}.stderr`, `${side}.log`].map((name) => join(this.lab.directory, name));
    const text = files.map((file) => (existsSync(file) ? readFileSync(file, 'latin1') : '')).join('');
    return `its log ends:\n${text.split('\n').slice(-12).join('\n')}`;
  }

  #keepSample(scene: string, name: string, content: string): void {
    if (!this.#keep) return;
    const folder = join(this.#keep, scene.replaceAll(/[^\w.+-]+/g, '_'));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), content, 'latin1');
  }
}

/** What to expect of a comparison: `lines` exactly, in any order if `sorted`, lines matching `without` left out;
 * `kernelTimes` when both must copy the times of an ended flow from the kernel (a new one carries none). */
export interface Comparison {
  readonly lines?: number;
  readonly atLeast?: number;
  readonly sorted?: boolean;
  readonly without?: RegExp;
  readonly kernelTimes?: boolean;
}

/** The daemon of a side. */
export function daemonOf(side: Side): string {
  if (side === 'ref') return '/usr/sbin/ulogd';
  const wanted = process.env.FLOWLOGD;
  if (wanted) return wanted.includes('/') ? resolve(wanted) : wanted;
  const built = join(here, '../../dist/main.js');
  if (!existsSync(built)) throw new Error(`${built} is missing: npm run build`);
  return built;
}

function readProcess(pid: number, path: string): string {
  try {
    return readFileSync(`/proc/${pid}/${path}`, 'latin1');
  } catch {
    return ''; // not yet, or no longer
  }
}

/**
 * Hides what cannot be the same: ulogd 2.0.8 prints a piece of a heap address in place of ARP's IP addresses. And it
 * hides when, and nothing else: digits of a well-formed time become `0`, a malformed one stays and differs.
 * The global sequence counts over all groups of a namespace, so the second group is always one ahead of the first.
 */
export function mask(line: string, side: Side, kernelTimes = false): string {
  const timed = kernelTimes && line.includes('"ct.event": 4') ? 'oob\\.time' : 'oob\\.time|flow\\.start|flow\\.end';
  return line
    .replace(
      /("@?timestamp": ")([-+:.T\d]*)"/,
      (_, key: string, time: string) => `${key}${time.replaceAll(/\d/g, '0')}"`,
    )
    .replaceAll(new RegExp(`("(?:${timed})\\.sec": )\\d{10}\\b`, 'g'), '$1T')
    .replaceAll(new RegExp(`("(?:${timed})\\.usec": )\\d{1,6}\\b`, 'g'), '$1T')
    .replace(
      /("oob\.seq\.global": )(\d+)/,
      (_, key: string, value: string) => key + (Number(value) - Number(side === 'our')),
    )
    .replace(/ SRC=[\d.]+ DST=[\d.]+ (?=PROTO=ARP)/, ' SRC=? DST=? ')
    .replaceAll(/("arp\.[sd]addr\.str": ")[\d.]+"/g, '$1?"')
    .replaceAll(/\b(arp\.[sd]addr(?:\.str)?=)[\d.]+/g, '$1?')
    .replaceAll(/\b((?:oob\.time|flow\.start|flow\.end)\.sec=)\d{10}\b/g, '$1T')
    .replaceAll(/\b((?:oob\.time|flow\.start|flow\.end)\.usec=)\d{1,6}\b/g, '$1T')
    .replace(/^timestamp=\d{4}\/\d\d\/\d\d-\d\d:\d\d:\d\d,/, 'TIME,')
    .replace(/^[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d /, 'TIME ')
    .replaceAll(CONTROL, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** ulogd2 lets bytes from a prefix through that end a line or command a terminal; flowlogd shows them, also under compat. */
const CONTROL = /[\0-\x08\x0b-\x1f\x7f]/g;

function show(line: string | undefined): string {
  return line === undefined ? '(nothing)' : JSON.stringify(line.replace(/\n$/, '⏎'));
}

function pointer(ref = '', our = ''): string {
  let at = 0;
  while (at < ref.length && ref[at] === our[at]) at++;
  return `byte ${at}: …${JSON.stringify(ref.slice(Math.max(0, at - 30), at + 30))} / …${JSON.stringify(our.slice(Math.max(0, at - 30), at + 30))}`;
}
