import { execFileSync } from 'node:child_process';
import { CAPABILITY, type Capability } from './capabilities.ts';
import { keepCapabilities, limitCapabilities } from './native.ts';

/** Numbers of a user and of the user's groups. */
export interface Identity {
  readonly user: number;
  readonly group: number;
  readonly groups: readonly number[];
}

/** Asks id(1): like getpwnam(3), and unlike Node, it knows users that are not in /etc/passwd. Throws when there is no such user. */
export function lookUpUser(name: string): Identity {
  return { user: ids('-u', name)[0] as number, group: ids('-g', name)[0] as number, groups: ids('-G', name) };
}

/**
 * Gives up root for good. The calling thread, and what it runs, keep the capabilities in `kept` alone: the kernel asks for
 * CAP_NET_ADMIN with every dump of the connections, not only when a socket is opened (nfnetlink_rcv), and for CAP_SYS_ADMIN with
 * every socket in another namespace (setns(2)). Throws ErrnoException.
 */
export function become({ user, group, groups }: Identity, kept: readonly Capability[]): void {
  keepCapabilities();
  process.setgroups?.([...groups]);
  process.setgid?.(group);
  process.setuid?.(user);
  limitThread(kept);
}

/** After `become` in another thread: leaves this one these capabilities alone. It must have called `keepCapabilities` before. */
export function limitThread(kept: readonly Capability[]): void {
  limitCapabilities(kept.reduce((mask, name) => mask | (1 << CAPABILITY[name]), 0));
}

function ids(flag: '-u' | '-g' | '-G', name: string): number[] {
  try {
    const printed = execFileSync('id', [flag, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return printed.trim().split(' ').map(Number);
  } catch {
    throw new Error(`unknown user ${name}`);
  }
}
