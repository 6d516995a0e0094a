import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { ask } from '../../../src/control/client.ts';
import { type Commands, textArgument } from '../../../src/control/command.ts';
import { MAX_REQUEST } from '../../../src/control/protocol.ts';
import { ControlServer } from '../../../src/control/server.ts';
import { listenAt } from '../../../src/control/socket-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-control-'));
const path = join(folder, 'made', 'control.sock');
const open = new Set<() => Promise<void>>();

const COMMANDS: Commands = {
  echo: { summary: 'Says it again.', run: (given) => given },
  shout: { summary: 'Needs a text.', run: (given) => textArgument(given, 'text').toUpperCase() },
  nothing: { summary: 'Has nothing to say.', run: () => undefined },
};

async function serve(commands: Commands = COMMANDS, at = path): Promise<() => Promise<void>> {
  const control = new ControlServer(commands);
  const file = await listenAt(control.server, at, undefined);
  const close = async () => {
    open.delete(close);
    await control.close();
    file.remove();
  };
  open.add(close);
  return close;
}

/** Sends bytes, ends its side, and returns all that is answered. */
async function say(bytes: string | Uint8Array, at = path): Promise<string> {
  const socket = connect(at);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  socket.on('error', () => {}); // cut off while we were talking
  socket.end(bytes);
  await new Promise((closed) => socket.once('close', closed));
  return answer;
}

afterEach(async () => {
  for (const close of open) await close();
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});

test('a command is carried out with its arguments, and what it returns is the answer', async () => {
  await serve();
  expect(await ask(path, 'echo', { a: [1, 'zwei', null] })).toEqual({ a: [1, 'zwei', null] });
  expect(await ask(path, 'nothing')).toBeNull();
  expect(await ask(path, 'shout', { text: 'x'.repeat(50_000) })).toBe('X'.repeat(50_000));
});

test('an answer of megabytes arrives whole', async () => {
  await serve({ long: { summary: 'Long.', run: () => 'ü'.repeat(3 << 20) } });
  expect(await ask(path, 'long')).toBe('ü'.repeat(3 << 20));
});

test.each([
  ['no JSON', 'status', 'the request is no JSON'],
  ['a list', '[]', 'the request is no JSON object'],
  ['nothing', '', 'the request is no JSON'],
  ['bytes that are no text', Buffer.from([0x22, 0xff, 0xfe]), 'the request is no JSON'],
  ['no command', '{}', 'the request has no "command"'],
  ['arguments of another type', '{"command":"echo","arguments":[]}', '"arguments" is no object'],
  ['a key too many', '{"command":"echo","argument":{}}', 'the request has an unknown "argument"'],
  ['an unknown command', '{"command":"ehco"}', 'there is no command "ehco"; did you mean "echo"?'],
  ['a name that every object has', '{"command":"constructor"}', 'there is no command "constructor"'],
  ['a prototype', '{"command":"__proto__","__proto__":{}}', 'the request has an unknown "__proto__"'],
  ['a missing argument', '{"command":"shout"}', 'the argument "text" is missing, or no text'],
  ['an inherited argument', '{"command":"shout","arguments":{"tex":1}}', 'the argument "text" is missing, or no text'],
])('%s: an error for the one who asks, and the next request is answered', async (_, line, error) => {
  await serve();
  const next = '\n{"command":"echo","arguments":{"next":1}}\n';
  const lines = (await say(Buffer.concat([Buffer.from(line), Buffer.from(next)]))).trim().split('\n');
  expect(lines.map((one) => JSON.parse(one))).toEqual([
    { ok: false, error },
    { ok: true, result: { next: 1 } },
  ]);
});

test('a request that comes byte by byte is answered, as are several in one piece, in turn', async () => {
  await serve();
  const socket = connect(path);
  for (const byte of '{"command":"nothing"}\n') {
    socket.write(byte);
    await new Promise(setImmediate);
  }
  expect(String((await once(socket, 'data'))[0])).toBe('{"ok":true,"result":null}\n');
  socket.destroy();
  const many = Array.from({ length: 50 }, (_, n) => `{"command":"echo","arguments":{"n":${n}}}\n`);
  const answers = (await say(many.join(''))).trim().split('\n');
  expect(answers.map((line) => JSON.parse(line).result.n)).toEqual(many.map((_, n) => n));
});

test('a client that asks without end is answered now and then', async () => {
  await serve();
  const began = performance.now();
  const answers = (await say('rubbish\n'.repeat(100))).trim().split('\n');
  expect(answers).toHaveLength(100);
  expect(performance.now() - began).toBeGreaterThan(900);
});

test('a request without an end is cut off at its limit, and others are answered meanwhile', async () => {
  await serve();
  const answer = await say('x'.repeat(MAX_REQUEST * 4));
  expect(['', `{"ok":false,"error":"the request is longer than ${MAX_REQUEST} bytes"}\n`]).toContain(answer);
  expect(await ask(path, 'nothing')).toBeNull();
});

test('clients beyond the limit are turned away, and there is room again when one goes', async () => {
  await serve();
  const silent = Array.from({ length: 16 }, () => connect(path));
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  await expect(ask(path, 'nothing')).rejects.toThrow('broke off without an answer');
  silent[0]!.destroy();
  await expect.poll(() => ask(path, 'nothing').catch(() => 'turned away')).toBeNull();
  for (const socket of silent) socket.destroy();
});

test('a command that throws harms nobody', async () => {
  await serve({
    fail: { summary: 'Fails.', run: () => Promise.reject(new Error('it is too late')) },
    circle: {
      summary: 'What no JSON can hold.',
      run() {
        const circle: Record<string, unknown> = {};
        circle.itself = circle;
        return circle;
      },
    },
    ...COMMANDS,
  });
  await expect(ask(path, 'fail')).rejects.toThrow('it is too late');
  await expect(ask(path, 'circle')).rejects.toThrow('circular');
  expect(await ask(path, 'nothing')).toBeNull();
});

test('the socket and its folder are for us and our group, and are gone when it is closed', async () => {
  const close = await serve();
  expect(statSync(path).mode & 0o777).toBe(0o660);
  expect(statSync(join(folder, 'made')).mode & 0o777).toBe(0o750);
  await close();
  expect(existsSync(join(folder, 'made'))).toBe(false);
});

test('a folder that was there stays, as it is', async () => {
  const given = join(folder, 'given');
  mkdirSync(given);
  chmodSync(given, 0o711);
  const close = await serve(COMMANDS, join(given, 'control.sock'));
  await close();
  expect(statSync(given).mode & 0o777).toBe(0o711);
});

test('the socket of a living daemon is left alone', async () => {
  await serve();
  const second = createServer();
  await expect(listenAt(second, path, undefined)).rejects.toThrow(`another daemon listens at ${path}`);
  expect(await ask(path, 'nothing')).toBeNull();
});

test('the socket of a dead daemon is replaced', async () => {
  const program = `require('net').createServer().listen(${JSON.stringify(join(folder, 'stale'))}, () => process.kill(process.pid, 'SIGKILL'))`;
  expect(() => execFileSync(process.execPath, ['-e', program], { stdio: 'ignore' })).toThrow();
  const stale = join(folder, 'stale');
  await expect(ask(stale, 'nothing')).rejects.toThrow('the daemon that made the control socket is dead');
  await serve(COMMANDS, stale);
  expect(await ask(stale, 'nothing')).toBeNull();
});

test.each(['a file', 'a folder'])('%s is no control socket to ask', async (what) => {
  const other = join(folder, what);
  if (what === 'a file') writeFileSync(other, '');
  else mkdirSync(other);
  await expect(ask(other, 'nothing')).rejects.toThrow(`this is no control socket (${other})`);
});

test('a file of that name that is no socket is left alone', async () => {
  const file = join(folder, 'file');
  writeFileSync(file, 'mine');
  await expect(listenAt(createServer(), file, undefined)).rejects.toThrow('is no socket');
  expect(statSync(file).size).toBe(4);
});

test('nobody there, or somebody who says nothing or goes: the message says what it is', async () => {
  await expect(ask(path, 'status')).rejects.toThrow(/no daemon is running.*control\.sock/);
  const mute = createServer(() => {}).listen(join(folder, 'mute'));
  await expect(ask(join(folder, 'mute'), 'status', {}, 50)).rejects.toThrow('does not answer within 0.05 s');
  const rude = createServer((socket) => socket.destroy()).listen(join(folder, 'rude'));
  await expect(ask(join(folder, 'rude'), 'status')).rejects.toThrow('broke off without an answer');
  const other = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n')).listen(join(folder, 'other'));
  await expect(ask(join(folder, 'other'), 'status')).rejects.toThrow('the answer is no JSON');
  for (const server of [mute, rude, other]) server.close();
});
