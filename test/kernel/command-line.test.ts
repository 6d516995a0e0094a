// The command line: every flag, every command, every exit code.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, FLOWS, Folder, killRest, logDatagrams, PACKETS, Run, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('command');
chmodSync(lab.directory, 0o755); // for the daemon that is nobody
logDatagrams(lab, namespace, 5);
afterEach(killRest);
afterAll(() => lab.close());

async function run(...words: string[]) {
  const run = new Run(lab, words, { namespace, cwd: lab.directory });
  return { code: await run.ended, stdout: run.stdout, stderr: run.stderr };
}

/** Processes inside the namespace, by id: those in the background too. */
const inside = () => lab.sh(`ip netns pids ${namespace}`).split('\n').filter(Boolean).map(Number);
const statusOf = (pid: number) => readFileSync(`/proc/${pid}/status`, 'utf8');
/** Gone, or a zombie that whoever adopted it has not looked at yet. */
const isDead = (pid: number) => !existsSync(`/proc/${pid}`) || /^State:\tZ/m.test(statusOf(pid));

async function end(pid: number): Promise<void> {
  process.kill(pid, 'SIGTERM');
  await until(`process ${pid} ends`, () => isDead(pid));
}

describe('what needs no configuration', () => {
  test('-h shows every flag', async () => {
    for (const flag of ['-h', '--help', 'help']) {
      const { code, stdout, stderr } = await run(flag);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      for (const known of ['-c, --configfile', '-d, --daemon', '-p, --pidfile', '-u, --uid', '-l, --loglevel'])
        expect(stdout).toContain(known);
    }
  });

  test('-V shows the version of package.json', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await run('-V')).toEqual({ code: 0, stdout: `flowlogd Version ${version}\n`, stderr: '' });
    expect(await run('--version')).toEqual({ code: 0, stdout: `flowlogd Version ${version}\n`, stderr: '' });
  });

  test('-i takes a name and the file name of ulogd’s plugin alike', async () => {
    const { code, stdout } = await run('-i', 'JSON');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Name: JSON\n/);
    expect(stdout).toContain('\tVar: file (String, Default: /var/log/ulogd.json)');
    for (const words of [
      ['-i', '/usr/lib/x86_64-linux-gnu/ulogd/ulogd_output_JSON.so'],
      ['--info', 'ulogd_output_JSON.so'],
      ['info', 'JSON'],
    ]) {
      expect(await run(...words)).toEqual({ code: 0, stdout, stderr: '' });
    }
  });

  test('info lists every plugin, and names the nearest one for a typing error', async () => {
    const { code, stdout } = await run('info');
    expect(code).toBe(0);
    for (const name of ['NFLOG', 'NFCT', 'BASE', 'IFINDEX', 'PRINTPKT', 'LOGEMU', 'JSON']) {
      expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    }
    const typo = await run('info', 'NFLOGG');
    expect(typo).toMatchObject({ code: 1, stdout: '' });
    expect(typo.stderr).toMatch(/no plugin "NFLOGG".*NFLOG\b/);
  });

  test('info shows the options of [global], and lists it', async () => {
    expect((await run('info')).stdout).toMatch(/^Sections of the configuration:\n {2}global .*\n {2}neutron /m);
    const { code, stdout } = await run('info', 'global');
    expect([code, await run('info', '[global]')]).toEqual([0, { code: 0, stdout, stderr: '' }]);
    expect(stdout).toMatch(/^Section: \[global\]\n/);
    expect(stdout).toContain('\tVar: loglevel (Integer, Default: 5)\t');
    expect((await run('info', 'globl')).stderr).toContain('did you mean "global"?');
  });

  test('info gives the unit of a number', async () => {
    const { stdout } = await run('info', 'NFLOG');
    expect(stdout).toContain('\tVar: netlink_qtimeout (Integer, Default: 0, in 1/100 s)\t');
  });

  test('spool says in words what is wrong with its directory', async () => {
    const file = join(lab.directory, 'no-spool');
    writeFileSync(file, '');
    expect((await run('spool', 'ls', '/nowhere/spool')).stderr).toMatch(
      /^flowlogd: there is no spool \/nowhere\/spool: /,
    );
    expect(await run('spool', 'ls', file)).toEqual({
      code: 1,
      stdout: '',
      stderr: `flowlogd: ${file} is no directory, and so no spool\n`,
    });
  });

  test('an unknown flag, command or operand ends with 1 and a word on stderr', async () => {
    for (const words of [
      ['-x'],
      ['--nonsense'],
      ['fly'],
      ['check'],
      ['info', 'JSON', 'NFLOG'],
      ['-c'],
      ['-V', 'more'],
    ]) {
      const { code, stdout, stderr } = await run(...words);
      expect({ words, code, stdout }).toEqual({ words, code: 1, stdout: '' });
      expect(stderr).toMatch(/^flowlogd: .+\nTry "flowlogd --help"\.\n$/);
    }
  });
});

describe('check', () => {
  test('names file, line and column of every error, and ends with 1', async () => {
    const file = join(lab.directory, 'broken.conf');
    writeFileSync(
      file,
      '[global]\nstack=log1:NFLOGG,emu1:LOGEMU\nstack=ct1:NFCT,emu1:LOGEMU\n[ct1]\nevent_mask=9\nhash_enabel=0\n',
    );
    const { code, stdout } = await run('check', file);
    expect(code).toBe(1);
    expect(stdout).toMatch(/broken\.conf:2:\d+: error: .*NFLOGG.*NFLOG\b/);
    expect(stdout).toMatch(/broken\.conf:3:\d+: error: .*print/);
    expect(stdout).toMatch(/broken\.conf:5:12: error: .*event_mask/);
    expect(stdout).toMatch(/broken\.conf:6:1: error: .*hash_enabel.*hash_enable/);
    expect(stdout).toMatch(/: 2 stacks on \d inputs?, 4 errors, 0 warnings\n$/);
  });

  test('ends with 0 for a good one, and 1 for a file that is not there', async () => {
    const folder = new Folder(lab, PACKETS);
    expect(await run('check', folder.configuration)).toMatchObject({ code: 0, stderr: '' });
    const missing = await run('check', '/nowhere/ulogd.conf');
    expect(missing.code).toBe(1);
    expect(missing.stdout).toContain('/nowhere/ulogd.conf: error: cannot be read: ENOENT');
  });
});

describe('running', () => {
  test('a broken configuration ends with 1 and its errors on stderr', async () => {
    const folder = new Folder(lab, `${PACKETS}groups=7\n`);
    const { code, stderr } = await run('-c', folder.configuration);
    expect(code).toBe(1);
    expect(stderr).toMatch(/flowlogd\.conf:\d+:1: error: \[log1\] groups: unknown option.*group\b/);
    expect(stderr).toContain('nothing was started');
  });

  test('a log that cannot be opened ends with 2', async () => {
    const folder = new Folder(lab, PACKETS.replace('[global]', '[global]\nlogfile="/nowhere/at/all.log"'));
    const { code, stderr } = await run('-c', folder.configuration);
    expect(code).toBe(2);
    expect(stderr).toContain('/nowhere/at/all.log');
  });

  test('without a logfile it runs, and says on stderr what it does', async () => {
    const folder = new Folder(lab, PACKETS.replace('[global]', '[global]\n#logfile="x"'));
    writeFileSync(folder.configuration, readFileSync(folder.configuration, 'utf8').replace(/^logfile.*$/m, ''));
    const daemon = new Run(lab, ['-c', folder.configuration], { namespace });
    await until('it runs', () => daemon.stderr.includes('flowlogd runs 2 stacks'));
    expect(await daemon.stop()).toBe(0);
  });

  test('a stack that is not run is not counted among those that run', async () => {
    const text = PACKETS.replace('file="/out/packets', 'file="/nowhere/at/all/packets');
    expect(text).not.toBe(PACKETS);
    const daemon = await Daemon.start(lab, text, { namespace });
    expect(daemon.log).toContain('flowlogd runs 1 of 2 stacks of ');
    expect(await daemon.stop()).toBe(0);
  });

  test('-l wins over loglevel, and -v copies the log to stderr', async () => {
    const daemon = await Daemon.start(lab, PACKETS, { namespace, flags: ['-v', '-l', '5'] });
    expect(await daemon.stop()).toBe(0);
    expect(daemon.stderr).toBe(daemon.log);
    expect(daemon.log).not.toContain('<3>');
    const quiet = Daemon.launch(lab, PACKETS, { namespace, flags: ['-l', '8'] });
    await until('the group is bound', () => existsSync(quiet.folder.file('packets.log')));
    await until('it reads', () => {
      sendDatagrams(lab, namespace);
      return quiet.folder.read('packets.log') !== '';
    });
    expect(await quiet.stop()).toBe(0);
    expect(quiet.log).toBe('');
    const junk = await Daemon.start(lab, FLOWS, { namespace, flags: ['-l', 'much'] });
    expect(await junk.stop()).toBe(0);
    expect(junk.log).toContain('<3>');
  });

  test('in the foreground a relative file stays where it was when files are opened again', async () => {
    const folder = new Folder(lab, PACKETS.replaceAll('/out/packets', 'packets'));
    const daemon = new Run(lab, ['-c', basename(folder.configuration)], { namespace, cwd: folder.path });
    await until('it runs', () => folder.log.includes('flowlogd runs'));
    execFileSync('mv', [folder.file('packets.log'), folder.file('packets.log.1')]);
    daemon.signal('SIGHUP');
    await until('files are opened again', () => folder.log.includes('opened again'));
    expect(existsSync(folder.file('packets.log'))).toBe(true);
    expect(existsSync('/packets.log')).toBe(false);
    expect(await daemon.stop()).toBe(0);
  });
});

describe('-d', () => {
  test('returns 0 when the daemon reads, with a relative -c, however the flags are joined', async () => {
    for (const [index, flags] of [['-d', '-c'], ['-dc'], ['-dvc'], ['--daemon', '--configfile']].entries()) {
      const folder = new Folder(lab, PACKETS);
      const pidFile = `pid-${index}`;
      const parent = new Run(lab, ['-p', pidFile, ...flags, 'flowlogd.conf'], { namespace, cwd: folder.path });
      expect({ flags, code: await parent.ended, stdout: parent.stdout }).toEqual({ flags, code: 0, stdout: '' });
      // Ready means ready: what is sent from now on is read.
      sendDatagrams(lab, namespace);
      await until('the packet', () => folder.read('packets.log').includes('DPT=9'));
      const pid = Number(folder.read(pidFile));
      expect(inside().filter((one) => !isDead(one))).toEqual([pid]);
      expect(lab.sh(`ps -o sid= -p ${pid}`).trim()).toBe(String(pid)); // a session of its own
      expect(lab.sh(`readlink /proc/${pid}/cwd`).trim()).toBe('/');
      await end(pid);
      expect(folder.log).toContain('SIGTERM');
      expect(existsSync(folder.file(pidFile))).toBe(false);
    }
  });

  test('returns 1 with the error when the configuration is broken or nothing can start', async () => {
    const broken = new Folder(lab, `${PACKETS}groups=7\n`);
    const first = await run('-d', '-c', broken.configuration);
    expect(first.code).toBe(1);
    expect(first.stderr).toContain('unknown option');
    const unwritable = new Folder(lab, FLOWS.replace('/out/flows.json', '/proc/flows.json'));
    const second = await run('-d', '-c', unwritable.configuration);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('not a single stack could be started');
    expect((await run('-d', '-c', 'nowhere.conf')).code).toBe(1);
    expect(inside().filter((pid) => !isDead(pid))).toEqual([]);
  });

  test.each(['', 'logfile="stdout"'])(
    'without a log that it could keep (%j) it says that it logs to syslog',
    async (logfile) => {
      const folder = new Folder(lab, PACKETS);
      const text = readFileSync(folder.configuration, 'utf8').replace(/^logfile.*$/m, logfile);
      writeFileSync(folder.configuration, text);
      const { code, stdout, stderr } = await run('-d', '-c', folder.configuration, '-p', folder.file('pid'));
      await end(Number(folder.read('pid')));
      const said = `flowlogd: ${folder.configuration} names no logfile: in the background the log goes to syslog\n`;
      expect({ code, stdout, stderr: stderr.slice(0, said.length) }).toEqual({ code: 0, stdout: '', stderr: said });
    },
  );

  test('the daemon outlives the loss of its log folder, with nobody left to read its stderr', async () => {
    const folder = new Folder(lab, PACKETS.replace('[global]', '[global]\nlogfile="/out/logs/daemon.log"'));
    mkdirSync(folder.file('logs'));
    expect((await run('-dv', '-c', folder.configuration, '-p', folder.file('pid'))).code).toBe(0);
    const pid = Number(folder.read('pid'));
    execFileSync('mv', [folder.file('logs'), folder.file('gone')]);
    process.kill(pid, 'SIGHUP');
    await until('the complaint, in the file that is still open', () =>
      folder.read('gone/daemon.log').includes('cannot open the log again'),
    );
    mkdirSync(folder.file('logs'));
    process.kill(pid, 'SIGHUP');
    await until('the new log', () => folder.read('logs/daemon.log').includes('opened again'));
    sendDatagrams(lab, namespace);
    await until('the packet', () => folder.read('packets.log').includes('DPT=9'));
    await end(pid);
  });
});

describe('-p', () => {
  test('keeps a second daemon from starting, and names the first', async () => {
    const first = await Daemon.start(lab, FLOWS, { namespace, flags: ['-p', join(lab.directory, 'twice.pid')] });
    expect(readFileSync(join(lab.directory, 'twice.pid'), 'utf8')).toBe(`${first.pid}\n`);
    const second = Daemon.launch(lab, FLOWS, { namespace, flags: ['-p', join(lab.directory, 'twice.pid')] });
    expect(await second.ended).toBe(1);
    expect(second.stderr).toContain(`another daemon is already running with pid ${first.pid}`);
    expect(readFileSync(join(lab.directory, 'twice.pid'), 'utf8')).toBe(`${first.pid}\n`);
    expect(await first.stop()).toBe(0);
    expect(existsSync(join(lab.directory, 'twice.pid'))).toBe(false);
  });

  test('takes over what a killed daemon left behind, though a process has that id', async () => {
    const file = join(lab.directory, 'stale.pid');
    writeFileSync(file, `${process.pid}\nand more than one line`);
    const daemon = await Daemon.start(lab, FLOWS, { namespace, flags: ['-p', file] });
    expect(readFileSync(file, 'utf8')).toBe(`${daemon.pid}\n`);
    expect(await daemon.stop('SIGKILL')).toBe('SIGKILL');
    const next = await Daemon.start(lab, FLOWS, { namespace, flags: ['-p', file] });
    expect(readFileSync(file, 'utf8')).toBe(`${next.pid}\n`);
    expect(await next.stop()).toBe(0);
  });

  test('that cannot be written ends with 1', async () => {
    const daemon = Daemon.launch(lab, FLOWS, { namespace, flags: ['-p', '/nowhere/flowlogd.pid'] });
    expect(await daemon.ended).toBe(1);
    expect(daemon.stderr).toContain('/nowhere/flowlogd.pid');
  });
});

describe('-u', () => {
  const ids = () => lab.sh('id -u nobody; id -g nobody').trim().split('\n');

  test('runs as that user once everything is open, reads on, loses nothing at its end', async () => {
    const pidFile = join(lab.directory, 'nobody.pid');
    const daemon = await Daemon.start(lab, PACKETS, { namespace, flags: ['-u', 'nobody', '-p', pidFile] });
    const [user, group] = ids();
    expect(statusOf(daemon.pid)).toMatch(new RegExp(`^Uid:\\t${user}\\t${user}\\t${user}\\t${user}$`, 'm'));
    expect(statusOf(daemon.pid)).toMatch(new RegExp(`^Gid:\\t${group}\\t${group}\\t${group}\\t${group}$`, 'm'));
    // CAP_NET_ADMIN alone, in the main thread: each dump asks for it.
    expect(statusOf(daemon.pid)).toMatch(/^CapEff:\t0000000000001000$/m);
    expect(statusOf(daemon.pid)).toMatch(/^CapPrm:\t0000000000001000$/m);
    expect(statusOf(daemon.pid)).toMatch(/^Name:\tflowlogd$/m);
    expect(statusOf(daemon.pid)).toMatch(new RegExp(`^Groups:\\t${group} ?$`, 'm'));
    sendDatagrams(lab, namespace, 3);
    // The kernel still holds packets back when the signal comes: it waits up to a second for more.
    lab.sh(`nft 'add rule inet log5 out udp dport 9 log prefix "held" group 5'`, namespace);
    sendDatagrams(lab, namespace, 1);
    expect(await daemon.stop()).toBe(0);
    lab.sh('nft flush chain inet log5 out', namespace);
    lab.sh(`nft 'add rule inet log5 out udp dport 9 log prefix "test" queue-threshold 1 group 5'`, namespace);
    expect(daemon.folder.lines('packets.log')).toHaveLength(5);
    expect(readFileSync(pidFile, 'utf8')).toBe(''); // the folder is root's: the file stays, and names nobody
    expect(daemon.stderr).toBe('');
  });

  test('still polls, dumps after an overrun and obeys SIGUSR2', async () => {
    lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', namespace);
    const open = (port: number) =>
      `conntrack -I -s 10.7.0.1 -d 10.7.9.9 -p tcp --sport ${port} --dport 22 --state ESTABLISHED -t 600`;
    lab.sh(open(1), namespace);
    const text = `${FLOWS}[ct2]\npollinterval=1\n[json2]\nfile="/out/polled.json"\n`;
    const stacks = text.replace('[global]', '[global]\nstack=ct2:NFCT,ip2str1:IP2STR,json2:JSON');
    const daemon = await Daemon.start(lab, stacks, { namespace, flags: ['-u', 'nobody'] });
    daemon.signal('SIGUSR2');
    expect(await daemon.objects('flows.json', 1)).toMatchObject([{ 'ct.event': 2, 'orig.l4.sport': 1 }]);
    lab.sh('conntrack -F', namespace);
    expect((await daemon.objects('polled.json', 2)).at(-1)).toMatchObject({ 'ct.event': 4, 'orig.l4.sport': 1 });
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).not.toContain('broke off');
  });

  test('an unknown user ends with 1, before anything is opened', async () => {
    const daemon = Daemon.launch(lab, PACKETS, { namespace, flags: ['-u', 'nosuchuser'] });
    expect(await daemon.ended).toBe(1);
    expect(daemon.stderr).toContain('unknown user nosuchuser');
    expect(existsSync(daemon.folder.file('packets.log'))).toBe(false);
  });
});

test('the program runs from a link in a PATH folder', async () => {
  const folder = new Folder(lab, FLOWS);
  const link = join(lab.directory, 'flowlogd');
  execFileSync('ln', ['-s', new URL('../../dist/main.js', import.meta.url).pathname, link]);
  expect(lab.sh(`${link} check ${folder.configuration}`)).toContain('1 stack on 1 input, 0 errors');
  copyFileSync(folder.configuration, join(lab.directory, 'linked.conf'));
  lab.sh(`${link} -d -c ${join(lab.directory, 'linked.conf')} -p ${folder.file('pid')}`, namespace);
  await end(Number(folder.read('pid')));
});
