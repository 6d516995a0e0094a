import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

/** A process, by its number and the name that ps shows. */
export interface Process {
  readonly pid: number;
  readonly name: string;
}

/** Every process that /proc shows. */
export function processes(): Process[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      const comm = attempt(() => readFileSync(`/proc/${entry}/comm`, 'utf8').trim());
      // Any process may call itself anything (prctl(2)): it must not command the terminal that shows the name.
      return comm === undefined ? [] : [{ pid: Number(entry), name: comm.replace(/[\0-\x1f\x7f-\x9f]/g, '?') }];
    });
}

/** Identity of the network namespace of a process, or of the file at a path; undefined when it may not be known. */
export const namespaceOf = (of: Process | string): number | undefined =>
  attempt(() => statSync(typeof of === 'string' ? of : `/proc/${of.pid}/ns/net`).ino);

/** The processes that have these sockets open, by the socket's inode; those of other users are seen by root alone. */
export function ownersOf(inodes: ReadonlySet<string>): Map<string, Process> {
  const owners = new Map<string, Process>();
  if (inodes.size === 0) return owners;
  for (const process of processes()) {
    const folder = `/proc/${process.pid}/fd`;
    for (const fd of attempt(() => readdirSync(folder)) ?? []) {
      const inode = /^socket:\[(\d+)\]$/.exec(attempt(() => readlinkSync(`${folder}/${fd}`)) ?? '')?.[1];
      if (inode !== undefined && inodes.has(inode)) owners.set(inode, process);
    }
  }
  return owners;
}

/** Processes come and go while /proc is read: what is gone is no answer. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
