import { statSync } from 'node:fs';
import { Secret } from '../config/secret.ts';
import type { Check, Finding } from './check.ts';

const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o002;

/** Who may read and write the configuration. */
export const configurationFile: Check = {
  name: 'configuration-file',
  about: 'Whether others can read the passwords in the configuration, or change it.',
  look({ config, outputs }) {
    if (config === undefined) return [];
    const { file } = config;
    const { mode } = statSync(file);
    const findings: Finding[] = [];
    const isSecret = (value: unknown) => value instanceof Secret && value.isLiteral;
    if ((mode & OTHERS_READ) !== 0 && outputs.some(({ options }) => Object.values(options).some(isSecret))) {
      const message = `${file} holds a password, and every user can read it`;
      findings.push({ severity: 'warning', message, remedy: { command: ['chmod', 'o-r', file] } });
    }
    if ((mode & OTHERS_WRITE) !== 0) {
      const message = `every user can write ${file}: whoever does has flowlogd write any file it may write`;
      findings.push({ severity: 'error', message, remedy: { command: ['chmod', 'o-w', file] } });
    }
    return findings;
  },
};
