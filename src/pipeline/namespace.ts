import { hostname } from 'node:os';
import { basename } from 'node:path';
import type { OptionSpecs } from '../config/option.ts';
import type { KeySpecs } from './key.ts';

/** A network namespace that has a name. */
export interface Namespace {
  readonly name: string;
  /** File that stands for it. */
  readonly path: string;
  /** What the file is: another namespace of the same name has another number. */
  readonly device: number;
  readonly inode: number;
}

/** A name that can stand in a file name and, without escapes, in a line of any format. */
const NAME = /^(?!\.\.?$)[\w.:@+=-]{1,255}$/;

/** Whether events can carry the name; others are not attached. */
export const isNamespaceName = (name: string): boolean => NAME.test(name);

/** Options of inputs that listen in other network namespaces. */
export const namespaceOptions = {
  network_namespace_path: {
    type: 'string',
    default: '',
    doc: 'File of the network namespace to listen in, such as /run/netns/NAME; empty means that of the daemon.',
  },
  network_namespaces: {
    type: 'string',
    default: '',
    check: (text) => (text.trim() === '' ? undefined : patternFault(text)),
    doc: 'Names of the namespaces in /run/netns to listen in, now and when they come, such as `qrouter-* snat-*`; `!qrouter-test*` leaves out.',
  },
} as const satisfies OptionSpecs;

/** Keys that are the same in every event of a namespace. Inputs have them when an option names a namespace, but under compat. */
export const namespaceKeys = {
  'netns.name': { type: 'string', plain: true, doc: 'Name of the network namespace.' },
  'netns.id': {
    type: 'u32',
    doc: 'Number of the network namespace (inode): another one of the same name has another.',
  },
  'router.id': {
    type: 'string',
    plain: true,
    doc: 'Id of the OpenStack router whose namespace it is (qrouter-ID or snat-ID).',
  },
  'host.name': { type: 'string', plain: true, doc: 'Name of the host that the daemon runs on.' },
} as const satisfies KeySpecs;

/** Values of `namespaceKeys`; what is not known is missing. */
export type NamespaceValues = { readonly [Key in keyof typeof namespaceKeys]?: string | number };

const ROUTER = /^(?:qrouter|snat)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** What is known of a namespace, and of this host. */
export function namespaceValues({ path, inode }: Pick<Namespace, 'path'> & Partial<Namespace>): NamespaceValues {
  const name = basename(path);
  const router = ROUTER.exec(name)?.[1];
  const host = hostname();
  return {
    ...(isNamespaceName(name) ? { 'netns.name': name } : {}),
    ...(inode === undefined ? {} : { 'netns.id': inode }),
    ...(router === undefined ? {} : { 'router.id': router }),
    ...(isNamespaceName(host) ? { 'host.name': host } : {}),
  };
}

/** `%{netns.name}` and the like in an option's text. */
export const PLACEHOLDER = /%\{([^}]*)\}/g;

/** Puts the values into a text; what is not known becomes `unknown`. */
export const fillIn = (text: string, values: NamespaceValues): string =>
  text.replace(PLACEHOLDER, (_, key: keyof NamespaceValues) => String(values[key] ?? 'unknown'));

/** Tells which names the words of `network_namespaces` mean: one that matches, and none behind a `!`. */
export function namespaceMatcher(text: string): (name: string) => boolean {
  const words = text.split(/\s+/).filter(Boolean);
  const wanted = words.filter((word) => !word.startsWith('!')).map(globOf);
  const unwanted = words.filter((word) => word.startsWith('!')).map((word) => globOf(word.slice(1)));
  return (name) => wanted.some((glob) => glob.test(name)) && !unwanted.some((glob) => glob.test(name));
}

/** What is wrong with the words of `network_namespaces`; undefined when nothing is. */
export function patternFault(text: string): string | undefined {
  const words = text.split(/\s+/).filter(Boolean);
  const strange = words.find((word) => !/^!?[\w.:@+=?*-]+$/.test(word));
  if (strange !== undefined)
    return `"${strange}" is no name of a namespace; write qrouter-* snat-*, with a blank between`;
  return words.some((word) => !word.startsWith('!'))
    ? undefined
    : 'nothing but exclusions: write * before them for all others';
}

function globOf(pattern: string): RegExp {
  const source = pattern.replace(/[.+]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
  return new RegExp(`^${source}$`);
}
