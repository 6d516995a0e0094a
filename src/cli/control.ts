import { GLOBAL_OPTIONS } from '../config/global.ts';
import { ControlServer } from '../control/server.ts';
import { listenAt } from '../control/socket-file.ts';
import type { DaemonLog } from '../system/log.ts';
import type { Identity } from '../system/user.ts';
import { commandsOf } from './commands.ts';
import type { Daemon } from './daemon-status.ts';

/** What answers for the daemon while it runs. */
export interface Control {
  close(): Promise<void>;
}

/**
 * Opens the control socket that the configuration names. Where that fails the daemon goes on without: in silence when nobody
 * asked for the socket, because it may be one of several daemons, or one without rights in /run.
 */
export async function openControl(daemon: Daemon, owner: Identity | undefined, log: DaemonLog): Promise<Control> {
  const { control: path } = daemon.config.global;
  if (path === '') return { async close() {} };
  const control = new ControlServer(commandsOf(daemon));
  try {
    const file = await listenAt(control.server, path, owner);
    control.server.on('error', (error) => log.error(`the control socket ${path}: ${error.message}`));
    return {
      async close() {
        await control.close();
        file.remove();
      },
    };
  } catch (error) {
    const message = `there is no control socket: ${(error as Error).message}`;
    if (path === GLOBAL_OPTIONS.control.default) log.info(message);
    else log.error(message);
    return { async close() {} };
  }
}
