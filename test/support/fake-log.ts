// The system's log as a file: what SYSLOG sends, a line each.
import { appendFileSync } from 'node:fs';

/** Stands for `notify` of src/system/native.ts. */
export function notifyFile(path: string, text: string): boolean {
  appendFileSync(path, `${text.replace(`[${process.pid}]`, '[PID]')}\n`);
  return true;
}
