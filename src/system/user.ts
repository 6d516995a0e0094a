import { execFileSync } from 'node:child_process';
import { keepCapabilities, limitCapabilities } from './native.ts';

const CAP_NET_ADMIN = 1 << 12;

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
 * Gives up root for good. The calling thread keeps CAP_NET_ADMIN alone: the kernel asks for it with every dump of the
 * connections, not only when a socket is opened (nfnetlink_rcv). Throws ErrnoException.
 */
export function become({ user, group, groups }: Identity): void {
  keepCapabilities();
  process.setgroups?.([...groups]);
  process.setgid?.(group);
  process.setuid?.(user);
  limitThread();
}

/** After `become` in another thread: leaves this one CAP_NET_ADMIN alone. It must have called `keepCapabilities` before. */
export function limitThread(): void {
  limitCapabilities(CAP_NET_ADMIN);
}

function ids(flag: '-u' | '-g' | '-G', name: string): number[] {
  try {
    const printed = execFileSync('id', [flag, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return printed.trim().split(' ').map(Number);
  } catch {
    throw new Error(`unknown user ${name}`);
  }
}
