import { type ParseArgsConfig, parseArgs } from 'node:util';

export const USAGE = `flowlogd: Netfilter event logger

Usage: flowlogd [OPTIONS]             run the daemon
       flowlogd check FILE            read a configuration and report every error in it
       flowlogd status [--json] [-c FILE | --control PATH]
                                     ask a running daemon how it is: 0 all is well, 1 events were lost, 2 none runs
       flowlogd netns [--json] | attach NAME | detach NAME  [-c FILE | --control PATH]
                                     list the network namespaces that it watches, listen in one now, let go of one
       flowlogd info [PLUGIN]         list the plugins, or one plugin's options and keys
       flowlogd spool ls | verify | replay | drop DIR
                                     list a spool's segments, check them, print what waits, or remove it
       flowlogd doctor [-c FILE] [-u USER] [--fix [--yes]] [--json]
                                     look at kernel, rules, rights, disks and clock; say what the log suffers from

Options:
  -c, --configfile FILE   configuration (default /etc/ulogd.conf)
  -d, --daemon            run in the background
  -p, --pidfile FILE      write the process id there, and keep the file locked
  -u, --uid USER          run as this user once everything is open
  -l, --loglevel LEVEL    1 debug, 3 info, 5 notice, 7 error, 8 fatal; wins over the configuration
  -v, --verbose           copy the daemon's log to stderr
  -i, --info PLUGIN       the same as "flowlogd info"; ulogd_output_JSON.so is accepted for JSON
  -V, --version           print the version
  -h, --help              print this
`;

export interface RunArguments {
  readonly command: 'run';
  readonly configFile: string;
  readonly daemon: boolean;
  readonly verbose: boolean;
  readonly pidFile?: string;
  readonly user?: string;
  readonly logLevel?: number;
}

export interface DoctorArguments {
  readonly command: 'doctor';
  /** Undefined: the kernel side only. */
  readonly configFile?: string;
  readonly user?: string;
  readonly fix: boolean;
  readonly yes: boolean;
  readonly json: boolean;
}

const SPOOL_ACTIONS = ['ls', 'verify', 'replay', 'drop'] as const;

export interface SpoolArguments {
  readonly command: 'spool';
  readonly action: (typeof SPOOL_ACTIONS)[number];
  readonly directory: string;
}

/** Which daemon is asked. */
export interface DaemonAddress {
  /** Its configuration. */
  readonly configFile?: string;
  /** Path of its control socket. */
  readonly control?: string;
}

export interface StatusArguments extends DaemonAddress {
  readonly command: 'status';
  readonly json: boolean;
}

const NAMESPACE_COMMANDS = ['netns', 'attach', 'detach'] as const;

export interface NamespaceArguments extends DaemonAddress {
  readonly command: (typeof NAMESPACE_COMMANDS)[number];
  readonly json: boolean;
  /** The namespace; empty for `netns`. */
  readonly name: string;
}

export type Arguments =
  | RunArguments
  | StatusArguments
  | NamespaceArguments
  | SpoolArguments
  | DoctorArguments
  | { readonly command: 'help' | 'version' }
  | { readonly command: 'check'; readonly file: string }
  | { readonly command: 'info'; readonly plugin?: string };

/** Reads the command line, ulogd's flags and our commands. Throws UsageError. */
export function readArguments(args: readonly string[]): Arguments {
  const [first, ...rest] = args;
  if (first !== undefined && !first.startsWith('-')) return readCommand(first, rest);
  const { values } = parse(args, FLAGS);
  if (values.help) return { command: 'help' };
  if (values.version) return { command: 'version' };
  if (values.info !== undefined) return { command: 'info', plugin: values.info };
  const logLevel = Number.parseInt(values.loglevel ?? '', 10);
  return {
    command: 'run',
    configFile: values.configfile,
    daemon: values.daemon,
    verbose: values.verbose,
    ...(values.pidfile === undefined ? {} : { pidFile: values.pidfile }),
    ...(values.uid === undefined ? {} : { user: values.uid }),
    ...(logLevel > 0 ? { logLevel } : {}), // as in ulogd: 0 and what is no number count for nothing
  };
}

/** A command line that cannot be understood; the message is for the person who typed it. */
export class UsageError extends Error {}

function readCommand(command: string, rest: readonly string[]): Arguments {
  const [operand] = rest;
  if (command === 'help') return { command: 'help' };
  if (command === 'check' && rest.length === 1 && operand !== undefined) return { command: 'check', file: operand };
  if (command === 'check') throw new UsageError('check takes one FILE');
  if (command === 'info' && rest.length <= 1) return operand === undefined ? { command } : { command, plugin: operand };
  if (command === 'info') throw new UsageError('info takes one PLUGIN at most');
  if (command === 'status') return readStatus(rest);
  const namespaceCommand = NAMESPACE_COMMANDS.find((one) => one === command);
  if (namespaceCommand !== undefined) return readNamespaces(namespaceCommand, rest);
  if (command === 'spool') return readSpool(rest);
  if (command === 'doctor') return readDoctor(rest);
  throw new UsageError(`unknown command "${command}"`);
}

function readStatus(rest: readonly string[]): StatusArguments {
  const { values } = parse(rest, ASKING);
  return { command: 'status', json: values.json, ...addressOf('status', values) };
}

function readNamespaces(command: NamespaceArguments['command'], rest: readonly string[]): NamespaceArguments {
  const { values, positionals } = parse(rest, ASKING, command !== 'netns');
  if (command !== 'netns' && positionals.length !== 1) throw new UsageError(`${command} takes one NAME`);
  return { command, json: values.json, name: positionals[0] ?? '', ...addressOf(command, values) };
}

function addressOf(
  command: string,
  values: { readonly configfile?: string; readonly control?: string },
): DaemonAddress {
  const { configfile, control } = values;
  if (configfile !== undefined && control !== undefined)
    throw new UsageError(`${command} takes -c or --control, not both`);
  return {
    ...(configfile === undefined ? {} : { configFile: configfile }),
    ...(control === undefined ? {} : { control }),
  };
}

function readSpool([word, directory, ...more]: readonly string[]): SpoolArguments {
  const action = SPOOL_ACTIONS.find((one) => one === word);
  if (action === undefined || directory === undefined || more.length > 0) {
    throw new UsageError(`spool takes one of ${SPOOL_ACTIONS.join(', ')}, and one DIR`);
  }
  return { command: 'spool', action, directory };
}

function readDoctor(rest: readonly string[]): DoctorArguments {
  const { configfile, uid, fix, yes, json } = parse(rest, {
    configfile: { type: 'string', short: 'c' },
    uid: { type: 'string', short: 'u' },
    fix: { type: 'boolean', default: false },
    yes: { type: 'boolean', short: 'y', default: false },
    json: { type: 'boolean', default: false },
  }).values;
  if (fix && json) throw new UsageError('doctor takes --fix or --json, not both');
  return {
    command: 'doctor',
    fix,
    yes,
    json,
    ...(configfile === undefined ? {} : { configFile: configfile }),
    ...(uid === undefined ? {} : { user: uid }),
  };
}

type Flags = NonNullable<ParseArgsConfig['options']>;

/** Flags of commands that ask a daemon. */
const ASKING = {
  json: { type: 'boolean', default: false },
  configfile: { type: 'string', short: 'c' },
  control: { type: 'string' },
} as const satisfies Flags;

/** Flags of the daemon itself. */
const FLAGS = {
  configfile: { type: 'string', short: 'c', default: '/etc/ulogd.conf' },
  daemon: { type: 'boolean', short: 'd', default: false },
  pidfile: { type: 'string', short: 'p' },
  uid: { type: 'string', short: 'u' },
  verbose: { type: 'boolean', short: 'v', default: false },
  loglevel: { type: 'string', short: 'l' },
  info: { type: 'string', short: 'i' },
  version: { type: 'boolean', short: 'V', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies Flags;

function parse<const Options extends Flags>(args: readonly string[], options: Options, allowPositionals = false) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
