import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { load } from '../../../src/cli/load.ts';

const etc = resolve(import.meta.dirname, '../../../etc');
const examples = readdirSync(join(etc, 'examples')).filter((name) => name.endsWith('.conf'));

test('the examples are those that the documents name', () => {
  expect(examples.sort()).toEqual(
    expect.arrayContaining(['cgnat-gateway.conf', 'network-node.conf', 'single-router.conf']),
  );
});

// What `flowlogd check` does. The map of the network node is for the operator to make.
test.each(examples)('flowlogd check finds nothing wrong with %s', async (name) => {
  const { problems, plans } = await load(join(etc, 'examples', name));
  const others = problems.filter(
    ({ message }) => !message.startsWith('[neutron] map: /etc/flowlogd/neutron.json: cannot be read'),
  );
  expect(others).toEqual([]);
  expect(plans.length).toBeGreaterThan(0);
});
