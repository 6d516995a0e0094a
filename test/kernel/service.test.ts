// What etc/ installs for systemd, by systemd's own measure.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const etc = fileURLToPath(new URL('../../etc/', import.meta.url));
const unit = readFileSync(join(etc, 'flowlogd.service'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'flowlogd-unit-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The exposure that `systemd-analyze security` finds: 0 is a service that can do nothing, 10 one that can do all. */
function exposure(text: string): number {
  const file = join(folder, 'flowlogd.service');
  writeFileSync(file, text);
  const printed = execFileSync('systemd-analyze', ['security', '--offline=true', '--no-pager', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return Number(/exposure level for \S+: ([\d.]+)/.exec(printed)?.[1]);
}

test('the service is exposed at 2.0 at most, network outputs included', () => {
  expect(unit).toMatch(/^RestrictAddressFamilies=.*AF_INET AF_INET6$/m);
  expect(exposure(unit)).toBeLessThanOrEqual(2.0);
  // The measure does measure.
  expect(exposure(unit.replace(/^ProtectSystem=.*$/m, '').replace(/^SystemCallFilter=.*$/gm, ''))).toBeGreaterThan(2.0);
});

test('with the lines for other namespaces that it names it is exposed at 2.0 at most, too', () => {
  const lines = [...unit.matchAll(/^#\s{3}((?:AmbientCapabilities|CapabilityBoundingSet|RestrictNamespaces)=.*)$/gm)];
  expect(lines).toHaveLength(3);
  const dropIn = `\n[Service]\n${lines.map((line) => line[1]).join('\n')}\n`;
  expect(exposure(unit + dropIn)).toBeLessThanOrEqual(2.0);
});

test('systemd knows every line of the unit', () => {
  const { stderr } = spawnSync('systemd-analyze', ['verify', join(etc, 'flowlogd.service')], { encoding: 'utf8' });
  const said = stderr
    .split('\n')
    .filter((line) => line.includes('flowlogd.service') && !/is not executable/.test(line));
  expect(said).toEqual([]);
});

test('the user of the unit is the one that systemd-sysusers makes', () => {
  const user = /^User=(\w+)$/m.exec(unit)?.[1] as string;
  const root = join(folder, 'root');
  execFileSync('mkdir', ['-p', join(root, 'etc')]);
  execFileSync('systemd-sysusers', [`--root=${root}`, join(etc, 'flowlogd.sysusers')], { stdio: 'ignore' });
  expect(readFileSync(join(root, 'etc/passwd'), 'utf8')).toMatch(new RegExp(`^${user}:.*nologin$`, 'm'));
});
