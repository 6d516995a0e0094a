import { expect, test } from 'vitest';
import { readArguments, UsageError } from '../../../src/cli/arguments.ts';
import { auditScript, limitFault } from '../../../src/router/audit-rules.ts';

test.each(['1/second', '100/second', '20/minute', '7/hour', '3/day'])('%s is a limit', (text) => {
  expect(limitFault(text)).toBeUndefined();
});

test.each(['', '0/second', '100', '100/sec', '-1/second', '1/second; flush ruleset', '1 /second', '9999999999/second'])(
  '%j is none, and never reaches nft',
  (text) => {
    expect(limitFault(text)).toContain('is no limit');
    expect(() => readArguments(['audit', 'install', '--limit', text])).toThrow(UsageError);
  },
);

test('the rules are one transaction that replaces our table and touches no other', () => {
  const script = auditScript({ limit: '100/second' });
  expect(script.match(/table \w+ \w+/g)).toEqual(Array(3).fill('table inet flowlogd_audit'));
  expect(script).not.toMatch(/\b(drop|accept|log|mark set)\b(?<!policy accept)/);
  // Behind is logged what was logged in front, and not what a second limit lets pass.
  const logging = auditScript({ limit: '100/second', group: 7 });
  expect(logging.match(/limit.*NEW.*/g)).toEqual(
    Array(4).fill(
      'limit rate 100/second burst 100 packets counter meta nftrace set 1 update @judged { @th,0,64 } log prefix "flowlogd NEW " group 7',
    ),
  );
  expect(logging.match(/^.*ACCEPT.*/gm)?.every((rule) => rule.includes(' @th,0,64 @judged log'))).toBe(true);
  expect(logging.match(/^.*ACCEPT.*limit/m)).toBeNull();
});

test('the command line of audit says what it takes', () => {
  expect(
    readArguments(['audit', 'install', '--netns', 'qrouter-* !qrouter-test*', '--group', '0', '--dry-run']),
  ).toEqual({
    command: 'audit',
    action: 'install',
    netns: 'qrouter-* !qrouter-test*',
    group: 0,
    limit: '100/second',
    dryRun: true,
  });
  const fault = (...words: string[]) => {
    try {
      readArguments(['audit', ...words]);
    } catch (error) {
      return (error as Error).message;
    }
    return undefined;
  };
  expect(fault()).toBe('audit takes one of install, remove, show');
  expect(fault('enable')).toBe('audit takes one of install, remove, show');
  expect(fault('install', '--group', '65536')).toBe('--group takes a number from 0 to 65535, and "65536" is none');
  expect(fault('show', '--netns', '../x')).toContain('is no name of a namespace');
});
