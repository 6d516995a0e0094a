import { resolve } from 'node:path';
import { loadConfig } from '../config/config.ts';
import { GLOBAL_OPTIONS } from '../config/global.ts';
import { ConfigError } from '../config/problem.ts';
import { ask } from '../control/client.ts';
import type { StatusArguments } from './arguments.ts';
import type { Status } from './daemon-status.ts';
import { pluginNames } from './registry.ts';
import { statusText } from './status-text.ts';

/** `flowlogd status`: 0 when all is well, 1 when anything was lost since the start or does not run, 2 when no daemon answers. */
export async function status(args: StatusArguments): Promise<number> {
  try {
    const answer = (await ask(socketOf(args), 'status')) as Status;
    refuseStranger(answer, args);
    process.stdout.write(args.json ? `${JSON.stringify(answer)}\n` : statusText(answer));
    return answer.intact ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error instanceof ConfigError ? '' : 'flowlogd: '}${(error as Error).message}\n`);
    return 2;
  }
}

/** Several daemons may be meant to listen at the same path: the first has it. */
function refuseStranger({ pid, configuration }: Status, { configFile }: StatusArguments): void {
  if (configFile === undefined || resolve(configFile) === configuration) return;
  throw new Error(`the daemon that answers there is another one: process ${pid}, with ${configuration}`);
}

/** Where the daemon is to be found. Throws when its configuration cannot be read, or turns the socket off. */
function socketOf({ control, configFile }: StatusArguments): string {
  if (control !== undefined) return control;
  if (configFile === undefined) return GLOBAL_OPTIONS.control.default;
  const { global } = loadConfig(configFile, pluginNames);
  if (global.control === '') throw new Error(`${configFile} turns the control socket off: control=""`);
  return global.control;
}
