import { execFileSync } from 'node:child_process';

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

/** Gives up root for good. Throws ErrnoException. */
export function become({ user, group, groups }: Identity): void {
  process.setgroups?.([...groups]);
  process.setgid?.(group);
  process.setuid?.(user);
}

function ids(flag: '-u' | '-g' | '-G', name: string): number[] {
  try {
    const printed = execFileSync('id', [flag, '--', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return printed.trim().split(' ').map(Number);
  } catch {
    throw new Error(`unknown user ${name}`);
  }
}
