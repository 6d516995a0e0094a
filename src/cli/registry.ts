import { filters } from '../filter/index.ts';
import { inputs } from '../input/index.ts';
import { outputs } from '../output/index.ts';
import type { Plugin } from '../pipeline/plugin.ts';

type Loaders = Readonly<Record<string, () => Promise<{ default: Plugin }>>>;

const roles: readonly Loaders[] = [inputs, filters, outputs];

/** Names of all plugins there are: inputs, filters, outputs. */
export const pluginNames: readonly string[] = [...new Set(roles.flatMap((loaders) => Object.keys(loaders)))];

/** Loads the declarations of this name: none, one, or an input and a filter, in this order. */
export const loadPlugins = (name: string): Promise<Plugin[]> =>
  Promise.all(
    roles.flatMap((loaders) => (Object.hasOwn(loaders, name) ? [loaders[name]!().then(({ default: it }) => it)] : [])),
  );

/** The one of several plugins of a name that is meant where a stack begins, or behind that. */
export const pluginFor = (plugins: readonly Plugin[], begins: boolean): Plugin | undefined =>
  plugins.find(({ role }) => (role === 'input') === begins) ?? plugins[0];

/** Loads the plugin of this name that begins a stack, or stands behind its beginning; undefined when there is none of that name. */
export const loadPlugin = async (name: string, begins: boolean): Promise<Plugin | undefined> =>
  pluginFor(await loadPlugins(name), begins);

/** Loads every declaration: for messages and reference pages, never to run a stack. */
export const loadCatalog = async (): Promise<Plugin[]> => {
  const catalog = await Promise.all(
    roles.map((loaders) => Promise.all(Object.values(loaders).map(async (load) => (await load()).default))),
  );
  return catalog.flat();
};
