import { expect, test } from 'vitest';
import { conntrackTable } from '../../../src/doctor/conntrack-table.ts';
import { Site } from '../../../src/doctor/site.ts';
import { View } from '../../../src/doctor/view.ts';

/** A namespace whose files say what the test says: the size of the table is the machine's, and not for a test to change. */
class Said extends View {
  readonly #files: Readonly<Record<string, string>>;

  constructor(files: Readonly<Record<string, string>>) {
    super();
    this.#files = files;
  }

  override read(file: string): string | undefined {
    return this.#files[file];
  }
}

const STATISTICS = 'entries  clashres found insert_failed drop early_drop icmp_error\n';

function look(count: number, max: number, buckets: number, statistics: string): string[] {
  const files = Object.fromEntries(
    Object.entries({ count, max, buckets }).map(([name, value]) => [
      `/proc/sys/net/netfilter/nf_conntrack_${name}`,
      `${value}\n`,
    ]),
  );
  const view = new Said({ ...files, '/proc/net/stat/nf_conntrack': STATISTICS + statistics });
  const site = Object.assign(Object.create(new Site()), { views: [view] }) as Site;
  return conntrackTable.look(site).map(({ severity, message, remedy }) => {
    return `${severity}: ${message.split(':')[0]}${remedy ? ` → ${remedy.command.slice(-1)}` : ''}`;
  });
}

test('a table with room is no finding', () => {
  expect(look(79, 100, 100, '')).toEqual([]);
});

test('a table that fills is a warning, one that is full an error', () => {
  const remedy = '→ net.netfilter.nf_conntrack_max=200';
  expect(look(80, 100, 100, '')).toEqual([`warning: the table of connections holds 80 of 100 ${remedy}`]);
  expect(look(95, 100, 100, '')).toEqual([`error: the table of connections holds 95 of 100 ${remedy}`]);
});

test('few buckets for many connections are worth a note', () => {
  expect(look(0, 900, 100, '')).toEqual([
    'note: nf_conntrack_max is 900 and nf_conntrack_buckets 100 → net.netfilter.nf_conntrack_buckets=900',
  ]);
  expect(look(0, 800, 100, '')).toEqual([]);
});

test('what the kernel gave up is summed over the processors, whose counters are hexadecimal', () => {
  const statistics = '00000009 00000000 00000000 00000001 00000000 0000000a 00000000\n'.repeat(2);
  expect(look(0, 100, 100, statistics)).toEqual(['note: early_drop is 20 so far', 'note: insert_failed is 2 so far']);
});
