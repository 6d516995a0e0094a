import { filters } from '../filter/index.ts';
import { inputs } from '../input/index.ts';
import { outputs } from '../output/index.ts';
import type { Plugin } from '../pipeline/plugin.ts';

const loaders: Readonly<Record<string, () => Promise<{ default: Plugin }>>> = { ...inputs, ...filters, ...outputs };

/** Names of all plugins there are: inputs, filters, outputs. */
export const pluginNames: readonly string[] = Object.keys(loaders);

/** Loads the declaration of a plugin; undefined when there is none of that name. */
export async function loadPlugin(name: string): Promise<Plugin | undefined> {
  return Object.hasOwn(loaders, name) ? (await loaders[name]!()).default : undefined;
}

/** Loads every declaration: for messages and reference pages, never to run a stack. */
export const loadCatalog = (): Promise<Plugin[]> =>
  Promise.all(pluginNames.map(async (name) => (await loadPlugin(name)) as Plugin));
