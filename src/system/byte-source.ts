import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';

/** The bytes of a file, or of a pipe, whose writer may be slow or not there yet: nothing waits for it. */
export class ByteSource {
  readonly #fd: number;
  readonly #pipe: Socket | undefined;
  #rest: Buffer | undefined;
  #ended = false;

  /** `onReadable` is called when a pipe has more, or has ended. Throws ErrnoException. */
  constructor(path: string, onReadable: () => void) {
    this.#fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (fstatSync(this.#fd).isFile()) return;
    this.#pipe = new Socket({ fd: this.#fd, readable: true, writable: false });
    this.#pipe.on('readable', onReadable);
    const end = () => {
      this.#ended = true;
      onReadable();
    };
    this.#pipe.on('end', end).on('error', end);
  }

  /** Reads up to `length` bytes to `at` and returns how many; 0 at the end, -1 when there is nothing now. */
  read(to: Uint8Array, at: number, length: number): number {
    if (this.#pipe === undefined) return readSync(this.#fd, to, at, length, null);
    const bytes = this.#rest ?? (this.#pipe.read() as Buffer | null);
    if (bytes === null) return this.#ended ? 0 : -1;
    const count = Math.min(length, bytes.length);
    to.set(bytes.subarray(0, count), at);
    this.#rest = count < bytes.length ? bytes.subarray(count) : undefined;
    return count;
  }

  close(): void {
    if (this.#pipe) this.#pipe.destroy();
    else closeSync(this.#fd);
  }
}
