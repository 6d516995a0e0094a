import type { Site } from './site.ts';
import type { View } from './view.ts';

/** `error`: events are missing or will be; `warning`: the log says less than it could; `note`: good to know; `unknown`: could not look. */
export type Severity = 'error' | 'warning' | 'note' | 'unknown';

/** What mends a finding. */
export interface Remedy {
  /** The command, word by word. */
  readonly command: readonly string[];
  /** It changes nothing but this sysctl, so `--fix` may run it. */
  readonly sysctl?: { readonly name: string; readonly value: number; readonly view: View };
  /** What makes it outlast a restart, in a sentence or a command. */
  readonly keep?: string;
}

/** Something that the log suffers from, or would. */
export interface Finding {
  readonly severity: Severity;
  /** One sentence: what is, and what it means for the log. */
  readonly message: string;
  /** Where it is; undefined for the machine as a whole. */
  readonly view?: View;
  readonly remedy?: Remedy;
}

/** One thing that the doctor looks at. */
export interface Check {
  readonly name: string;
  /** What it looks at, in one sentence. */
  readonly about: string;
  look(site: Site): Finding[];
}
