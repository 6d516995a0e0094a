import { type ParseArgsConfig, parseArgs } from 'node:util';
import { suggestion } from '../config/nearest.ts';
import { patternFault } from '../pipeline/namespace.ts';
import { DEFAULT_LIMIT, limitFault } from '../router/audit-rules.ts';
import { type CommandName, commandNames, isCommand } from './help.ts';

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

const AUDIT_ACTIONS = ['install', 'remove', 'show'] as const;

export interface AuditArguments {
  readonly command: 'audit';
  readonly action: (typeof AUDIT_ACTIONS)[number];
  /** Which namespaces of /run/netns; undefined for our own. */
  readonly netns?: string;
  readonly limit: string;
  readonly group?: number;
  readonly dryRun: boolean;
}

const NAMESPACE_COMMANDS = ['netns', 'attach', 'detach'] as const;

export interface NamespaceArguments extends DaemonAddress {
  readonly command: (typeof NAMESPACE_COMMANDS)[number];
  readonly json: boolean;
  /** The namespace; empty for `netns`. */
  readonly name: string;
}

export interface WhoHadArguments {
  readonly command: 'who-had';
  /** As typed. */
  readonly address: string;
  readonly at: string;
  readonly protocol: string | undefined;
  readonly within: string | undefined;
  readonly json: boolean;
  readonly files: readonly string[];
}

export type Arguments =
  | WhoHadArguments
  | RunArguments
  | StatusArguments
  | NamespaceArguments
  | SpoolArguments
  | AuditArguments
  | DoctorArguments
  | { readonly command: 'version' }
  /** Of a command, or of the whole program. */
  | { readonly command: 'help'; readonly about?: CommandName }
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
  if (command === 'help' && operand === undefined) return { command };
  const named = command === 'help' ? operand : command;
  if (!isCommand(named)) throw new UsageError(`unknown command "${named}"${suggestion(named, commandNames)}`);
  if (command === 'help') return { command, about: named };
  if (rest.some((word) => word === '--help' || word === '-h')) return { command: 'help', about: named };
  if (command === 'check' && rest.length === 1 && operand !== undefined) return { command: 'check', file: operand };
  if (command === 'check') throw new UsageError('check takes one FILE');
  if (command === 'info' && rest.length <= 1) return operand === undefined ? { command } : { command, plugin: operand };
  if (command === 'info') throw new UsageError('info takes one PLUGIN at most');
  if (command === 'status') return readStatus(rest);
  const namespaceCommand = NAMESPACE_COMMANDS.find((one) => one === command);
  if (namespaceCommand !== undefined) return readNamespaces(namespaceCommand, rest);
  if (command === 'spool') return readSpool(rest);
  if (command === 'audit') return readAudit(rest);
  if (command === 'doctor') return readDoctor(rest);
  if (command === 'who-had') return readWhoHad(rest);
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

function readAudit([word, ...rest]: readonly string[]): AuditArguments {
  const action = AUDIT_ACTIONS.find((one) => one === word);
  if (action === undefined) throw new UsageError(`audit takes one of ${AUDIT_ACTIONS.join(', ')}`);
  const {
    netns,
    limit,
    group,
    'dry-run': dryRun,
  } = parse(rest, {
    netns: { type: 'string' },
    limit: { type: 'string', default: DEFAULT_LIMIT },
    group: { type: 'string' },
    'dry-run': { type: 'boolean', default: false },
  }).values;
  const fault = limitFault(limit) ?? (netns === undefined ? undefined : patternFault(netns));
  if (fault !== undefined) throw new UsageError(fault);
  if (group !== undefined && !(/^\d{1,5}$/.test(group) && Number(group) <= 65535)) {
    throw new UsageError(`--group takes a number from 0 to 65535, and "${group}" is none`);
  }
  return {
    command: 'audit',
    action,
    limit,
    dryRun,
    ...(netns === undefined ? {} : { netns }),
    ...(group === undefined ? {} : { group: Number(group) }),
  };
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

function readWhoHad(rest: readonly string[]): WhoHadArguments {
  const { values, positionals } = parse(
    rest,
    {
      at: { type: 'string' },
      proto: { type: 'string' },
      within: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
    true,
  );
  const [address, ...files] = positionals;
  if (address === undefined) throw new UsageError('who-had takes one ADDRESS');
  if (values.at === undefined) throw new UsageError('who-had needs --at TIME');
  if (files.length === 0) throw new UsageError('who-had takes the FILES to search; - is stdin');
  const { at, proto, within, json } = values;
  return { command: 'who-had', address, at, protocol: proto, within, json, files };
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
