import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { until } from '../../../scripts/lab.js';
import { load } from '../../../src/cli/load.ts';
import nat from '../../../src/filter/nat.ts';
import { parseJson } from '../../../src/neutron/json-fault.ts';
import { Names } from '../../../src/neutron/names.ts';
import { NeutronMap, readNames } from '../../../src/neutron/neutron-map.ts';
import { TestStage } from '../../support/stage.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-neutron-'));
afterAll(() => rmSync(folder, { recursive: true }));

// As `openstack … list --long -f json` prints them (python-openstackclient 6).
const FLOATING = [
  {
    ID: '2f245a7b-796b-4f26-9cf9-9e82d248fda7',
    'Floating IP Address': '10.5.150.82',
    'Fixed IP Address': '192.168.21.73',
    Port: 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
    'Floating Network': '376da547-b977-4cfe-9cba-275c80debf57',
    Project: '736672c700cd43e1bd321aeaf940365c',
    Router: '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d',
    Status: 'ACTIVE',
  },
  {
    ID: '61cea855-49cb-4846-997d-801b70c71bdd',
    'Floating IP Address': '10.5.150.83',
    'Fixed IP Address': null,
    Port: null,
  },
];
const PORTS = [
  {
    ID: 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
    'Fixed IP Addresses': [{ subnet_id: 's1', ip_address: '192.168.21.73' }],
  },
  {
    ID: 'aaaaaaaa-0000-0000-0000-000000000001',
    'Fixed IP Addresses': [{ subnet_id: 's1', ip_address: '192.168.21.74' }],
  },
  {
    ID: 'bbbbbbbb-0000-0000-0000-000000000001',
    'Fixed IP Addresses': [{ subnet_id: 's1', ip_address: '192.168.21.99' }],
  },
  {
    ID: 'bbbbbbbb-0000-0000-0000-000000000002',
    'Fixed IP Addresses': [{ subnet_id: 's2', ip_address: '192.168.21.99' }],
  },
];
const SERVERS = [
  { ID: 'srv1', Name: 'web "1"', Networks: { private: ['192.168.21.73', '10.5.150.82'] } },
  { ID: 'srv2', Name: 'worker', Networks: { private: ['192.168.21.74', 'fd00:0:0::74'] } },
  { ID: 'srv3', Name: 'one', Networks: { private: ['192.168.21.99'] } },
];
const ALL = { floating_ips: FLOATING, ports: PORTS, servers: SERVERS };

describe('who is behind an address', () => {
  const names = new Names(ALL);

  test('a floating IP names its port, project and server', () => {
    expect(names.identify('192.168.21.73', '10.5.150.82')).toEqual({
      floatingIp: '2f245a7b-796b-4f26-9cf9-9e82d248fda7',
      port: 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
      project: '736672c700cd43e1bd321aeaf940365c',
      serverId: 'srv1',
      server: 'web "1"',
    });
  });

  test('the port that an address is sent to counts where the map has none, or several', () => {
    const seen = { id: 'bbbbbbbb-0000-0000-0000-000000000002', mac: undefined, server: 'srv2' };
    expect(names.identify('192.168.21.99', undefined, seen)).toMatchObject({ port: seen.id, server: 'worker' });
    expect(names.identify('10.9.9.9', undefined, seen)).toMatchObject({ port: seen.id, serverId: 'srv2' });
    const own = names.identify('192.168.21.73', undefined, seen);
    expect(own).toMatchObject({ port: 'ce705c24-c1ef-408a-bda3-7bbd946164ab', serverId: 'srv1' });
  });

  test('a floating IP that is another address in the map names nothing of its own', () => {
    expect(names.identify('192.168.21.74', '10.5.150.82')).toEqual({
      floatingIp: undefined,
      port: 'aaaaaaaa-0000-0000-0000-000000000001',
      project: undefined,
      serverId: 'srv2',
      server: 'worker',
    });
    expect(names.identify('192.168.21.75', '10.5.150.83').floatingIp).toBeUndefined();
  });

  test('an address that several ports have names none of them', () => {
    expect(names.identify('192.168.21.99', undefined)).toEqual({});
  });

  test('IPv6 addresses are the same however they are written', () => {
    expect(names.identify('fd00::74', undefined).server).toBe('worker');
  });

  test('the list of floating IPs alone is enough', () => {
    expect(new Names(FLOATING).identify('192.168.21.73', '10.5.150.82').project).toBe(
      '736672c700cd43e1bd321aeaf940365c',
    );
  });

  test.each([
    [{ floatingips: [] }, '"floatingips" is none of floating_ips, ports, servers, logs, routers, projects'],
    [{ ports: {} }, '"ports" is no list'],
    [[1], '"floating_ips": entry 1 is no object'],
    ['text', 'neither a list nor an object with floating_ips, ports, servers, logs, routers, projects'],
    [null, 'neither a list nor an object with floating_ips, ports, servers, logs, routers, projects'],
  ])('%j is no map: %s', (value, message) => {
    expect(() => new Names(value)).toThrow(message);
  });
});

test.each([
  ['{"a": 1,\n "b": x}', 2, 7],
  ['{"a": 1,\n', 2, 1],
  ['[1,\n2\n3]', 3, 1],
  ['{"a": "x\ny"}', 1, 9],
  ['', 1, 1],
])('JSON that is broken says where: %j', (text, line, column) => {
  expect(parseJson(text)).toMatchObject({ fault: { line, column } });
});

test('the names reach the record, and follow the file; a broken file leaves those that were there', async () => {
  const file = join(folder, 'map.json');
  writeFileSync(file, JSON.stringify(ALL));
  const map = NeutronMap.of(file) as NeutronMap;
  const said: string[] = [];
  const report = (message: string) => void said.push(message);
  map.open(report);
  const stage = new TestStage(nat, { map: file });
  const flow = {
    'orig.ip.saddr': '10.5.0.8',
    'orig.ip.daddr': '10.5.150.82',
    'reply.ip.saddr': '192.168.21.73',
    'reply.ip.daddr': '10.5.0.8',
  };
  const named = {
    'floating_ip.id': '2f245a7b-796b-4f26-9cf9-9e82d248fda7',
    'port.id': 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
    'project.id': '736672c700cd43e1bd321aeaf940365c',
    'server.name': 'web "1"',
  };
  expect(stage.run(flow)).toMatchObject(named);
  expect(stage.run(flow)).toMatchObject(named);
  const other = stage.run({ ...flow, 'reply.ip.saddr': '192.168.21.75' });
  for (const key of Object.keys(named)) expect(other).not.toHaveProperty([key]);

  writeFileSync(file, '{"floating_ips": [}');
  utimesSync(file, 1, 1);
  await until('the fault', () => said.length > 0);
  expect(said).toEqual([`${file}:1:19: no JSON: Unexpected token '}'; the names from before are kept`]);
  // What stands in the file commands no terminal that shows the log.
  writeFileSync(file, '\x1b[31m');
  utimesSync(file, 3, 3);
  await until('the next fault', () => said.length > 1);
  expect(said.splice(1)).toEqual([`${file}:1:1: no JSON: Unexpected token '\\x1b'; the names from before are kept`]);
  expect(stage.run(flow)).toMatchObject(named);

  writeFileSync(file, JSON.stringify({ ...ALL, servers: [{ ...SERVERS[0], Name: 'renamed' }] }));
  utimesSync(file, 2, 2);
  await until('the new name', () => stage.run(flow)?.['server.name'] === 'renamed');
  map.close(report);
});

test('a FIFO in place of the map is refused, and nothing waits for it', () => {
  const map = join(folder, 'fifo.json');
  execFileSync('mkfifo', [map]);
  expect(() => readNames(map)).toThrow(`${map}: cannot be read: it is no regular file`);
});

test('check says what is wrong with the map, and where it is named', async () => {
  const file = join(folder, 'flowlogd.conf');
  const map = join(folder, 'absent.json');
  writeFileSync(file, `[global]\nstack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON\n[neutron]\nmap="${map}"\n`);
  const { problems } = await load(file);
  expect(problems).toEqual([
    {
      file,
      line: 4,
      column: 6,
      severity: 'warning',
      message: `[neutron] map: ${map}: cannot be read: ENOENT: no such file or directory`,
    },
  ]);
});
