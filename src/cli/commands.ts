import type { Commands } from '../control/command.ts';
import { type Daemon, statusOf } from './daemon-status.ts';

/** What can be asked of a daemon over its control socket. */
export function commandsOf(daemon: Daemon): Commands {
  const commands: Commands = {
    help: {
      summary: 'Lists the commands.',
      run: () => Object.fromEntries(Object.entries(commands).map(([name, { summary }]) => [name, summary])),
    },
    status: {
      summary: 'Tells how the daemon is, and what it counted.',
      run: () => statusOf(daemon),
    },
    reload: {
      summary: 'Reads the configuration again, and changes the stacks that changed in it.',
      run: () => daemon.reloader.reload(),
    },
  };
  return commands;
}
