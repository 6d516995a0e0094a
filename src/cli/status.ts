import { loadConfig } from '../config/config.ts';
import { GLOBAL_OPTIONS } from '../config/global.ts';
import { ConfigError } from '../config/problem.ts';
import { ask } from '../control/client.ts';
import type { StatusArguments } from './arguments.ts';
import { pluginNames } from './registry.ts';

/** `flowlogd status`: 0 when all is well, 1 when anything was lost since the start, 2 when no daemon answers. */
export async function status(args: StatusArguments): Promise<number> {
  try {
    const answer = await ask(socketOf(args), 'status');
    process.stdout.write(`${JSON.stringify(answer, undefined, args.json ? 0 : 2)}\n`);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof ConfigError ? '' : 'flowlogd: '}${(error as Error).message}\n`);
    return 2;
  }
}

/** Where the daemon is to be found. Throws when its configuration cannot be read, or turns the socket off. */
function socketOf({ control, configFile }: StatusArguments): string {
  if (control !== undefined) return control;
  if (configFile === undefined) return GLOBAL_OPTIONS.control.default;
  const { global } = loadConfig(configFile, pluginNames);
  if (global.control === '') throw new Error(`${configFile} turns the control socket off: control=""`);
  return global.control;
}
