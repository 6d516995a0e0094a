import type { Config } from '../config/config.ts';
import { namespaceMatcher } from '../pipeline/namespace.ts';
import type { Plan, Step } from '../pipeline/plan.ts';
import { NETNS, namespaceNames } from '../system/namespaces.ts';
import type { Identity } from '../system/user.ts';
import { View } from './view.ts';

/** What is looked at: the kernel, and a configuration if one is given. */
export class Site {
  readonly config: Config | undefined;
  readonly plans: readonly Plan[];
  /** Whom the daemon will become (`-u`); undefined: it stays who looks. */
  readonly user: Identity | undefined;
  /** Namespaces that inputs listen in; without a configuration, our own. */
  readonly views: readonly View[];
  /** Those of them that cannot be entered, and why. */
  readonly closed: readonly { readonly view: View; readonly why: string }[];

  constructor(configuration?: { readonly config: Config; readonly plans: readonly Plan[] }, user?: Identity) {
    this.config = configuration?.config;
    this.plans = configuration?.plans ?? [];
    this.user = user;
    const paths = new Set(this.config ? this.kernelInputs.flatMap(namespacePaths) : [undefined]);
    const all = [...paths].map((path) => new View(path)).map((view) => ({ view, why: view.fault }));
    this.views = all.flatMap(({ view, why }) => (why === undefined ? [view] : []));
    this.closed = all.flatMap(({ view, why }) => (why === undefined ? [] : [{ view, why }]));
  }

  /** Inputs that read from the kernel. */
  get kernelInputs(): Step[] {
    return this.plans.map(({ input }) => input.step).filter(({ plugin }) => KERNEL_INPUTS.includes(plugin.name));
  }

  /** Inputs of a plugin, in a namespace. */
  inputs(plugin: string, view: View): Step[] {
    return this.kernelInputs.filter((step) => step.plugin.name === plugin && namespacePaths(step).includes(view.path));
  }

  /** Whether anything reads connections there, or could: without a configuration nobody knows. */
  readsConnections(view: View): boolean {
    return this.config === undefined || this.inputs('NFCT', view).length > 0;
  }

  /** Every output, once for each id. */
  get outputs(): Step[] {
    const steps = this.plans.flatMap(({ nodes }) => nodes.map(({ step }) => step));
    const outputs = steps.filter(({ plugin }) => plugin.role === 'output');
    return [...new Map(outputs.map((step) => [`${step.id}:${step.plugin.name}`, step])).values()];
  }
}

/** Inputs that need CAP_NET_ADMIN, each of which can listen in another namespace. */
const KERNEL_INPUTS = ['NFCT', 'NFLOG', 'NFACCT'];

/** Files of the namespaces that an input listens in at present; undefined is our own. */
export function namespacePaths({ options }: Step): (string | undefined)[] {
  const { network_namespace_path: path, network_namespaces: names } = options;
  if (typeof names !== 'string' || names.trim() === '') return [(path as string) || undefined];
  return namespaceNames()
    .filter(namespaceMatcher(names))
    .map((name) => `${NETNS}/${name}`);
}
