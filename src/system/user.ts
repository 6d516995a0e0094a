import { execFileSync } from 'node:child_process';

/** Gives up root for `user`, with the user's groups. Throws when there is no such user. */
export function becomeUser(user: string): void {
  const group = ids('-g', user)[0] as number;
  process.setgroups?.(ids('-G', user));
  process.setgid?.(group);
  process.setuid?.(user);
}

/** Asks id(1): like getpwnam(3), and unlike Node, it knows users that are not in /etc/passwd. */
function ids(flag: '-g' | '-G', user: string): number[] {
  try {
    const printed = execFileSync('id', [flag, '--', user], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return printed.trim().split(' ').map(Number);
  } catch {
    throw new Error(`unknown user ${user}`);
  }
}
