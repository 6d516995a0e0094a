import type { Step } from '../pipeline/plan.ts';
import type { Check, Finding } from './check.ts';
import { namespacePaths } from './site.ts';
import type { View } from './view.ts';

/** The namespaces that inputs name. */
export const namespaces: Check = {
  name: 'namespaces',
  about: 'Whether the network namespaces of the inputs are there.',
  look: ({ closed, kernelInputs }) => [
    ...closed.map(({ view, why }) => describe(view, why)),
    ...kernelInputs.filter((step) => namespacePaths(step).length === 0).map(nowhere),
  ],
};

/** They may come: that is no fault. */
function nowhere({ id, options }: Step): Finding {
  const message = `[${id}] network_namespaces="${options.network_namespaces}": no such namespace is there at present`;
  return { severity: 'note', message };
}

function describe(view: View, why: string): Finding {
  if (!/No such file/.test(why))
    return { severity: 'unknown', view, message: `cannot look into the namespace: ${why}` };
  const name = /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(view.name)?.[1];
  const message = 'the namespace does not exist: the inputs that listen there do not start';
  return { severity: 'error', view, message, ...(name ? { remedy: { command: ['ip', 'netns', 'add', name] } } : {}) };
}
