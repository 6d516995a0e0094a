import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadCatalog, pluginFor } from '../src/cli/registry.ts';
import { parseConfig } from '../src/config/config.ts';
import { resolveOptions } from '../src/config/option.ts';
import type { Problem } from '../src/config/problem.ts';
import { isSecretKey } from '../src/config/secret.ts';
import { planStacks } from '../src/pipeline/plan.ts';
import { MAX_SOCKET_BUFFER } from '../src/system/netlink-socket.ts';

const catalog = await loadCatalog();
const names = catalog.map(({ name }) => name);
const writers = catalog.filter((plugin) => plugin.role !== 'output');

describe.each(catalog.map((plugin) => [plugin.name, plugin] as const))('%s', (name, plugin) => {
  test('lives in the file of its name', () => {
    expect(existsSync(new URL(`../src/${plugin.role}/${name.toLowerCase()}.ts`, import.meta.url))).toBe(true);
  });

  test('has sentences for its summary, options and keys', () => {
    const docs = [
      plugin.summary,
      ...Object.values(plugin.options).map(({ doc }) => doc),
      ...(plugin.role === 'output' ? [] : Object.values(plugin.writes).map(({ doc }) => doc)),
    ];
    for (const doc of docs) expect(doc).toMatch(/^["A-Z1].*\.$/s);
  });

  test('has defaults that it would accept', () => {
    for (const option of Object.values(plugin.options)) {
      if (option.type === 'int') {
        expect(option.default).toBeGreaterThanOrEqual(option.min ?? 0);
        expect(option.default).toBeLessThanOrEqual(option.max ?? 0xffffffff);
      }
      if (option.type === 'choice') expect(option.choices).toContain(option.default);
    }
  });

  test('asks for no socket buffer that no kernel gives', () => {
    for (const [key, option] of Object.entries(plugin.options)) {
      if (key.startsWith('netlink_socket_buffer_')) expect(option, key).toMatchObject({ max: MAX_SOCKET_BUFFER });
    }
  });

  test('has options whose names and types agree on what is secret', () => {
    for (const [key, { type }] of Object.entries(plugin.options)) expect(isSecretKey(key), key).toBe(type === 'secret');
  });

  test('reads only keys that some plugin writes, with the same type', () => {
    if (plugin.role === 'input' || plugin.reads === 'every') return;
    for (const [key, { type }] of Object.entries(plugin.reads)) {
      const given = writers.flatMap((writer) => writer.writes[key] ?? []);
      expect(given.length, key).toBeGreaterThan(0);
      for (const spec of given) expect(spec.type, key).toBe(type);
    }
  });

  test('has an example that links without a problem', () => {
    expect(plugin.example).toContain(`:${name}`);
    const config = parseConfig(`[global]\n${plugin.example}\n`, 'example', names);
    const problems: Problem[] = [...config.problems];
    const stacks = config.stacks.map(({ steps }) =>
      steps.map(({ id, plugin: word, line, column }, index) => {
        const ofName = catalog.filter((other) => other.name === word);
        const found = pluginFor(ofName, index === 0)!;
        const at = { file: 'example', line, column, id };
        return {
          id,
          plugin: found,
          options: resolveOptions(undefined, found.options, { at, compat: false }).values,
          line,
          column,
        };
      }),
    );
    planStacks(stacks, 'example', catalog, problems);
    expect(problems).toEqual([]);
    expect(stacks[0]?.map((step) => step.plugin)).toContain(plugin);
  });
});
