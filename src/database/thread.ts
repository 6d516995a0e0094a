// The thread of one connection to a database: what is slow there stops no reading of events.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '../delivery/stream.ts';
import type { Driver } from './driver.ts';
import type { DatabaseTarget, FromThread, ToThread } from './target.ts';
import { DatabaseWriter } from './writer.ts';

/** Bytes of batches that one transaction takes. */
const MOST_BYTES = 1 << 20;
/** Transactions of few bytes wait so many milliseconds for company: each costs the database a write to its disk. */
const FEW_BYTES = 32 << 10;
const COMPANY = 50;

const target = workerData as DatabaseTarget;
const tell = (message: FromThread): void => parentPort!.postMessage(message);
const waiting: Uint8Array[] = [];
let waitingBytes = 0;
let finishing = false;
let over = false;
let wake: (() => void) | undefined;

parentPort!.on('message', (message: ToThread) => {
  if (message.kind === 'finish') finishing = true;
  else {
    waiting.push(message.bytes);
    waitingBytes += message.bytes.length;
  }
  wake?.();
});

function close(reason: string): void {
  if (over) return;
  over = true;
  tell({ kind: 'closed', reason });
}

try {
  const writer = new DatabaseWriter(await openDriver(), target);
  tell({ kind: 'connected', ...(await writer.open(close)) });
  await serve(writer);
} catch (error) {
  close(reasonOf(error as Error));
}

async function serve(writer: DatabaseWriter): Promise<void> {
  for (;;) {
    while (waiting.length === 0 && !finishing) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    if (waiting.length === 0) break;
    if (waitingBytes < FEW_BYTES && !finishing) await sleep(COMPANY);
    const batches: Uint8Array[] = [];
    for (let bytes = 0; waiting.length > 0 && bytes < MOST_BYTES; bytes += batches.at(-1)!.length) {
      batches.push(waiting.shift()!);
      waitingBytes -= batches.at(-1)!.length;
    }
    tell({ kind: 'written', ...(await writer.write(batches)) });
    await sleep(0); // SQLite never waits: what was sent meanwhile gets in here
  }
  await writer.close();
  tell({ kind: 'finished' });
}

async function openDriver(): Promise<Driver> {
  switch (target.kind) {
    case 'sqlite3':
      return (await import('./sqlite.ts')).openSqlite(target);
    case 'pgsql':
      return (await import('./postgres.ts')).openPostgres(target);
    case 'mysql':
      return (await import('./mysql.ts')).openMysql(target);
  }
}
