import { expect, test } from 'vitest';
import type { Status } from '../../../src/cli/daemon-status.ts';
import { statusText } from '../../../src/cli/status-text.ts';

const status: Status = {
  version: '1.2.3',
  pid: 77,
  state: 'running',
  started: '2026-11-21T10:00:00.000Z',
  uptime: 2 * 86_400 + 3723.9,
  configuration: '/etc/ulogd.conf',
  missing: 1207,
  intact: false,
  inputs: [
    {
      name: 'ct1:NFCT',
      namespace: '/run/netns/qrouter-1',
      events: 12_345_678,
      rate: 1234.5,
      datagrams: 12_345_678,
      malformed: 0,
      overruns: 3,
      kernelDrops: 1200,
      lost: 0,
      lostEstimated: 1200,
      gaps: 2,
      socket: { bufferSize: 8 << 20, queued: 2 << 20, lag: 12.3 },
      counters: { 'times the socket buffer grew': 1, 'times without UPDATE events': 0 },
      stacks: [
        { output: 'json1:JSON', filtered: { 'mark1:MARK': 1000 }, failed: { 'ip2str1:IP2STR': 2 }, taken: 12_344_676 },
      ],
    },
    {
      name: 'acct1:NFACCT',
      failure: 'EPERM',
      events: 0,
      rate: 0,
      datagrams: 0,
      malformed: 0,
      overruns: 0,
      kernelDrops: 0,
      lost: 0,
      lostEstimated: 0,
      gaps: 0,
      counters: {},
      stacks: [],
    },
  ],
  outputs: [
    {
      name: 'json1:JSON',
      inputs: ['ct1:NFCT'],
      taken: 12_344_676,
      rate: 3.21,
      written: 12_344_000,
      queued: 600,
      spooled: 71,
      dropped: { 'queue full': 5, refused: 0 },
      bytes: 5_000_000_000,
      retries: 4,
      connected: false,
      lag: 61_000,
      counters: { 'sent again': 9 },
    },
  ],
  imbalances: [],
  threads: [{ inputs: ['ct1:NFCT', 'acct1:NFACCT'], busy: 0.126 }],
  past: {
    inputs: 0,
    events: 0,
    datagrams: 0,
    malformed: 0,
    overruns: 0,
    kernelDrops: 0,
    lost: 0,
    lostEstimated: 0,
    gaps: 0,
    failed: 0,
    dropped: 0,
  },
};

test('the status is readable at a glance: aligned, with units, what is wrong in words', () => {
  expect(statusText(status)).toBe(`\
flowlogd 1.2.3, process 77, running for 2 d 01:02:03, 13 % busy, /etc/ulogd.conf
Since the start about 1 207 events were lost: see below.

INPUT         EVENTS/S      EVENTS    LOST  MALFORMED  OVERRUNS   DATAGRAMS  DROPPED           BUFFER    LAG
ct1:NFCT         1 235  12 345 678  ~1 200          0         3  12 345 678    1 200  25 % of 8.0 MiB  12 ms
    in /run/netns/qrouter-1
    1 times the socket buffer grew
    to json1:JSON: 1 000 stopped by mark1:MARK
    to json1:JSON: 2 FAILED in ip2str1:IP2STR
acct1:NFACCT         0           0       0          0         0           0        0                -      -
    DOES NOT RUN: EPERM

OUTPUT      WRITTEN/S     WRITTEN  QUEUED  SPOOLED  DROPPED    BYTES  RETRIES   LAG  CONNECTED
json1:JSON        3.2  12 344 000     600       71        5  4.7 GiB        4  61 s         NO
    5 dropped: queue full
    9 sent again
`);
});

test('nothing lost is said as such, and sums that do not hold are not kept quiet', () => {
  expect(statusText({ ...status, intact: true, missing: 0 })).toContain('\nNothing was lost since the start.\n');
  expect(statusText({ ...status, imbalances: ['a took 3 events, and 4 are accounted for'] })).toContain(
    'The ledger does not balance: a took 3 events, and 4 are accounted for.',
  );
});

test('what inputs counted that are gone is shown, too', () => {
  const past = { ...status.past, inputs: 2, events: 5000, lost: 3, lostEstimated: 4, dropped: 5 };
  expect(statusText({ ...status, past })).toContain('\nInputs that are gone: 2, 5 000 events, 7 lost, 5 dropped\n');
});
