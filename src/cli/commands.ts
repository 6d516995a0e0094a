import { type Commands, textArgument } from '../control/command.ts';
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
    netns: {
      summary: 'Lists the network namespaces that are watched, with what was read there.',
      run: () => daemon.crew.namespaces(),
    },
    attach: {
      summary: 'Listens in a network namespace (argument "name") now, without waiting for the news of it.',
      run: (given) => counted(daemon.crew.attach(textArgument(given, 'name')), 'no input names this namespace'),
    },
    detach: {
      summary: 'Lets go of a network namespace (argument "name"), so that it can be removed at once.',
      run: (given) => counted(daemon.crew.detach(textArgument(given, 'name')), 'no input listens in this namespace'),
    },
    reload: {
      summary: 'Reads the configuration again, and changes the stacks that changed in it.',
      run: () => daemon.reloader.reload(),
    },
  };
  return commands;
}

/** How many inputs a command concerned. Rejects when there are none. */
async function counted(inputs: Promise<number>, none: string): Promise<{ readonly inputs: number }> {
  const count = await inputs;
  if (count === 0) throw new Error(none);
  return { inputs: count };
}
