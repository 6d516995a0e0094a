import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as ctnetlink from '../../../src/wire/ctnetlink.ts';
import { type Attributes, messageKinds } from '../../../src/wire/netlink-names.ts';
import * as nflog from '../../../src/wire/nflog.ts';
import * as rtnetlink from '../../../src/wire/rtnetlink.ts';

const wire = new URL('../../../src/wire/', import.meta.url);
const numbers: Readonly<Record<string, unknown>> = { ...ctnetlink, ...nflog, ...rtnetlink };

test('the numbers of cases are those of the kernel’s names beside them', () => {
  let cases = 0;
  for (const file of readdirSync(wire).filter((name) => /^(conntrack|nflog).*\.ts$/.test(name))) {
    const source = readFileSync(new URL(file, wire), 'utf8');
    for (const [line, number, name] of source.matchAll(/case (\d+): \/\/ ((?:CTA|NFULA)_\w+)/g)) {
      expect(numbers[name!], `${file}: ${line}`).toBe(Number(number));
      cases++;
    }
    expect(source.match(/case \d+:(?! \/\/ [CN])/), file).toBeNull();
  }
  expect(cases).toBeGreaterThan(70);
});

describe('the names for people', () => {
  const found = new Map<string, number>();
  const walk = (attributes: Attributes) => {
    for (const [number, [name, shape]] of Object.entries(attributes)) {
      found.set(name, Number(number));
      if (typeof shape === 'object') walk(shape);
    }
  };
  for (const kinds of Object.values(messageKinds)) for (const { attributes } of Object.values(kinds)) walk(attributes);

  test('have the kernel’s numbers', () => {
    for (const [name, number] of found) if (name in numbers) expect(number, name).toBe(numbers[name]);
  });

  test('are there for everything that the decoders know', () => {
    const known = Object.keys(numbers).filter((name) => /^(CTA|NFULA|IFLA|IFA)_/.test(name));
    expect(known.filter((name) => !found.has(name))).toEqual([]);
  });
});

test('the numbers are those of this machine’s headers', () => {
  const headers = ['nfnetlink_conntrack.h', 'nfnetlink_log.h'].map((file) => `/usr/include/linux/netfilter/${file}`);
  for (const header of headers) {
    // An enum counts from 0; members whose value is written out are old names of others.
    for (const [, body] of readFileSync(header, 'utf8').matchAll(/enum \w+ \{([^}]*)\}/g)) {
      const members = body!
        .replaceAll(/\/\*[\s\S]*?\*\//g, '')
        .replaceAll(/#define.*/g, '')
        .split(',');
      const plain = members.map((member) => member.trim()).filter((member) => member !== '' && !member.includes('='));
      for (const [number, name] of plain.entries()) {
        if (/^(CTA|NFULA)_/.test(name) && name in numbers) expect(numbers[name], name).toBe(number);
      }
    }
  }
});
