// The system's log as a file: golden cases have no syslogd.
import { openSync, writeSync } from 'node:fs';

/** Stands for `connectDatagram` of src/system/native.ts. */
export const openLogFile = (path: string): number => openSync(path, 'a');

/** Stands for `sendLines`: what would be sent is written, with PID for the number of this process. */
export async function writeLogFile(fd: number, bytes: Uint8Array, from: number): Promise<[number, number]> {
  writeSync(fd, Buffer.from(bytes.subarray(from)).toString().replaceAll(`[${process.pid}]`, '[PID]'));
  return [bytes.length, 0];
}
