import { capabilities } from './capabilities.ts';
import type { Check, Finding } from './check.ts';
import { clock } from './clock.ts';
import { configurationFile } from './configuration-file.ts';
import { conntrackSettings } from './conntrack-settings.ts';
import { conntrackTable } from './conntrack-table.ts';
import { folders } from './folders.ts';
import { namespaces } from './namespaces.ts';
import { nflogGroups } from './nflog-groups.ts';
import { receiveBuffer } from './receive-buffer.ts';
import type { Site } from './site.ts';
import { ulogdBeside } from './ulogd-beside.ts';

/** Everything the doctor looks at, in the order of its report. */
export const checks: readonly Check[] = [
  capabilities,
  namespaces,
  conntrackSettings,
  conntrackTable,
  nflogGroups,
  receiveBuffer,
  ulogdBeside,
  folders,
  configurationFile,
  clock,
];

/** A finding, and the check that made it. */
export interface Report extends Finding {
  readonly check: string;
}

/** Looks at everything. A check that breaks becomes a finding: the others are worth no less. */
export function examine(site: Site): Report[] {
  return checks.flatMap((check): Report[] => {
    try {
      return check.look(site).map((finding) => ({ check: check.name, ...finding }));
    } catch (error) {
      const message = `could not look: ${(error as Error).message}`;
      return [{ check: check.name, severity: 'unknown', message }];
    }
  });
}
