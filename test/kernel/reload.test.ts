// Hot reload: SIGHUP with a configuration that has changed, under traffic.
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, Run, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('reload');
for (const group of [5, 6]) logDatagrams(lab, namespace, group);
lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', namespace);
afterEach(killRest);
afterAll(() => lab.close());

/** Numbered packets of group 5 to same.json, whatever happens, and of group 6 to `file`. */
const twoInputs = (file: string, global = '') => `[global]
${global}
stack=same:NFLOG,base1:BASE,ip2str1:IP2STR,kept:JSON
stack=other:NFLOG,base2:BASE,ip2str2:IP2STR,moved:JSON
[same]
group=5
seq_local=1
[other]
group=6
seq_local=1
[kept]
file="/out/same.json"
[moved]
file="/out/${file}.json"
`;

/** Writes the daemon's configuration anew. */
function reconfigure({ folder }: Daemon, text: string): void {
  const whole = text.replace(
    '[global]',
    '[global]\nlogfile="/out/daemon.log"\nloglevel=3\ncontrol="/out/control.sock"',
  );
  writeFileSync(folder.configuration, whole.replaceAll('/out/', `${folder.path}/`));
}

/** Has the daemon read its configuration again. */
async function reload(daemon: Daemon, text: string, answer = 'was read again'): Promise<void> {
  reconfigure(daemon, text);
  const before = daemon.log.split(answer).length - 1;
  daemon.signal('SIGHUP');
  await daemon.logged(answer, before + 1);
}

/** Packets, about one in a millisecond; `end` returns how many there were. */
function traffic(daemon: Daemon): { end(): Promise<number> } {
  const going = daemon.folder.file('going');
  writeFileSync(going, '');
  lab.sh(`mkfifo ${going}.pipe`);
  const loop = `for ((i = 0; ; i++)); do [ -e ${going} ] || break; echo $i > /dev/udp/127.0.0.1/9; read -rt 0.001 <> ${going}.pipe; done; echo $i`;
  const sender = lab.start(['bash', '-c', loop], namespace);
  let sent = '';
  sender.stdout?.on('data', (text) => {
    sent += text;
  });
  const over = new Promise((done) => sender.once('close', done));
  return {
    async end() {
      lab.sh(`rm ${going}`);
      await over;
      return Number(sent);
    },
  };
}

const numbersOf = (packets: readonly Record<string, unknown>[]) => packets.map((packet) => packet['oob.seq.local']);
const upTo = (count: number) => Array.from({ length: count }, (_, number) => number);

describe.each([
  ['one thread', ''],
  ['two threads', 'workers=2'],
])('%s', (_, global) => {
  test('20 reloads under traffic lose and repeat nothing, of a stack that stays and of one whose output changes', async () => {
    const daemon = await Daemon.start(lab, twoInputs('0', global), { namespace });
    const sender = traffic(daemon);
    for (let i = 1; i <= 20; i++) {
      await daemon.lines('same.json', i * 20);
      await reload(daemon, twoInputs(String(i % 4), global));
    }
    const sent = await sender.end();
    await daemon.lines('same.json', sent);
    expect(await daemon.stop()).toBe(0);
    expect(numbersOf(daemon.folder.objects('same.json'))).toEqual(upTo(sent));
    const moved = ['0', '1', '2', '3'].flatMap((file) => daemon.folder.objects(`${file}.json`));
    expect(numbersOf(moved).toSorted((a, b) => Number(a) - Number(b))).toEqual(upTo(sent));
    expect(daemon.log).toContain('was read again: other:NFLOG changed; the rest as before');
    expect(daemon.log).not.toContain('<7>');
  });

  test('stacks and inputs are added and removed', async () => {
    const first = `[global]
${global}
stack=same:NFLOG,base1:BASE,ip2str1:IP2STR,kept:JSON
[same]
group=5
seq_local=1
[kept]
file="/out/same.json"
`;
    const daemon = await Daemon.start(lab, twoInputs('other', global), { namespace });
    await reload(daemon, first);
    expect(daemon.log).toContain('other:NFLOG removed; the rest as before');
    sendDatagrams(lab, namespace);
    await daemon.lines('same.json', 1);
    expect(daemon.folder.lines('other.json')).toEqual([]);
    await reload(daemon, twoInputs('other', global));
    expect(daemon.log).toContain('other:NFLOG added; the rest as before');
    sendDatagrams(lab, namespace);
    await daemon.lines('same.json', 2);
    await daemon.lines('other.json', 1);
    expect(await daemon.stop()).toBe(0);
  });
});

test('inputs that follow namespaces hand their sockets over too, also when other namespaces are named', async () => {
  const following = (file: string, others: string) =>
    twoInputs(file).replaceAll(/^group=.*/gm, `$&\nnetwork_namespaces="${namespace} ${others}"`);
  const daemon = await Daemon.start(lab, following('0', 'none-such'));
  const sender = traffic(daemon);
  for (let i = 1; i <= 10; i++) {
    await daemon.lines('same.json', i * 20);
    await reload(daemon, following(String(i % 4), i % 2 === 0 ? 'none-such' : 'no-other'));
  }
  const sent = await sender.end();
  await daemon.lines('same.json', sent);
  expect(await daemon.stop()).toBe(0);
  expect(numbersOf(daemon.folder.objects('same.json'))).toEqual(upTo(sent));
  const moved = ['0', '1', '2', '3'].flatMap((file) => daemon.folder.objects(`${file}.json`));
  expect(numbersOf(moved).toSorted((a, b) => Number(a) - Number(b))).toEqual(upTo(sent));
  expect(daemon.log).not.toContain('<7>');
});

test('after -u a reload that names namespaces for the first time is one error that says what to do', async () => {
  const daemon = await Daemon.start(lab, twoInputs('other'), { namespace, flags: ['-u', 'nobody'] });
  lab.sh(`chmod 755 ${lab.directory}; chmod -R a+rwX ${daemon.folder.path}`);
  const following = twoInputs('other').replaceAll(/^group=6/gm, 'group=6\nnetwork_namespaces="reload-*"');
  await reload(daemon, following);
  await daemon.logged('network_namespaces: no right to enter other namespaces (CAP_SYS_ADMIN)');
  expect(daemon.log.split('<7>')).toHaveLength(2);
  sendDatagrams(lab, namespace);
  await daemon.lines('same.json', 1);
  const attach = new Run(lab, ['attach', '-c', daemon.folder.configuration, namespace]);
  expect(await attach.ended).toBe(1);
  expect(attach.stderr).toContain('restart the daemon');
  expect(await daemon.stop()).toBe(0);
});

test('an end that is asked for during a reload ends also the thread that an input which comes would get', async () => {
  const two = twoInputs('other', 'workers=3');
  const three = two.replace('stack=same', 'stack=third:NFLOG,base3:BASE,ip2str3:IP2STR,json3:JSON\nstack=same');
  const daemon = await Daemon.start(lab, two, { namespace });
  reconfigure(daemon, `${three}[third]\ngroup=7\n[json3]\nfile="/out/third.json"\n`);
  daemon.signal('SIGSTOP');
  await until('the daemon stands still', () => lab.sh(`ps -o state= -p ${daemon.pid}`).trim() === 'T');
  daemon.signal('SIGHUP');
  daemon.signal('SIGTERM');
  daemon.signal('SIGCONT');
  expect(await daemon.ended).toBe(0);
});

test('a configuration with errors changes nothing, and the log names each of them', async () => {
  const daemon = await Daemon.start(lab, twoInputs('other'), { namespace });
  await reload(daemon, twoInputs('other').replace('group=6', 'gruop=6'), 'is not taken over: it has errors');
  expect(daemon.log).toMatch(/flowlogd\.conf:\d+:1: error: \[other\] gruop: unknown option; did you mean "group"\?/);
  sendDatagrams(lab, namespace);
  await daemon.lines('other.json', 1);
  await reload(daemon, twoInputs('other'));
  expect(daemon.log).toContain('nothing has changed');
  expect(await daemon.stop()).toBe(0);
});

test('two inputs may exchange their groups', async () => {
  const exchanged = twoInputs('other')
    .replace('group=5', 'group=7')
    .replace('group=6', 'group=5')
    .replace('group=7', 'group=6');
  const daemon = await Daemon.start(lab, twoInputs('other'), { namespace });
  await reload(daemon, exchanged);
  sendDatagrams(lab, namespace);
  await daemon.lines('other.json', 1);
  await daemon.lines('same.json', 1);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('this stack is not run');
});

test('what cannot change while the daemon runs is said; what could not start is tried again', async () => {
  const broken = twoInputs('no/such/folder/other');
  const daemon = await Daemon.start(lab, broken, { namespace });
  await daemon.logged('this stack is not run');
  lab.sh(`mkdir -p ${daemon.folder.path}/no/such/folder`);
  await reload(daemon, broken.replace('stack=same', 'gap_records=0\nstack=same'));
  expect(daemon.log).toContain('[global] gap_records has changed');
  sendDatagrams(lab, namespace);
  await daemon.lines('no/such/folder/other.json', 1);
  expect(await daemon.stop()).toBe(0);
});

test('reload=0 opens files again, and no more', async () => {
  const daemon = await Daemon.start(lab, twoInputs('other', 'reload=0'), { namespace });
  reconfigure(daemon, twoInputs('changed', 'reload=0'));
  lab.sh(`mv ${daemon.folder.path}/other.json ${daemon.folder.path}/old.json`);
  daemon.signal('SIGHUP');
  await daemon.logged('files are opened again');
  sendDatagrams(lab, namespace);
  await daemon.lines('other.json', 1);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('was read again');
});

test('connections that began before a reload end behind it with their begin, through the new output', async () => {
  const flows = (file: string) => `[global]
stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON
[ct1]
hash_enable=1
[json1]
file="/out/${file}.json"
`;
  const daemon = await Daemon.start(lab, flows('before'), { namespace });
  const ports = Array.from({ length: 50 }, (_, i) => i + 1);
  lab.sh('conntrack -F', namespace);
  const begin = (port: number) => `-I -s 10.8.0.1 -d 10.8.0.2 -p udp --sport ${port} --dport 53 -t 60`;
  writeFileSync(daemon.folder.file('begins'), `${ports.map(begin).join('\n')}\n`);
  lab.sh(`conntrack -R ${daemon.folder.file('begins')}`, namespace);
  await reload(daemon, flows('after'));
  lab.sh('conntrack -F', namespace);
  await until('every connection in the new file', () => daemon.folder.lines('after.json').length >= ports.length);
  expect(await daemon.stop()).toBe(0);
  const ended = daemon.folder.objects('after.json').filter((flow) => flow.src_ip === '10.8.0.1');
  expect(ended.map((flow) => flow['orig.l4.sport']).toSorted((a, b) => Number(a) - Number(b))).toEqual(ports);
  for (const flow of ended) expect(flow).toHaveProperty('flow.start.sec');
  for (const flow of ended) expect(flow).not.toHaveProperty('flow.unobserved');
});
