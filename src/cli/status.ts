import { resolve } from 'node:path';
import { ConfigError } from '../config/problem.ts';
import { ask } from '../control/client.ts';
import type { StatusArguments } from './arguments.ts';
import { socketOf } from './daemon-address.ts';
import type { Status } from './daemon-status.ts';
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
