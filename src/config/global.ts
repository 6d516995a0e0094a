import type { Section } from './lexer.ts';
import { parseListenAddress } from './listen-address.ts';
import { type OptionSpecs, type OptionValues, type Resolved, resolveOptions } from './option.ts';
import { isLoadable, pluginOfPath, unknownPlugin } from './plugin-name.ts';
import { quote } from './problem.ts';

/** What `[global]` may say. */
export const GLOBAL_OPTIONS = {
  logfile: {
    type: 'string',
    default: '',
    doc: 'Where the daemon logs what it does: a path, `stdout` or `syslog`. Without it the log goes to stderr.',
  },
  loglevel: {
    type: 'int',
    default: 5,
    min: 1,
    max: 8,
    doc: 'Least important messages to log: 1 debug, 3 info, 5 notice, 7 error, 8 fatal.',
  },
  plugin: {
    type: 'lines',
    default: [],
    doc: 'Path of an ulogd plugin; its name selects the built-in plugin, the file need not exist.',
  },
  stack: {
    type: 'lines',
    default: [],
    doc: 'The way of an event: `id:PLUGIN,id:PLUGIN,…` from an input to an output, without blanks.',
  },
  gap_records: {
    type: 'bool',
    default: true,
    doc: 'Have outputs write a record of their own where the kernel dropped events; never with `compat`.',
  },
  control: {
    type: 'string',
    default: '/run/flowlogd/control.sock',
    check: socketPathFault,
    doc: 'Path of the unix socket at which `flowlogd status` and others ask the daemon; empty for none.',
  },
  metrics: {
    type: 'string',
    default: '',
    check: listenAddressFault,
    doc: 'Address and port, such as `127.0.0.1:9517` or `[::1]:9517`, for Prometheus (`/metrics`), `/healthz` and `/readyz`; none by default.',
  },
  workers: {
    type: 'int',
    default: 1,
    min: 1,
    max: 64,
    unit: 'threads',
    doc: 'Most threads to spread the inputs over. Inputs that share an output stay together; the order of events of one input never changes.',
  },
  reload: {
    type: 'bool',
    default: true,
    doc: 'Have SIGHUP also read the configuration again, and change the stacks that changed in it; 0 opens files again and no more, as ulogd does.',
  },
  compat: {
    type: 'choice',
    default: '',
    choices: ['', 'ulogd-2.0.8'],
    doc: 'Whose bytes to write: those that are right, or exactly those of ulogd 2.0.8, its mistakes included.',
  },
} as const satisfies OptionSpecs;

const OF_NFLOG = (option: string) => `ulogd 1 had it; write ${option} into the section of the NFLOG input`;

/** What ulogd 1 had in its one section. */
const ULOGD1: Readonly<Record<string, string>> = {
  nlgroup: OF_NFLOG('group='),
  rmem: OF_NFLOG('netlink_socket_buffer_size='),
  bufsize: OF_NFLOG('netlink_socket_buffer_size='),
};

/** Bytes of a unix socket's path (sun_path of unix(7), with the zero behind it). */
const SOCKET_PATH = 107;

function socketPathFault(path: string): string | undefined {
  if (path === '') return undefined;
  if (!path.startsWith('/')) return `${quote(path)} is no absolute path`;
  const { length } = Buffer.from(path);
  return length > SOCKET_PATH
    ? `${quote(path)} has ${length} bytes: a socket's path has ${SOCKET_PATH} at most`
    : undefined;
}

function listenAddressFault(text: string): string | undefined {
  try {
    if (text !== '') parseListenAddress(text);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Values of `[global]`. */
export type GlobalValues = OptionValues<typeof GLOBAL_OPTIONS>;

/** Reads `[global]`. Names in `plugin=` lines are checked against `known`, and only warned of: a stack may not need them. */
export function readGlobal(section: Section, known: readonly string[]): Resolved<typeof GLOBAL_OPTIONS> {
  // Whether an unknown key is an error, a key says.
  const resolve = (compat: boolean) =>
    resolveOptions(section, GLOBAL_OPTIONS, { at: { ...section, id: section.name }, compat, hints: ULOGD1 });
  const strict = resolve(false);
  const { values, problems } = strict.values.compat === '' ? strict : resolve(true);
  for (const { file, line, valueColumn, value } of values.plugin) {
    const name = pluginOfPath(value);
    if (name !== undefined && isLoadable(name, known)) continue;
    const what = name === undefined ? `${quote(value)} is not the path of an ulogd plugin` : unknownPlugin(name, known);
    problems.push({ file, line, column: valueColumn, message: `plugin: ${what}`, severity: 'warning' });
  }
  return { values, problems };
}
