import { expect, test } from 'vitest';
import {
  fillIn,
  isNamespaceName,
  namespaceMatcher,
  namespaceOptions,
  namespaceValues,
} from '../../../src/pipeline/namespace.ts';

const ROUTER = '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';

test.each([
  ['qrouter-* snat-*', 'qrouter-1', true],
  ['qrouter-* snat-*', 'snat-1', true],
  ['qrouter-* snat-*', 'fip-1', false],
  ['qrouter-*', 'my-qrouter-1', false],
  ['* !fip-*', 'fip-1', false],
  ['* !fip-*', 'blue', true],
  ['router-?', 'router-12', false],
  ['a.b', 'axb', false],
])('%j means %s: %j', (pattern, name, means) => {
  expect(namespaceMatcher(pattern)(name)).toBe(means);
});

test.each([
  ['', undefined],
  ['qrouter-* !qrouter-test', undefined],
  ['qrouter-*,snat-*', '"qrouter-*,snat-*" is no name of a namespace; write qrouter-* snat-*, with a blank between'],
  ['../etc', '"../etc" is no name of a namespace; write qrouter-* snat-*, with a blank between'],
  ['!fip-*', 'nothing but exclusions: write * before them for all others'],
])('network_namespaces=%j: %s', (text, fault) => {
  expect(namespaceOptions.network_namespaces.check(text)).toBe(fault);
});

test.each(['.', '..', '', 'a/b', 'a b', 'a"b', 'ä', 'x'.repeat(256)])(
  '%j cannot be the name of a namespace',
  (name) => {
    expect(isNamespaceName(name)).toBe(false);
  },
);

test('the router is known from the names that Neutron gives, and from no other', () => {
  expect(namespaceValues({ path: `/run/netns/snat-${ROUTER}`, inode: 7 })).toMatchObject({
    'netns.name': `snat-${ROUTER}`,
    'netns.id': 7,
    'router.id': ROUTER,
  });
  expect(namespaceValues({ path: `/run/netns/fip-${ROUTER}` })).not.toHaveProperty('router.id');
  expect(namespaceValues({ path: '/run/netns/qrouter-82ff' })).not.toHaveProperty('router.id');
});

test('a file is named by what is known', () => {
  const values = namespaceValues({ path: '/run/netns/blue', inode: 7 });
  expect(fillIn('/var/log/%{netns.name}/%{netns.id}-%{router.id}.json', values)).toBe('/var/log/blue/7-unknown.json');
});
