import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { load } from '../../../src/cli/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function warnings(sections: string): Promise<string[]> {
  const file = join(folder, 'ulogd.conf');
  writeFileSync(file, `[global]\nstack=log1:NFLOG,json1:JSON\n${sections}`);
  const { problems } = await load(file);
  return problems.filter(({ line }) => line > 2).map(({ line, message }) => `${line}: ${message}`);
}

test('a section whose name is near that of a missing one is pointed out', async () => {
  expect(await warnings('[lgo1]\ngroup=32\n[json1]\nsync=1\n')).toEqual([
    '3: no stack has a step [lgo1], and there is no section [log1]: did you mean it?',
  ]);
});

test('sections that no stack uses are common, and no mistake', async () => {
  expect(await warnings('[log1]\n[log2]\n[json1]\n[ct1]\n[mysql1]\n')).toEqual([]);
});

test('what two steps cannot share is an error at the second, and a warning where ulogd runs the rest', async () => {
  const file = join(folder, 'shared.conf');
  const text = (global: string) => `[global]
${global}
stack=log1:NFLOG,base1:BASE,json1:JSON
stack=log2:NFLOG,base1:BASE,json2:JSON
stack=log3:NFLOG,base1:BASE,json1:JSON
stack=us1:UNIXSOCK,base1:BASE,json1:JSON
stack=us2:UNIXSOCK,base1:BASE,json1:JSON
[log1]
group=5
[log2]
group=0x5
[log3]
group=5
network_namespace_path="/run/netns/other"
[json1]
mode="tcp"
host="192.0.2.1"
port="9"
spool="/var/spool/a"
[json2]
mode="tcp"
host="192.0.2.2"
port="9"
spool="/var/spool/./a/"
`;
  const problems = async (global = '') => (await load(file, text(global))).problems;
  expect((await problems()).map(({ line, severity, message }) => `${line} ${severity}: ${message}`)).toEqual([
    '7 error: [us2] socket_path: /var/run/ulogd/ulogd2.sock is that of [us1] already: one input listens on a socket',
    '11 error: [log2] group: 5 is that of [log1] already: a group has one reader',
    '24 error: [json2] spool: /var/spool/./a/ is that of [json1] already: a spool holds the events of one output',
  ]);
  const severities = (await problems('compat="ulogd-2.0.8"')).map(({ severity }) => severity);
  expect(new Set(severities)).toEqual(new Set(['warning']));
});

test('a name that an input and a filter have is the one that its place in the stack means', async () => {
  const file = join(folder, 'place.conf');
  writeFileSync(
    file,
    `[global]
stack=verdict1:VERDICT,base1:BASE,ip2str1:IP2STR,json1:JSON
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,verdict2:VERDICT,json1:JSON
stack=ct1:NFCT,ip2str1:IP2STR,verdict2:VERDICT,json1:JSON
[verdict1]
limit=7/minute
[verdict2]
wait=2000
`,
  );
  const { plans, problems } = await load(file);
  expect(problems).toEqual([]);
  const steps = plans.map(({ input, nodes }) => [input, ...nodes].map(({ step }) => step));
  const verdicts = steps.map((all) => all.find(({ plugin }) => plugin.name === 'VERDICT'));
  expect(verdicts.map((step) => [step?.plugin.role, step?.options.limit ?? step?.options.wait])).toEqual([
    ['input', '7/minute'],
    ['filter', 2000],
    ['filter', 2000],
  ]);
});

test('options that hardly mean what they say are warnings at their values', async () => {
  const file = join(folder, 'doubtful.conf');
  const log = join(folder, 'log');
  writeFileSync(
    file,
    `[global]
stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON
stack=ct2:NFCT,ip2str1:IP2STR,json2:JSON
stack=ct3:NFCT,ip2str1:IP2STR,json3:JSON
stack=ct4:NFCT,ip2str1:IP2STR,json4:JSON
[ct1]
event_mask=0
network_namespace_path="netns/one"
[ct2]
event_mask=0
pollinterval=5
reliable=1
[json1]
file="${log}"
rotate_size=1M
[json2]
file="${folder}/./log"
keep=3
[json3]
file="${folder}"
[json4]
mode="tcp"
file="${log}"
spool="${file}"
`,
  );
  const { problems } = await load(file);
  expect(problems.map(({ line, column, severity, message }) => `${line}:${column}: ${severity}: ${message}`)).toEqual([
    '7:12: warning: [ct1] event_mask: 0 listens to nothing: no connection is ever reported (1 new, 2 changed, 4 ended)',
    '8:25: warning: [ct1] network_namespace_path: netns/one counts from the folder that the daemon is started in, and with -d from /: better /run/netns/NAME',
    '12:10: warning: [ct2] reliable: nothing listens to events where pollinterval dumps the table: it does nothing',
    `17:7: warning: [json2] file: ${folder}/./log is written by [json1], too, with another rotate_size, keep: each puts it away as its own section says`,
    `20:7: warning: [json3] file: ${folder} is a folder, not a file`,
    `24:8: warning: [json4] spool: ${file} is a file, not a folder`,
  ]);
});
