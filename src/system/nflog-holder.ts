import { readFileSync } from 'node:fs';
import { hasCapability } from './capabilities.ts';
import { namespaceOf, ownersOf, type Process, processes } from './processes.ts';

const NETLINK_NETFILTER = '12';

/** Who reads an NFLOG group. */
export interface GroupHolder {
  readonly group: number;
  /** Netlink port of the socket that holds it. */
  readonly port: string;
  /** Undefined where /proc does not tell. */
  readonly process: Process | undefined;
}

/** Reads who holds which group from a namespace's /proc/net/netfilter/nfnetlink_log and /proc/net/netlink. */
export function groupHolders(nfnetlinkLog: string, netlink: string): GroupHolder[] {
  const held = table(nfnetlinkLog).flatMap(([group, port]) => (port === undefined ? [] : [{ group, port }]));
  const inodes = new Map(
    table(netlink).flatMap((field) => (field[1] === NETLINK_NETFILTER ? [[field[2], field[9] as string]] : [])),
  );
  const owners = ownersOf(new Set(held.flatMap(({ port }) => inodes.get(port) ?? [])));
  return held.map(({ group, port }) => ({ group: Number(group), port, process: owners.get(inodes.get(port) ?? '') }));
}

/** A holder as a message names it. */
export const describeHolder = ({ process, port }: GroupHolder): string =>
  process ? `process ${process.pid} (${process.name})` : `another process (netlink port ${port})`;

/**
 * Why the kernel refused an NFLOG group with EPERM, which it does for want of a capability and for a group that another
 * socket holds alike. Names the process that holds it where /proc tells.
 */
export function describeGroupHolder(group: number, namespace?: string): string {
  if (!hasCapability('CAP_NET_ADMIN'))
    return `NFLOG group ${group}: CAP_NET_ADMIN is needed; run as root or with that capability`;
  const proc = procOf(namespace);
  const holders = proc ? groupHolders(read(`${proc}/net/netfilter/nfnetlink_log`), read(`${proc}/net/netlink`)) : [];
  const holder = holders.find((one) => one.group === group);
  // Inside a user namespace a process has every capability, which does not reach network namespaces made outside of it.
  if (!holder)
    return `NFLOG group ${group} is refused: another process reads it (a group has one reader per network namespace), or CAP_NET_ADMIN does not reach this network namespace, as from inside a user namespace`;
  return `NFLOG group ${group} is held by ${describeHolder(holder)}: a group has one reader per network namespace; stop it or log to another group`;
}

/** The /proc folder of a process inside the namespace: only from there are its sockets seen. */
function procOf(namespace: string | undefined): string | undefined {
  if (namespace === undefined) return '/proc/thread-self';
  const wanted = namespaceOf(namespace);
  const inside = processes().find((process) => namespaceOf(process) === wanted);
  return inside && `/proc/${inside.pid}`;
}

const table = (text: string): string[][] =>
  text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim().split(/\s+/)]));

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
