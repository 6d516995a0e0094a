import type { Config } from '../config/config.ts';
import type { Commands } from '../control/command.ts';
import type { Crew } from './crew.ts';
import { version } from './version.ts';

/** The daemon, as commands see it. */
export interface Daemon {
  readonly config: Config;
  readonly crew: Crew;
  /** When it was started: performance.now(). */
  readonly started: number;
  state: 'starting' | 'running' | 'stopping';
}

/** What can be asked of a daemon over its control socket. */
export function commandsOf(daemon: Daemon): Commands {
  const commands: Commands = {
    help: {
      summary: 'Lists the commands.',
      run: () => Object.fromEntries(Object.entries(commands).map(([name, { summary }]) => [name, summary])),
    },
    status: {
      summary: 'Tells how the daemon is, and what it counted.',
      run: () => ({
        version: version(),
        pid: process.pid,
        state: daemon.state,
        uptime: (performance.now() - daemon.started) / 1000,
        configuration: daemon.config.file,
      }),
    },
  };
  return commands;
}
