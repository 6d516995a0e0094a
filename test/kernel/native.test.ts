// The addon where only a process of its own can show it: at exits, in worker threads, without privileges, under the collector.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { notify, openNativeSocket } from '../../src/system/native.ts';

const lab = new Lab();
const namespace = lab.namespace('native');
chmodSync(lab.directory, 0o755); // for the test without privileges
const addon = join(lab.directory, 'flowlogd.node');
copyFileSync(fileURLToPath(new URL('../../native/build/Release/flowlogd.node', import.meta.url)), addon);
afterAll(() => lab.close());

const prelude = `
const { Socket, notify } = require(${JSON.stringify(addon)});
const { execFileSync } = require('node:child_process');
const { Worker } = require('node:worker_threads');
const mtu = () => Number(require('node:fs').readFileSync('/sys/class/net/lo/mtu', 'utf8'));
const event = () => execFileSync('ip', ['link', 'set', 'lo', 'mtu', String(1500 + ((mtu() + 1) % 1000))]);
const attached = () => {
  const socket = new Socket(0);
  socket.join(1);
  socket.attach(new ArrayBuffer(65536), 0, 8192, 8, new Uint32Array(8));
  return socket;
};`;

/** Runs a script in a Node of its own in the lab; what it wrote, and how it ended. */
function run(script: string, flags: string[] = []) {
  const command = ['netns', 'exec', namespace, process.execPath, ...flags, '-e', prelude + script];
  const { status, signal, stdout, stderr } = spawnSync('ip', command, { encoding: 'utf8', timeout: 60_000 });
  return { status, signal, stdout, stderr };
}

const ended = (stdout: string) => ({ status: 0, signal: null, stdout, stderr: '' });

describe('a watched socket', () => {
  test('calls back after overruns as before', () => {
    const script = `
      const socket = attached();
      socket.setReceiveBuffer(2048);
      let overruns = 0, asked = false;
      socket.watch((status) => {
        let heard = 0;
        for (let got; (got = socket.receive()) !== 0; ) {
          if (got > 0) heard += got;
          else if (got === -105) overruns++;
        }
        if (asked && heard > 0) { console.log('heard after overruns'); socket.close(); }
        else if (overruns >= 3) { asked = true; event(); }
        else for (let i = 0; i < 20; i++) event();
      });
      for (let i = 0; i < 20; i++) event();`;
    expect(run(script)).toEqual(ended('heard after overruns\n'));
  });

  test('does not hinder the end of the process', () => {
    expect(run(`attached().watch(() => {}); process.exit(0);`)).toEqual(ended(''));
    expect(run(`const s = attached(); s.watch(() => {}); s.unref();`)).toEqual(ended(''));
    expect(run(`const s = attached(); s.unref(); s.watch(() => {});`)).toEqual(ended(''));
    expect(run(`const s = attached(); s.watch(() => {}); s.unwatch();`)).toEqual(ended(''));
    expect(run(`const s = attached(); s.watch(() => { s.close(); s.close(); }); event();`)).toEqual(ended(''));
  });

  test('does not hinder the end of a worker thread, however it ends', () => {
    const worker = (body: string, then = '') => `
      const worker = new Worker(${JSON.stringify(prelude)} + ${JSON.stringify(body)}, { eval: true });
      worker.on('exit', () => console.log('worker ended'));
      worker.on('message', () => { ${then} });`;
    expect(run(worker(`attached().watch(() => {}); process.exit(0);`))).toEqual(ended('worker ended\n'));
    expect(run(worker(`const s = attached(); s.watch(() => {}); s.close();`))).toEqual(ended('worker ended\n'));
    expect(run(worker(`const s = attached(); s.watch(() => {}); s.unwatch();`))).toEqual(ended('worker ended\n'));
    expect(run(worker(`const s = attached(); s.watch(() => process.exit(0)); event();`))).toEqual(
      ended('worker ended\n'),
    );
    const endless = `const s = attached(); s.watch(() => { require('node:worker_threads').parentPort.postMessage(1); for (;;); }); event();`;
    expect(run(worker(endless, 'worker.terminate();'))).toEqual(ended('worker ended\n'));
  });

  test('turns what its callback throws into an uncaughtException, and goes on', () => {
    const script = (thrower: string) => `
      const socket = attached();
      let calls = 0;
      process.on('uncaughtException', (error) => { console.log('caught', error.message); event(); });
      socket.watch(() => {
        socket.receive();
        if (++calls === 1) ${thrower}
        socket.close();
      });
      event();`;
    expect(run(script(`throw new Error('boom');`))).toEqual(ended('caught boom\n'));
    expect(run(script(`return void process.nextTick(() => { throw new Error('tick'); });`))).toEqual(
      ended('caught tick\n'),
    );
    expect(run(script(`return void Promise.reject(new Error('late'));`))).toEqual(ended('caught late\n'));
    const uncaught = run(`const s = attached(); s.watch(() => { throw new Error('nobody listens'); }); event();`);
    expect(uncaught).toMatchObject({ status: 1, signal: null, stderr: expect.stringContaining('nobody listens') });
  });

  test('keeps the async context of who watches', () => {
    const script = `
      const { AsyncLocalStorage } = require('node:async_hooks');
      const storage = new AsyncLocalStorage();
      const socket = attached();
      storage.run('mine', () => socket.watch(() => { console.log(storage.getStore()); socket.close(); }));
      event();`;
    expect(run(script)).toEqual(ended('mine\n'));
  });
});

test('a forgotten socket is closed by the collector, a watched one is not', () => {
  const script = `
    const { readdirSync } = require('node:fs');
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    (() => { for (let i = 0; i < 100; i++) { const s = attached(); if (i % 2) { s.watch(() => {}); s.unwatch(); } } })();
    (() => { const s = attached(); s.unref(); s.watch(() => { console.log('still here'); s.close(); }); })();
    const most = open();
    const timer = setInterval(() => {
      gc();
      if (open() > before + 1) return;
      console.log(most - before >= 100, open() - before);
      clearInterval(timer);
      event();
      setImmediate(() => {});
    }, 5);`;
  expect(run(script, ['--expose-gc'])).toEqual(ended('true 1\nstill here\n'));
});

test('without privileges a namespace cannot be entered, and the buffer stays within rmem_max', () => {
  const script = `${prelude}
    try { new Socket(0, '/run/netns/${namespace}'); } catch (error) { console.log(error.code, error.errno, error.syscall, error.message); }
    console.log(new Socket(0).setReceiveBuffer(1 << 29));`;
  const output = execFileSync(process.execPath, ['-e', script], { uid: 65534, gid: 65534, cwd: '/', encoding: 'utf8' });
  const limit = execFileSync('cat', ['/proc/sys/net/core/rmem_max'], { encoding: 'utf8' });
  expect(output).toBe(`EPERM -1 setns setns: EPERM, Operation not permitted\n${limit}`);
});

test('the receive buffer is counted in the unit it is asked for, beyond rmem_max for root', () => {
  const socket = openNativeSocket(0);
  expect(socket.setReceiveBuffer(64 << 20)).toBe(64 << 20);
  expect(socket.receiveBuffer).toBe(64 << 20);
  socket.close();
});

test('wrong arguments are refused, and no method works on another object', () => {
  const socket = openNativeSocket(0);
  const [memory, lengths] = [new ArrayBuffer(1000), new Uint32Array(4)];
  expect(() => socket.receive()).toThrow('attach memory first');
  expect(() => socket.attach(memory, 0, 300, 4, lengths)).toThrow('too small');
  expect(() => socket.attach(memory, 1001, 1, 1, lengths)).toThrow(RangeError);
  expect(() => socket.attach(memory, -1, 100, 4, lengths)).toThrow(RangeError);
  expect(() => socket.attach(memory, 0, 1, 1025, lengths)).toThrow(RangeError);
  expect(() => socket.attach(memory, 0, 100, 5, lengths)).toThrow('lengths');
  expect(() => socket.attach(lengths as never, 0, 100, 4, lengths)).toThrow('ArrayBuffer');
  expect(() => socket.send('text' as never)).toThrow('Uint8Array');
  expect(() => socket.watch(1 as never)).toThrow('function');
  expect(() => socket.join(0)).toThrow(RangeError);
  expect(() => socket.join(4000)).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'setsockopt' }));
  expect(() => Reflect.apply(socket.receive, {}, [])).toThrow(TypeError);
  expect(() => openNativeSocket(0, 'a\0b')).toThrow('NUL');
  expect(() => openNativeSocket(0, 'x'.repeat(5000))).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }));
  expect(() => openNativeSocket('0' as never)).toThrow(TypeError);
  socket.close();
});

test('notify reaches a unix datagram socket, by path and by abstract name', async () => {
  const path = join(lab.directory, 'notify');
  for (const [name, address] of [
    [path, path],
    [`@flowlogd-${process.pid}`, `\\0flowlogd-${process.pid}`],
  ] as const) {
    expect(notify(name, 'READY=1')).toBe(false); // nobody there
    const receiver = `import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("${address}"); print("bound", flush=True); print(s.recv(100).decode())`;
    const python = lab.start(['python3', '-c', receiver]);
    let output = '';
    python.stdout?.on('data', (data) => {
      output += data;
    });
    await until('the receiver', () => output.includes('bound'));
    expect(notify(name, 'READY=1\nSTATUS=reading')).toBe(true);
    await until('the message', () => output.includes('STATUS=reading'));
  }
  expect(notify('', 'READY=1')).toBe(false);
  expect(notify('/'.repeat(200), 'READY=1')).toBe(false);
});
