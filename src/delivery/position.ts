import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';

/** A place between two records of a spool. */
export interface Position {
  readonly segment: number;
  /** Bytes from the beginning of the segment. */
  readonly offset: number;
  /** Number of the first event behind it, counted over the life of the spool. */
  readonly event: number;
}

const SLOT = 40;
const SEED = crc32('flowlogd spool position');

/**
 * The file that says up to where a spool was delivered. It has two slots, written in turn and in place: one that a loss
 * of power tore leaves the other, and a full disk has room for both.
 */
export class PositionFile {
  readonly #fd: number;
  #turn: number;
  #dirty = false;

  /** Opens the file, mode 0640. Throws ErrnoException. */
  constructor(path: string, own: (fd: number) => void) {
    this.#fd = openSync(path, 'a+', 0o640); // makes it
    closeSync(this.#fd);
    this.#fd = openSync(path, 'r+');
    own(this.#fd);
    this.#turn = readSlots(this.#fd)?.turn ?? 0;
  }

  /** The position last written, or undefined when there is none that holds. */
  read(): Position | undefined {
    return readSlots(this.#fd)?.position;
  }

  /** Writes the position; one that cannot be written costs duplicates after a restart, and is false. */
  write({ segment, offset, event }: Position): boolean {
    const turn = this.#turn + 1;
    const slot = Buffer.alloc(SLOT);
    slot.writeUInt32LE(turn, 0);
    slot.writeDoubleLE(segment, 4);
    slot.writeDoubleLE(offset, 12);
    slot.writeDoubleLE(event, 20);
    slot.writeUInt32LE(crc32(slot.subarray(0, 36), SEED), 36);
    try {
      writeSync(this.#fd, slot, 0, SLOT, (turn & 1) * SLOT);
    } catch {
      return false;
    }
    this.#turn = turn;
    this.#dirty = true;
    return true;
  }

  close(): void {
    try {
      if (this.#dirty) fdatasyncSync(this.#fd);
    } catch {} // costs duplicates at most
    closeSync(this.#fd);
  }
}

/** The position that a spool's file holds, read without a lock; undefined when there is none. */
export function readPosition(path: string): Position | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return readSlots(fd)?.position;
  } finally {
    closeSync(fd);
  }
}

function readSlots(fd: number): { turn: number; position: Position } | undefined {
  const bytes = Buffer.alloc(2 * SLOT);
  const length = readSync(fd, bytes, 0, bytes.length, 0);
  let best: { turn: number; position: Position } | undefined;
  for (const at of [0, SLOT]) {
    if (at + SLOT > length) continue;
    const slot = bytes.subarray(at, at + SLOT);
    const turn = slot.readUInt32LE(0);
    if (slot.readUInt32LE(36) !== crc32(slot.subarray(0, 36), SEED) || (best && best.turn > turn)) continue;
    const [segment, offset, event] = [slot.readDoubleLE(4), slot.readDoubleLE(12), slot.readDoubleLE(20)];
    best = { turn, position: { segment, offset, event } };
  }
  return best;
}
