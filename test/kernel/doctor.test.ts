// flowlogd doctor: each finding there and, once its command was run, gone.
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Folder, killRest, Run, type RunSettings } from '../support/daemon.ts';

const lab = new Lab();
chmodSync(lab.directory, 0o755);
afterEach(killRest);
afterAll(() => lab.close());

interface Reported {
  readonly check: string;
  readonly severity: string;
  readonly namespace?: string;
  readonly message: string;
  readonly command?: string;
  readonly keep?: string;
}

/** The doctor in a namespace of its own, with a configuration if one is given. */
class Practice {
  readonly namespace = lab.namespace('doctor');
  readonly folder: Folder | undefined;
  readonly settings: RunSettings;

  constructor(configuration?: string, { outside = false, ...settings }: RunSettings & { outside?: boolean } = {}) {
    const text = configuration?.replaceAll('@own', this.namespace);
    this.folder = text === undefined ? undefined : new Folder(lab, text);
    this.settings = outside ? settings : { ...settings, namespace: this.namespace };
  }

  async run(...flags: string[]) {
    const file = this.folder ? ['-c', this.folder.configuration] : [];
    const run = new Run(lab, ['doctor', ...file, ...flags], this.settings);
    return { code: await run.ended, stdout: run.stdout, stderr: run.stderr };
  }

  /** What one check finds. */
  async findings(check: string, ...flags: string[]): Promise<Reported[]> {
    const { stdout, stderr } = await this.run('--json', ...flags);
    if (stderr !== '') throw new Error(stderr);
    return (JSON.parse(stdout) as { findings: Reported[] }).findings.filter((one) => one.check === check);
  }

  sh(commands: string): string {
    return lab.sh(commands, this.namespace);
  }
}

/** A stack of the packets of group 5, to a file in a folder that is there. */
const PACKETS =
  '[global]\nstack=log1:NFLOG,base1:BASE,json1:JSON\n[json1]\nfile="/out/packets.json"\n[log1]\ngroup=5\n';
const FLOWS = '[global]\nstack=ct1:NFCT,json1:JSON\n[json1]\nfile="/out/flows.json"\n[ct1]\n';
const GOOD =
  'sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1';
const messages = (findings: readonly Reported[]) => findings.map(({ severity, message }) => `${severity}: ${message}`);

describe('conntrack-settings', () => {
  test.each([
    ['nf_conntrack_acct', 0, 'warning', 'every counter in the log is 0'],
    ['nf_conntrack_timestamp', 0, 'warning', 'keeps no begin and end'],
    ['nf_conntrack_events', 2, 'warning', 'missing after each restart'],
    ['nf_conntrack_events', 0, 'error', 'reports no connection at all'],
  ])('%s=%i is a finding, which --fix mends', async (setting, value, severity, meaning) => {
    const practice = new Practice();
    practice.sh(`${GOOD}; sysctl -qw net.netfilter.${setting}=${value}`);
    expect(await practice.findings('conntrack-settings')).toEqual([
      {
        check: 'conntrack-settings',
        severity,
        message: expect.stringMatching(new RegExp(`^${setting} is ${value}: .*${meaning}`)),
        command: `sysctl -w net.netfilter.${setting}=1`,
        keep: expect.stringContaining('where the namespace is made'),
      },
    ]);
    const { stdout } = await practice.run('--fix', '--yes');
    expect(stdout).toContain(`net.netfilter.${setting} was ${value} and is 1\n`);
    expect(await practice.findings('conntrack-settings')).toEqual([]);
    expect((await practice.run('--fix', '--yes')).stdout).toContain('nothing of it is a setting');
  });

  test('of the namespace that the input names are found and mended from outside', async () => {
    const practice = new Practice(`${FLOWS}network_namespace_path="/run/netns/@own"\n`, { outside: true });
    practice.sh(`${GOOD}; sysctl -qw net.netfilter.nf_conntrack_acct=0`);
    const path = `/run/netns/${practice.namespace}`;
    const [found, ...more] = await practice.findings('conntrack-settings');
    expect(more).toEqual([]);
    expect(found?.namespace).toBe(path);
    // The command itself is right, not only what --fix does.
    lab.sh(found?.command ?? '');
    expect(await practice.findings('conntrack-settings')).toEqual([]);
    practice.sh('sysctl -qw net.netfilter.nf_conntrack_acct=0');
    const { stdout } = await practice.run('--fix', '-y');
    expect(stdout).toContain(`${path}: net.netfilter.nf_conntrack_acct was 0 and is 1`);
    expect(await practice.findings('conntrack-settings')).toEqual([]);
  });

  test('do not matter to who reads no connections, nor events to who polls', async () => {
    const off =
      'sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=0';
    const packets = new Practice(PACKETS);
    packets.sh(off);
    expect(await packets.findings('conntrack-settings')).toEqual([]);
    const polls = new Practice(`${FLOWS}pollinterval=5\n`);
    polls.sh(off);
    expect(await polls.findings('conntrack-settings')).toEqual([]);
    const listens = new Practice(FLOWS);
    listens.sh(off);
    expect(await listens.findings('conntrack-settings')).toHaveLength(1);
  });
});

describe('--fix', () => {
  test('asks before each command, and runs those that are wanted', async () => {
    const practice = new Practice();
    practice.sh(`${GOOD}; sysctl -qw net.netfilter.nf_conntrack_acct=0 net.netfilter.nf_conntrack_timestamp=0`);
    const program = new URL('../../dist/main.js', import.meta.url).pathname;
    const terminal = `printf 'n\\ny\\n' | script -qec '${process.execPath} ${program} doctor --fix' /dev/null`;
    const shown = practice.sh(`${terminal} || true`);
    expect(shown).toContain('run it? [y/N]');
    expect(shown).toContain('\x1b[33mwarning\x1b[0m');
    expect(shown).toContain('nf_conntrack_timestamp was 0 and is 1');
    expect(practice.sh('sysctl -n net.netfilter.nf_conntrack_acct net.netfilter.nf_conntrack_timestamp')).toBe(
      '0\n1\n',
    );
  });

  test('needs a terminal to ask', async () => {
    const { code, stderr } = await new Practice().run('--fix');
    expect(code).toBe(2);
    expect(stderr).toContain('there is no terminal: add --yes');
  });
});

describe('nflog-groups', () => {
  test('a group that another program holds is named with it', async () => {
    const practice = new Practice(PACKETS);
    practice.sh('nft add table inet t; nft "add chain inet t c"; nft "add rule inet t c log group 5"');
    expect(await practice.findings('nflog-groups')).toEqual([]);
    const configuration = join(practice.folder?.path ?? '', 'ulogd.conf');
    const plugins = '/usr/lib/x86_64-linux-gnu/ulogd';
    writeFileSync(
      configuration,
      `[global]\nlogfile="stdout"\nplugin="${plugins}/ulogd_inppkt_NFLOG.so"\nplugin="${plugins}/ulogd_output_GPRINT.so"\nstack=log1:NFLOG,gp1:GPRINT\n[log1]\ngroup=5\n[gp1]\nfile="/dev/null"\n`,
    );
    const ulogd = lab.start(['ulogd', '-c', configuration], practice.namespace);
    await until('ulogd holds the group', () =>
      / 5 /.test(practice.sh('cat /proc/net/netfilter/nfnetlink_log').padStart(80)),
    );
    const [pid] = practice.sh(`ip netns pids ${practice.namespace}`).trim().split('\n');
    const held = `error: NFLOG group 5 of [log1] is held by process ${pid} (ulogd): a group has one reader, so flowlogd will not get its packets`;
    expect(messages(await practice.findings('nflog-groups'))).toEqual([held]);
    expect(messages(await practice.findings('ulogd'))[0]).toContain(`runs beside flowlogd (process ${pid})`);
    const ended = new Promise((done) => ulogd.once('exit', done));
    ulogd.kill();
    await ended;
    expect(await practice.findings('nflog-groups')).toEqual([]);
    expect(await practice.findings('ulogd')).toEqual([]);
  });

  test.each([
    ['nft', 'nft add table inet t; nft "add chain inet t c"; nft "add rule inet t c log prefix \\"group 9\\" group 5"'],
    ['iptables-nft', 'iptables-nft -A INPUT -j NFLOG --nflog-prefix "--nflog-group 9" --nflog-group 5'],
    ['ip6tables-nft', 'ip6tables-nft -A FORWARD -j NFLOG --nflog-group 5'],
    ['iptables-legacy', 'iptables-legacy -A OUTPUT -p tcp -j NFLOG --nflog-group 5'],
    ['ip6tables-legacy', 'ip6tables-legacy -t raw -A PREROUTING -j NFLOG --nflog-group 5'],
  ])('a rule of %s feeds its group, and is lost when nobody reads that', async (_, rule) => {
    const reader = new Practice(PACKETS);
    expect(messages(await reader.findings('nflog-groups'))).toEqual([
      'warning: no rule logs to NFLOG group 5 of [log1]: it will get no packet',
    ]);
    reader.sh(rule);
    expect(await reader.findings('nflog-groups')).toEqual([]);

    const other = new Practice(PACKETS.replace('group=5', 'group=0'));
    expect(await other.findings('nflog-groups')).toEqual([]);
    other.sh(rule);
    const found = await other.findings('nflog-groups');
    const [lost, ...more] = messages(found);
    expect(more).toEqual([]);
    // The command shows the rule that it is about.
    expect(other.sh(found[0]?.command ?? '')).toMatch(/group 5|--nflog-group 5/);
    expect(lost).toMatch(/^warning: nobody reads NFLOG group 5: what its rules log is lost \(/);
  });

  test('a rule without a group is none of NFLOG’s, and one of iptables without a number logs to group 0', async () => {
    const practice = new Practice();
    practice.sh('nft add table inet t; nft "add chain inet t c"; nft "add rule inet t c log prefix \\"x\\""');
    expect(await practice.findings('nflog-groups')).toEqual([]);
    practice.sh('iptables-nft -A INPUT -j NFLOG');
    expect(messages(await practice.findings('nflog-groups'))[0]).toMatch(/nobody reads NFLOG group 0: .*INPUT/);
  });

  test('a rule that a running flowlogd reads is no finding', async () => {
    const practice = new Practice(PACKETS);
    practice.sh('iptables-nft -A INPUT -j NFLOG --nflog-group 5');
    const daemon = new Run(lab, ['-c', practice.folder?.configuration ?? ''], practice.settings);
    await until('it runs', () => practice.folder?.log.includes('flowlogd runs'));
    expect(await practice.findings('nflog-groups')).toEqual([]);
    const kernelOnly = await new Run(lab, ['doctor', '--json'], practice.settings);
    await kernelOnly.ended;
    expect(kernelOnly.stdout).not.toContain('nflog-groups');
    await daemon.stop();
  });
});

describe('rights', () => {
  const without = (...names: string[]) => {
    const sets = names.map((name) => `-${name}`).join(',');
    return { before: ['setpriv', `--bounding-set=${sets}`, `--inh-caps=${sets}`] };
  };

  test('capabilities that are missing are named', async () => {
    expect(await new Practice(PACKETS).findings('capabilities')).toEqual([]);
    const bare = new Practice(PACKETS, without('net_admin'));
    expect(messages(await bare.findings('capabilities'))[0]).toMatch(/^warning: this process has no CAP_NET_ADMIN/);
    const inside = new Practice(`${FLOWS}network_namespace_path="/run/netns/@own"\n`, {
      outside: true,
      ...without('sys_admin'),
    });
    const found = await inside.findings('capabilities');
    expect(messages(found)[0]).toMatch(/^warning: this process has no CAP_SYS_ADMIN/);
    expect(found[0]?.command).toContain('--ambient-caps=-all,+net_admin,+sys_admin');
    // What it could not look at it says.
    expect(messages(await inside.findings('namespaces'))[0]).toMatch(/^unknown: cannot look into the namespace/);
  });

  test('without CAP_NET_ADMIN a buffer is bound by net.core.rmem_max, with it it is not', async () => {
    const large = `${PACKETS}netlink_socket_buffer_size=536870912\n`;
    expect(await new Practice(large).findings('receive-buffer')).toEqual([]);
    const [found] = await new Practice(large, without('net_admin')).findings('receive-buffer');
    expect(found?.message).toMatch(/^log1:NFLOG asks for a socket buffer of 536870912 bytes, and .* gets \d+ at most/);
    expect(found?.command).toMatch(/sysctl -w net\.core\.rmem_max=536870912$/);
    const small = `${PACKETS}netlink_socket_buffer_size=65536\n`;
    expect(await new Practice(small, without('net_admin')).findings('receive-buffer')).toEqual([]);
  });
});

describe('folders', () => {
  test('that are missing, or closed to the user that the daemon becomes', async () => {
    const practice = new Practice(PACKETS.replace('/out/', '/out/deep/deeper/'));
    const folder = join(practice.folder?.path ?? '', 'deep', 'deeper');
    const [missing] = await practice.findings('folders');
    expect(missing?.message).toBe(`json1:JSON file= ${folder} does not exist`);
    mkdirSync(dirname(folder));
    expect(messages(await practice.findings('folders'))).toEqual([
      `note: json1:JSON file= ${folder} does not exist: it will be made`,
    ]);
    lab.sh(missing?.command ?? '');
    expect(await practice.findings('folders')).toEqual([]);
    chmodSync(dirname(folder), 0o755);
    expect(messages(await practice.findings('folders', '-u', 'nobody'))).toContainEqual(
      `error: json1:JSON file= the user 65534 may not make files in ${folder}`,
    );
    chownSync(folder, 65534, 65534);
    chmodSync(practice.folder?.path ?? '', 0o777);
    writeFileSync(join(folder, 'packets.json'), '', { mode: 0o600 });
    const [closed, ...more] = await practice.findings('folders', '-u', 'nobody');
    expect(more).toEqual([]);
    expect(closed?.message).toContain(`may not write ${folder}/packets.json`);
    lab.sh(closed?.command ?? '');
    expect(await practice.findings('folders', '-u', 'nobody')).toEqual([]);
  });

  test('that depend on where the daemon is started are worth a note', async () => {
    const practice = new Practice(PACKETS.replace('/out/', ''), { cwd: lab.directory });
    expect(messages(await practice.findings('folders'))).toEqual([
      expect.stringMatching(/^note: json1:JSON file= packets\.json is a relative path: /),
    ]);
  });

  test('whose disk is full, or nearly, or too small for what a spool may take', async () => {
    const practice = new Practice(PACKETS.replace('/out/packets.json', '/out/disk/packets.json'));
    const disk = join(practice.folder?.path ?? '', 'disk');
    mkdirSync(disk);
    lab.sh(`mount -t tmpfs -o size=1m none ${disk}`);
    try {
      const look = async () => messages(await practice.findings('folders'));
      expect(await look()).toEqual([]);
      lab.sh(`head -c 1000000 /dev/zero > ${disk}/filler`);
      expect((await look())[0]).toMatch(/^warning: json1:JSON file= \d % of the disk/);
      lab.sh(`cat /dev/zero > ${disk}/filler 2>/dev/null || true`);
      expect((await look())[0]).toMatch(/^error: json1:JSON file= the disk of .* is full/);
      lab.sh(`rm ${disk}/filler`);
      expect(await look()).toEqual([]);
      mkdirSync(join(disk, 'spool'));
      const spool = new Practice(
        `[global]\nstack=log1:NFLOG,json1:JSON\n[log1]\ngroup=0\n[json1]\nmode=tcp\nspool="${disk}/spool"\nspool_max=2097152\n`,
      );
      expect(messages(await spool.findings('folders'))[0]).toMatch(
        /^warning: json1:JSON spool= spool_max promises 2 MiB/,
      );
    } finally {
      lab.sh(`umount ${disk}`);
    }
  });
});

test('a namespace that does not exist is an error, until it is made', async () => {
  const name = `doctor-late-${process.pid}`;
  const practice = new Practice(`${FLOWS}network_namespace_path="/run/netns/${name}"\n`, { outside: true });
  const [found] = await practice.findings('namespaces');
  expect(found?.message).toContain('the namespace does not exist');
  expect(found?.command).toBe(`ip netns add ${name}`);
  lab.namespace(name, { exact: true });
  expect(await practice.findings('namespaces')).toEqual([]);
});

test('the namespaces that a pattern means are looked into, and none is worth a note', async () => {
  const name = `doctor-many-${process.pid}`;
  const practice = new Practice(`${FLOWS}network_namespaces="${name}-*"\n`, { outside: true });
  expect(messages(await practice.findings('namespaces'))).toEqual([
    `note: [ct1] network_namespaces="${name}-*": no such namespace is there at present`,
  ]);
  expect(await practice.findings('conntrack-settings')).toEqual([]);
  lab.namespace(`${name}-1`, { exact: true });
  expect(await practice.findings('namespaces')).toEqual([]);
  const settings = await practice.findings('conntrack-settings');
  expect(new Set(settings.map(({ namespace }) => namespace))).toEqual(new Set([`/run/netns/${name}-1`]));
});

test('a configuration that every user can write is an error', async () => {
  const practice = new Practice(PACKETS);
  expect(await practice.findings('configuration-file')).toEqual([]);
  chmodSync(practice.folder?.configuration ?? '', 0o666);
  const [found] = await practice.findings('configuration-file');
  expect(found?.message).toContain('every user can write');
  lab.sh(found?.command ?? '');
  expect(await practice.findings('configuration-file')).toEqual([]);
});

test('the clock is found as the kernel has it', async () => {
  const read = 'import ctypes; b = ctypes.create_string_buffer(256); print(ctypes.CDLL(None).adjtimex(b) == 5)';
  const unsynchronised = execFileSync('python3', ['-c', read], { encoding: 'utf8' }).trim() === 'True';
  expect(await new Practice().findings('clock')).toHaveLength(unsynchronised ? 1 : 0);
});

test('local time that jumps is worth a note where lines have no zone', async () => {
  const lines =
    '[global]\nstack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU\n[emu1]\nfile="/out/x"\n';
  const notes = async (TZ: string) =>
    (await new Practice(lines, { env: { TZ } }).findings('clock')).filter(({ severity }) => severity === 'note');
  expect((await notes('Europe/Berlin'))[0]?.message).toContain('changes by 60 minutes');
  expect(await notes('UTC')).toEqual([]);
});

describe('the exit code', () => {
  test('is 1 with a warning, and 2 when the configuration cannot be looked at', async () => {
    const practice = new Practice();
    practice.sh('sysctl -qw net.netfilter.nf_conntrack_acct=0');
    expect((await practice.run()).code).toBe(1);
    const broken = await new Practice('[global]\nstack=log1:NFLOG,json1:JSNO\n').run();
    expect(broken.code).toBe(2);
    expect(broken.stderr).toMatch(/flowlogd\.conf:5:24: error: stack: unknown plugin "JSNO"/);
  });

  test('is 2 for a command line that is none', async () => {
    expect((await new Practice().run('--fixx')).code).toBe(2);
    expect((await new Practice().run('--fix', '--json')).code).toBe(2);
  });
});
