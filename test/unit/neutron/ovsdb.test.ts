import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { until } from '../../../scripts/lab.js';
import { OvsPorts } from '../../../src/neutron/ovs-ports.ts';
import { Ovsdb } from '../../../src/neutron/ovsdb.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-ovsdb-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ID = 'ce705c24-c1ef-408a-bda3-7bbd946164ab';
const OTHER = 'aaaaaaaa-0000-4000-8000-000000000001';
const MAC = 0xfa163e8f47c5;

/** A row as ovsdb-server writes it. */
const row = (name: string, id: string, mac = 'fa:16:3e:8f:47:c5') => ({
  name,
  external_ids: [
    'map',
    [
      ['attached-mac', mac],
      ['iface-id', id],
    ],
  ],
});
const tables = (rows: Record<string, unknown>) => ({ Interface: rows });

test('a MAC address that two ports have is nobody’s until one of them goes', () => {
  const ports = new OvsPorts();
  ports.update(tables({ r1: { new: row('tap1', ID) }, r2: { new: row('tap2', OTHER) } }));
  expect(ports.ofMac(MAC)).toBeUndefined();
  expect(ports.ofName('tap2')?.id).toBe(OTHER);
  ports.update(tables({ r2: { old: {} } }));
  expect(ports.ofMac(MAC)?.id).toBe(ID);
  expect(ports.ofName('tap2')).toBeUndefined();
});

test('an interface that takes the name of one that goes in the same breath keeps it', () => {
  const ports = new OvsPorts();
  ports.update(tables({ r1: { new: row('tap1', ID) } }));
  ports.update(tables({ r2: { new: row('tap1', OTHER) }, r1: { old: {} } }));
  expect(ports.ofName('tap1')?.id).toBe(OTHER);
});

test.each([
  [null],
  [7],
  ['Interface'],
  [{ Interface: [1, 2] }],
  [{ Interface: { r: null } }],
  [{ Interface: { r: { new: { name: 5, external_ids: ['map', [['iface-id', ID]]] } } } }],
  [{ Interface: { r: { new: { name: 'tap1', external_ids: ['set', [['iface-id', ID]]] } } } }],
  [{ Interface: { r: { new: { name: 'tap1', external_ids: ['map', [['iface-id', 5], 'x', null]] } } } }],
  [{ Interface: { r: { new: row('tap1', 'no uuid\n') } } }],
])('what is no port is left out: %j', (update) => {
  const ports = new OvsPorts();
  ports.update(update);
  expect(ports.ofName('tap1')).toBeUndefined();
});

let server: Server | undefined;
let database: Ovsdb | undefined;
let report: (message: string) => void = () => {};
afterEach(() => {
  database?.close(report);
  server?.close();
});

/** Follows a server that does this with each connection; returns what was reported. */
function follow(name: string, serve: (socket: Socket) => void): string[] {
  const path = join(folder, name);
  const said: string[] = [];
  server = createServer((socket) => {
    socket.on('error', () => {});
    serve(socket);
  }).listen(path);
  database = Ovsdb.of(path);
  report = (message) => void said.push(message);
  database?.open(report);
  return said;
}

test('the server hears that we live, and what it says between two chunks is one message', async () => {
  let heard = '';
  follow('lives', (socket) => {
    socket.on('data', (bytes) => {
      heard += bytes;
      if (!heard.includes('"monitor"')) return;
      const text = `${JSON.stringify({ id: 1, result: tables({ r: { new: row('tap1', ID) } }), error: null })}{"id":"echo","method":"echo","params":["é"]}`;
      if (heard.includes('é')) return;
      socket.write(Buffer.from(text).subarray(0, 33));
      setImmediate(() => socket.write(Buffer.from(text).subarray(33)));
    });
  });
  await until('an answer', () => heard.includes('{"id":"echo","result":["é"],"error":null}'));
  expect(database?.portOf('tap1')?.id).toBe(ID);
  expect(database?.portOfMac(MAC)?.id).toBe(ID);
});

test.each([
  ['http', 'HTTP/1.1 400 Bad Request\r\n\r\n', 'no JSON object where one should begin'],
  ['broken', '{"id":1,]}', 'JSON'],
  [
    'refuses',
    '{"id":1,"result":null,"error":{"error":"unknown database"}}',
    'refuses to be followed: {"error":"unknown',
  ],
])('a server that is none is reported once, and tried again: %s', async (name, answer, message) => {
  let tries = 0;
  const said = follow(name, (socket) => {
    tries++;
    socket.write(answer);
  });
  await until('a second attempt', () => tries >= 2);
  expect(said).toEqual([expect.stringContaining(message)]);
  expect(database?.version).toBe(0);
});

test('who opens it twice, as one whose start was tried again, and closes it once follows it no more', () => {
  const path = join(folder, 'twice');
  database = Ovsdb.of(path);
  const other = () => {};
  database?.open(report);
  database?.open(report);
  database?.open(other);
  database?.close(report);
  expect(Ovsdb.of(path), 'another one still does').toBe(database);
  database?.close(other);
  expect(Ovsdb.of(path)).not.toBe(database);
});

test('no Open vSwitch is nothing to report', async () => {
  const said: string[] = [];
  database = Ovsdb.of(join(folder, 'none'));
  report = (message) => void said.push(message);
  database?.open(report);
  expect(database?.isThere).toBe(false);
  const path = join(folder, 'none');
  // It comes later: then it is found.
  let came = false;
  server = createServer((socket) => {
    came = true;
    socket.destroy();
  }).listen(path);
  await until('it is found', () => came);
  expect(said).toEqual([]);
});
