import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Secret } from '../../../src/config/secret.ts';
import { configurationFile } from '../../../src/doctor/configuration-file.ts';
import type { Site } from '../../../src/doctor/site.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-doctor-'));
const file = join(folder, 'flowlogd.conf');
writeFileSync(file, '');
afterAll(() => rmSync(folder, { recursive: true }));

test.each([
  ['hunter2', 0o644, ['holds a password, and every user can read it']],
  ['hunter2', 0o640, []],
  ['env:NAME', 0o644, []],
  ['file:/etc/secret', 0o644, []],
  ['', 0o644, []],
  ['', 0o642, ['every user can write']],
])('with the secret %j and mode %o', (text, mode, found) => {
  chmodSync(file, mode);
  const site = { config: { file }, outputs: [{ options: { pass: new Secret(text) } }] } as unknown as Site;
  const messages = configurationFile.look(site).map(({ message }) => message);
  expect(messages).toEqual(found.map((part) => expect.stringContaining(part)));
});
