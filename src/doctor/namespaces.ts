import type { Check, Finding } from './check.ts';
import type { View } from './view.ts';

/** The namespaces that inputs name. */
export const namespaces: Check = {
  name: 'namespaces',
  about: 'Whether the network namespaces of the inputs are there.',
  look: ({ closed }) => closed.map(({ view, why }) => describe(view, why)),
};

function describe(view: View, why: string): Finding {
  if (!/No such file/.test(why))
    return { severity: 'unknown', view, message: `cannot look into the namespace: ${why}` };
  const name = /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(view.name)?.[1];
  const message = 'the namespace does not exist: the inputs that listen there do not start';
  return { severity: 'error', view, message, ...(name ? { remedy: { command: ['ip', 'netns', 'add', name] } } : {}) };
}
