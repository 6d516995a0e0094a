import { loadConfig } from '../config/config.ts';
import { GLOBAL_OPTIONS } from '../config/global.ts';
import type { DaemonAddress } from './arguments.ts';
import { pluginNames } from './registry.ts';

/** Where the daemon is to be found. Throws when its configuration cannot be read, or turns the socket off. */
export function socketOf({ control, configFile }: DaemonAddress): string {
  if (control !== undefined) return control;
  if (configFile === undefined) return GLOBAL_OPTIONS.control.default;
  const { global } = loadConfig(configFile, pluginNames);
  if (global.control === '') throw new Error(`${configFile} turns the control socket off: control=""`);
  return global.control;
}
