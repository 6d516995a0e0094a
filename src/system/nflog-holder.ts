import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

const CAP_NET_ADMIN = 12n;
const NETLINK_NETFILTER = '12';

/**
 * Why the kernel refused an NFLOG group with EPERM, which it does for want of a capability and for a group that another
 * socket holds alike. Names the process that holds it where /proc tells.
 */
export function describeGroupHolder(group: number, namespace?: string): string {
  if (!hasNetAdmin()) return `NFLOG group ${group}: CAP_NET_ADMIN is needed; run as root or with that capability`;
  const proc = procOf(namespace);
  const port = proc && groupPort(proc, group);
  if (!port) return `NFLOG group ${group} is held by another process: a group has one reader per network namespace`;
  const holder = processOf(proc, port);
  const who = holder ? `process ${holder.pid} (${holder.name})` : `another process (netlink port ${port})`;
  return `NFLOG group ${group} is held by ${who}: a group has one reader per network namespace; stop it or log to another group`;
}

function hasNetAdmin(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

/** The /proc folder of a process inside the namespace: only from there are its sockets seen. */
function procOf(namespace: string | undefined): string | undefined {
  if (namespace === undefined) return '/proc/thread-self';
  const wanted = attempt(() => statSync(namespace).ino);
  return pids().find((proc) => attempt(() => statSync(`${proc}/ns/net`).ino) === wanted);
}

const pids = (): string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `/proc/${pid}`);

/** nfnetlink_log: group, port, … in one line each. */
function groupPort(proc: string, group: number): string | undefined {
  return lines(`${proc}/net/netfilter/nfnetlink_log`).find(([number]) => number === String(group))?.[1];
}

function processOf(proc: string, port: string): { pid: string; name: string } | undefined {
  const inode = lines(`${proc}/net/netlink`).find((field) => field[1] === NETLINK_NETFILTER && field[2] === port)?.[9];
  const holder = pids().find((folder) =>
    attempt(() => readdirSync(`${folder}/fd`))?.some(
      (fd) => attempt(() => readlinkSync(`${folder}/fd/${fd}`)) === `socket:[${inode}]`,
    ),
  );
  if (inode === undefined || holder === undefined) return undefined;
  return { pid: holder.slice('/proc/'.length), name: readFileSync(`${holder}/comm`, 'utf8').trim() };
}

const lines = (path: string): string[][] =>
  (attempt(() => readFileSync(path, 'utf8')) ?? '').split('\n').map((line) => line.trim().split(/\s+/));

/** Processes come and go while /proc is read: what is gone is no answer. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
