import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { connectDatagram, sendLines } from '../system/native.ts';
import type { Batch } from './batch.ts';
import type { Destination, Progress } from './destination.ts';

const NEWLINE = 0x0a;
const { EAGAIN, ENOBUFS, EMSGSIZE } = constants.errno;

/** A datagram socket of the unix family such as /dev/log: each line is a datagram. What the kernel took has arrived. */
export class UnixDatagramDestination implements Destination {
  readonly name: string;
  readonly acknowledges = true;
  readonly #path: string;
  #fd = -1;
  #progress: Progress | undefined;
  /** A thread sends. */
  #isBusy = false;
  /** Some lines of this batch were sent already. */
  #begun: { readonly bytes: Uint8Array; at: number; refused: number } | undefined;
  #whenIdle: (() => void) | undefined;

  constructor(path: string) {
    this.#path = path;
    this.name = `unix:${path}`;
  }

  connect(progress: Progress): void {
    this.#progress = progress;
    setImmediate(() => {
      if (this.#progress !== progress) return;
      // The thread of the connection before may have it still; the next attempt finds it gone.
      if (this.#isBusy) return this.#end('it is still busy');
      try {
        this.#fd = connectDatagram(this.#path);
      } catch (error) {
        return this.#end((error as Error).message);
      }
      progress.connected();
    });
  }

  send(batch: Batch): boolean {
    if (this.#isBusy || this.#fd < 0) return false;
    this.#isBusy = true;
    if (this.#begun?.bytes !== batch.bytes) this.#begun = { bytes: batch.bytes, at: 0, refused: 0 };
    void this.#send(this.#begun, batch.events, this.#fd);
    return true;
  }

  finish(done: () => void): void {
    if (this.#isBusy) this.#whenIdle = done;
    else done();
  }

  close(): void {
    this.#progress = undefined;
    if (!this.#isBusy && this.#fd >= 0) closeSync(this.#fd);
    if (!this.#isBusy) this.#fd = -1;
  }

  async #send(
    batch: { readonly bytes: Uint8Array; at: number; refused: number },
    events: number,
    fd: number,
  ): Promise<void> {
    const progress = this.#progress;
    const { bytes } = batch;
    let failed = 0;
    while (batch.at < bytes.length && this.#progress === progress) {
      const [at, errno] = await sendLines(fd, bytes, batch.at);
      batch.at = at;
      if (errno === 0 || errno === EAGAIN || errno === ENOBUFS) continue; // a peer that is slow
      failed = errno;
      if (errno !== EMSGSIZE) break;
      // Longer than the socket takes: no other attempt would change it.
      batch.at = bytes.indexOf(NEWLINE, at) + 1 || bytes.length;
      batch.refused++;
    }
    this.#isBusy = false;
    if (this.#progress !== progress || progress === undefined) {
      closeSync(fd); // it was given up meanwhile
      this.#fd = -1;
      return;
    }
    if (batch.at < bytes.length) return this.#end(getSystemErrorName(-failed));
    this.#begun = undefined;
    if (batch.refused > 0) progress.refused(Math.min(batch.refused, events));
    else progress.acknowledged(1);
    progress.ready();
    if (!this.#isBusy) this.#whenIdle?.();
  }

  #end(reason: string): void {
    const progress = this.#progress;
    this.close();
    progress?.closed(reason);
  }
}
