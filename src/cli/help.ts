interface Command {
  /** What stands behind `flowlogd`. */
  readonly usage: string;
  /** One line of `flowlogd --help`. */
  readonly does: string;
  /** The rest of `flowlogd COMMAND --help`. */
  readonly more: string;
}

const ASKING = `  -c, --configfile FILE   ask the daemon of this configuration
      --control PATH      ask the daemon whose control socket this is
                          default: the one at /run/flowlogd/control.sock
      --json              one line of JSON
`;

const DONE = 'Exit code: 0 done, 1 it could not be done.\n';

/** The commands, in the order of `flowlogd --help`. */
const COMMANDS = {
  check: {
    usage: 'check FILE',
    does: 'read a configuration and report every error in it',
    more: `Nothing is started, and no rights are needed.

Exit code: 0 no error, 1 an error.
`,
  },
  status: {
    usage: 'status [--json] [-c FILE | --control PATH]',
    does: 'ask a running daemon how it is, and what it has lost',
    more: `${ASKING}
Exit code: 0 nothing was lost and everything runs, 1 events were lost or a stack does not run, 2 no daemon answers.
`,
  },
  netns: {
    usage: 'netns [--json] [-c FILE | --control PATH]',
    does: 'list the network namespaces that a daemon watches',
    more: `${ASKING}
${DONE}`,
  },
  attach: {
    usage: 'attach NAME [-c FILE | --control PATH]',
    does: 'have a daemon listen in a network namespace now',
    more: `NAME is that of the namespace in /run/netns.

${ASKING}
${DONE}`,
  },
  detach: {
    usage: 'detach NAME [-c FILE | --control PATH]',
    does: 'have a daemon let go of a network namespace',
    more: `NAME is that of the namespace in /run/netns.

${ASKING}
${DONE}`,
  },
  info: {
    usage: 'info [PLUGIN | SECTION]',
    does: "list the plugins, or one's options and keys; those of [global], too",
    more: 'ulogd_output_JSON.so is accepted for JSON.\n',
  },
  'who-had': {
    usage: 'who-had ADDRESS[:PORT] --at TIME [--proto P] [--within T] [--json] FILE…',
    does: 'say who was behind an address at a time, by the JSON files of flowlogd',
    more: `  ADDRESS[:PORT]    what the outside saw: a floating IP or a router's address; [2001:db8::7]:443 with a port
  --at TIME         2026-11-21T10:03:45Z, 2026-11-21T11:03:45+01:00, or seconds since 1970
  --proto P         tcp, udp, icmp, … or a number
  --within T        how far the asker's clock may be off: 5s, 500ms, 2m
  --json            for programs
  FILE…             JSON files, rotated and compressed ones too, in any order; - is stdin

Exit code: 0 found, 1 nobody had it, 2 error, 3 uncertain: the answer says why.
`,
  },
  spool: {
    usage: 'spool ls | verify | replay | drop DIR',
    does: "list a spool's segments, check them, print what waits, or remove it",
    more: `Exit code: 0, or 1 for damage and for what cannot be done.
`,
  },
  audit: {
    usage: 'audit install | remove | show [--netns GLOB] [--limit RATE] [--group N] [--dry-run]',
    does: 'manage the nftables rules by which VERDICT learns what was accepted or dropped',
    more: `      --netns GLOB        in these namespaces of /run/netns, such as 'qrouter-* snat-*'; without it, in this one
      --limit RATE        connections that are judged at most, such as 100/second (the default) or 20/minute
      --group N           have the first packet of each connection logged to this NFLOG group, too
      --dry-run           print the rules, and change nothing

${DONE}`,
  },
  doctor: {
    usage: 'doctor [-c FILE] [-u USER] [--fix [--yes]] [--json]',
    does: 'look at kernel, rules, rights, disks and clock; say what the log suffers from',
    more: `  -c, --configfile FILE   look at what this configuration needs, too
  -u, --uid USER          as the daemon that becomes this user
      --fix               change settings, and ask before each
  -y, --yes               do not ask
      --json              for programs

Exit code: 0 nothing to mend, 1 errors or warnings, 2 it could not look.
`,
  },
} as const satisfies Readonly<Record<string, Command>>;

const OPTIONS = `Options:
  -c, --configfile FILE   configuration (default /etc/ulogd.conf)
  -d, --daemon            run in the background
  -p, --pidfile FILE      write the process id there, and keep the file locked
  -u, --uid USER          run as this user once everything is open
  -l, --loglevel LEVEL    1 debug, 3 info, 5 notice, 7 error, 8 fatal; wins over the configuration
  -v, --verbose           copy the daemon's log to stderr
  -i, --info PLUGIN       the same as "flowlogd info"; ulogd_output_JSON.so is accepted for JSON
  -V, --version           print the version
  -h, --help              print this

"flowlogd COMMAND --help" says more of a command.
`;

export type CommandName = keyof typeof COMMANDS;

/** The names of all commands. */
export const commandNames = Object.keys(COMMANDS) as CommandName[];

export const isCommand = (word: string): word is CommandName => Object.hasOwn(COMMANDS, word);

/** What `--help` prints, of the program or of one command. */
export function helpText(about?: CommandName): string {
  if (about !== undefined) {
    const { usage, does, more } = COMMANDS[about];
    return `Usage: flowlogd ${usage}\n\n${does[0]?.toUpperCase()}${does.slice(1)}.\n\n${more}`;
  }
  const list = commandNames.map((name) => `       flowlogd ${COMMANDS[name].usage}\n           ${COMMANDS[name].does}`);
  return `flowlogd: Netfilter event logger

Usage: flowlogd [OPTIONS]
           run the daemon
${list.join('\n')}

${OPTIONS}`;
}

/** Exit code for a command line that cannot be understood: 2 where 1 is an answer of the command. */
export const usageExitCode = (command: string | undefined): number =>
  command === 'status' || command === 'doctor' || command === 'who-had' ? 2 : 1;
