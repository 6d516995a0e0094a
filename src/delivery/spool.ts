import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Batch } from './batch.ts';
import { type Position, PositionFile } from './position.ts';
import { MAX_RECORD, RECORD_HEADER, SEGMENT_HEADER } from './segment.ts';
import { SegmentReader, type SegmentRecord } from './segment-reader.ts';
import { SegmentWriter } from './segment-writer.ts';
import { listSegments, positionPath, SpoolDirectory, segmentPath } from './spool-directory.ts';

/** A loss of power takes at most what was appended since: milliseconds between two fdatasync(2). */
const SYNC_INTERVAL = 1000;
/** Milliseconds between two looks whether the directory is still there. */
const LOOK_INTERVAL = 1000;
const SEGMENTS = 16;
const MAX_SEGMENT = 16 << 20;
const MIN_SEGMENT = 64 << 10;

/** A record as it was read back. */
export interface Spooled extends Batch {
  /** Behind it: what to commit once it is delivered. */
  readonly position: Position;
}

interface Segment {
  readonly segment: number;
  size: number;
  /** Number of its first event; that of the reader's while it is not known, because the header is damaged. */
  readonly firstEvent: number | undefined;
}

/**
 * Batches on disk, first in first out. What `append` returned from survives the end of the process however it ends; a
 * loss of power takes the last second at most. Reading goes on from the last `commit` after a restart, so that nothing
 * is missing and some may come twice. Damage is stepped over: events are numbered, so what is missing is counted.
 */
export class Spool {
  readonly maxBytes: number;
  /** Bytes on disk. */
  bytes = 0;
  /** Records and events appended by this process. */
  readonly appended = { records: 0, events: 0, bytes: 0 };
  /** Events dropped unread because newer ones needed the room. */
  droppedFull = 0;
  /** Events that damage took. */
  droppedCorrupt = 0;
  /** Damaged places stepped over. */
  damaged = 0;
  readonly #directory: SpoolDirectory;
  #positionFile: PositionFile;
  readonly #segmentBytes: number;
  readonly #report: (message: string) => void;
  readonly #segments: Segment[] = [];
  #writer: SegmentWriter | undefined;
  #reader: SegmentReader | undefined;
  #readDamage = 0;
  /** Where reading goes on. */
  #at: Position;
  /** Behind the last record that was read: before `#at` when damage is all that follows it. */
  #taken: Position | undefined;
  #nextSegment: number;
  #nextEvent: number;
  #failing = false;
  #looked = performance.now();
  /** Where the directory was moved, as was said. */
  #movedTo: string | undefined;
  /** What is before is gone, whatever is committed. */
  #floor: Position = { segment: 0, offset: 0, event: 0 };
  /** What damage took and was said. */
  #told = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Opens or makes the spool. `report` gets one line when writing begins to fail, one when it works again, one when the
   * directory was deleted, and one when all is read and damage has taken some of it. Throws with the reason.
   */
  constructor(directory: string, maxBytes: number, report: (message: string) => void) {
    this.maxBytes = maxBytes;
    this.#report = report;
    this.#segmentBytes = Math.min(MAX_SEGMENT, Math.max(MIN_SEGMENT, Math.floor(maxBytes / SEGMENTS)));
    this.#directory = new SpoolDirectory(directory);
    try {
      this.#positionFile = this.#openPosition();
      const committed = this.#positionFile.read();
      this.#at = committed ?? { segment: 0, offset: 0, event: 0 };
      // Never one that was begun: its rest may be gone, and what is written now stands at other offsets.
      this.#nextSegment = Math.max(1, this.#at.segment + (this.#at.offset > 0 ? 1 : 0));
      this.#nextEvent = this.#at.event;
      this.#scan(committed !== undefined);
    } catch (error) {
      this.#directory.close();
      throw new Error(`cannot open the spool ${this.#directory.path}: ${(error as Error).message}`);
    }
  }

  /** Events that are not read yet. */
  get unread(): number {
    return this.#nextEvent - this.#at.event;
  }

  /** Whether every record is read; there may be records without events. */
  get isRead(): boolean {
    const last = this.#segments[this.#segments.length - 1];
    const { segment, offset } = this.#at;
    return last === undefined || segment > last.segment || (segment === last.segment && offset >= last.size);
  }

  /** Number of the first event that is not read, counted over the life of the spool. */
  get readUpTo(): number {
    return this.#at.event;
  }

  /** Whether a batch of `size` bytes can be appended without dropping anything. */
  fits(size: number): boolean {
    return this.bytes + SEGMENT_HEADER + RECORD_HEADER + size <= this.maxBytes;
  }

  /** Whether the record before this position is on the disk still. */
  holds({ segment }: Position): boolean {
    return this.#segments.length > 0 && segment >= this.#segments[0]!.segment;
  }

  /** Puts a batch behind all others: true once the kernel has it. */
  append(batch: Batch): boolean {
    const need = RECORD_HEADER + batch.bytes.length;
    if (batch.bytes.length > MAX_RECORD || need + SEGMENT_HEADER > this.maxBytes) return false;
    try {
      this.#look();
      const writer = this.#writerFor(need);
      writer.append(batch, this.#nextEvent);
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
    if (this.#failing) {
      this.#failing = false;
      this.#report(`the spool ${this.#directory.path} is written again`);
    }
    this.#last.size += need;
    this.bytes += need;
    this.#nextEvent += batch.events;
    this.appended.records++;
    this.appended.events += batch.events;
    this.appended.bytes += batch.bytes.length;
    this.#timer ??= setTimeout(this.#sync, SYNC_INTERVAL).unref();
    return true;
  }

  /** The next record, or undefined when all are read. */
  read(): Spooled | undefined {
    while (!this.isRead) {
      const segment = this.#segments.find((one) => one.segment >= this.#at.segment);
      if (segment === undefined) break;
      if (segment.segment > this.#at.segment || this.#reader === undefined) this.#enter(segment);
      const record = this.#nextRecord(segment.size);
      if (record !== undefined) return this.#take(record, segment);
      const next = this.#segments[this.#segments.indexOf(segment) + 1];
      if (next === undefined) break;
      this.#enter(next);
    }
    return this.#atEnd();
  }

  /** Says that all up to this position is delivered: it is not read again after a restart, and its segments go. */
  commit(position: Position): void {
    const done = this.isRead && position.segment === this.#taken?.segment && position.offset === this.#taken.offset;
    const at = done ? { ...this.#at, segment: this.#nextSegment, offset: 0 } : this.#notBelowFloor(position);
    this.#positionFile.write(at);
    if (done) {
      this.#closeReader();
      this.#closeWriter();
      this.#at = at;
    }
    while (this.#segments.length > 0 && this.#segments[0]!.segment < at.segment) this.#removeOldest();
  }

  /** Closes everything; what is spooled is on the disk then. */
  close(): void {
    clearTimeout(this.#timer);
    this.#closeReader();
    this.#closeWriter(true);
    this.#positionFile.close();
    this.#directory.close();
  }

  get #last(): Segment {
    return this.#segments[this.#segments.length - 1]!;
  }

  /** Takes over what is there: removes what is delivered, and finds the number of the next event in the last segment. */
  #scan(committed: boolean): void {
    for (const { segment, path, size } of listSegments(this.#directory.path)) {
      this.#nextSegment = Math.max(this.#nextSegment, segment + 1);
      if (committed && segment < this.#at.segment) {
        this.#directory.remove(segment);
        continue;
      }
      const reader = new SegmentReader(path, segment);
      const { header } = reader;
      const firstEvent = header === 'version' ? undefined : (header?.firstEvent ?? reader.next(size)?.firstEvent);
      reader.close();
      if (header === 'version') this.#report(`${path} is of another version of flowlogd: it is left alone`);
      else this.#add({ segment, size, firstEvent });
    }
    const last = this.#segments[this.#segments.length - 1];
    const first = this.#segments.find(({ firstEvent }) => firstEvent !== undefined);
    if (!committed && first !== undefined) this.#at = { segment: first.segment, offset: 0, event: first.firstEvent! };
    this.#nextEvent = Math.max(this.#at.event, last === undefined ? 0 : this.#endOf(last));
  }

  #endOf({ segment, size, firstEvent = 0 }: Segment): number {
    const reader = new SegmentReader(segmentPath(this.#directory.here, segment), segment);
    let end = firstEvent;
    for (let record = reader.next(size); record; record = reader.next(size)) end = record.firstEvent + record.events;
    reader.close();
    return end;
  }

  #add(segment: Segment): void {
    this.#segments.push(segment);
    this.bytes += segment.size;
  }

  /** A segment with room for so many bytes more; the oldest ones go when the spool is at its limit. */
  #writerFor(need: number): SegmentWriter {
    const writer = this.#writer;
    if (writer !== undefined && writer.size + need > Math.max(this.#segmentBytes, SEGMENT_HEADER + need)) {
      this.#closeWriter();
    }
    const room = need + (this.#writer === undefined ? SEGMENT_HEADER : 0);
    while (this.bytes + room > this.maxBytes && this.#segments.length > 0) {
      if (this.#segments.length === 1) this.#closeWriter();
      this.#dropOldest();
    }
    if (this.#writer === undefined) {
      const segment = this.#nextSegment;
      const path = segmentPath(this.#directory.here, segment);
      this.#writer = new SegmentWriter(path, segment, this.#nextEvent, (fd) => this.#directory.own(fd));
      this.#nextSegment++;
      this.#add({ segment, size: SEGMENT_HEADER, firstEvent: this.#nextEvent });
    }
    return this.#writer;
  }

  /** Drops the oldest segment: what of it was read is in other hands already, the rest is lost and counted. */
  #dropOldest(): void {
    const [oldest, next] = this.#segments as [Segment, Segment | undefined];
    if (this.#at.segment <= oldest.segment) {
      const event = Math.max(
        this.#at.event,
        next === undefined ? this.#nextEvent : (next.firstEvent ?? this.#at.event),
      );
      this.droppedFull += event - this.#at.event;
      this.#closeReader();
      this.#goOn({ segment: next?.segment ?? this.#nextSegment, offset: 0, event });
    }
    this.#removeOldest();
  }

  /** Notices within a second when somebody has removed the directory, or the segment that is being written. */
  #look(): void {
    const now = performance.now();
    if (this.#writer !== undefined && now - this.#looked < LOOK_INTERVAL) return;
    this.#looked = now;
    if (!this.#directory.isThere && !this.#stays()) this.#renew();
    else if (this.#writer !== undefined && !existsSync(this.#writer.path)) this.#closeWriter();
  }

  /** A directory that was moved is used where it is now, until all of it is read and another can be made. */
  #stays(): boolean {
    const to = this.#directory.movedTo;
    if (to === undefined || (this.isRead && existsSync(dirname(this.#directory.path)))) return false;
    if (to !== this.#movedTo)
      this.#report(
        `the spool ${this.#directory.path} was moved: it goes on in ${to}, and is made anew when that is read`,
      );
    this.#movedTo = to;
    return true;
  }

  /** Makes the directory anew. */
  #renew(): void {
    this.#closeWriter(); // first: what is written to a file without a name is lost
    this.#directory.renew();
    // The lock alone was gone.
    if (this.#segments.some(({ segment }) => existsSync(segmentPath(this.#directory.here, segment)))) return;
    this.#movedTo = undefined;
    const { unread } = this;
    this.droppedCorrupt += unread;
    this.#told += unread;
    this.#closeReader();
    this.#segments.length = 0;
    this.bytes = 0;
    this.#positionFile.close();
    this.#positionFile = this.#openPosition();
    this.#goOn({ segment: this.#nextSegment, offset: 0, event: this.#nextEvent });
    const lost = unread > 0 ? `, and ${unread} events in it are lost` : '';
    this.#report(`the spool ${this.#directory.path} was removed: it is made anew${lost}`);
  }

  #openPosition(): PositionFile {
    return new PositionFile(positionPath(this.#directory.path), (fd) => this.#directory.own(fd));
  }

  /** Goes on behind what was dropped. */
  #goOn(at: Position): void {
    this.#at = at;
    this.#floor = at;
    this.#positionFile.write(at);
  }

  #notBelowFloor(position: Position): Position {
    return position.segment < this.#floor.segment ? this.#floor : position;
  }

  #removeOldest(): void {
    const { segment, size } = this.#segments.shift()!;
    this.bytes -= size;
    this.#directory.remove(segment);
  }

  #enter({ segment, firstEvent }: Segment): void {
    this.#closeReader();
    const offset = segment === this.#at.segment ? this.#at.offset : 0;
    try {
      this.#reader = new SegmentReader(segmentPath(this.#directory.here, segment), segment, offset);
    } catch {
      this.damaged++; // removed by someone else: its events are counted as missing by their numbers
    }
    this.#readDamage = 0;
    if (offset === 0 && this.#reader?.header === undefined) this.damaged++;
    const event = offset === 0 ? this.#miss(firstEvent ?? this.#at.event) : this.#at.event;
    this.#at = { segment, offset, event };
  }

  #take(record: SegmentRecord, { segment }: Segment): Spooled {
    const event = this.#miss(record.firstEvent) + record.events;
    this.#at = { segment, offset: record.end, event };
    this.#taken = this.#at;
    return { bytes: record.bytes, events: record.events, time: record.time, position: this.#at };
  }

  /** Counts the events from the reader's position to this one as taken by damage, and returns the later. */
  #miss(event: number): number {
    const missing = Math.max(0, event - this.#at.event);
    this.droppedCorrupt += missing;
    return this.#at.event + missing;
  }

  /** Moves to the end, also over damage there: what a crash tore is not waited for. */
  #atEnd(): undefined {
    const last = this.#segments[this.#segments.length - 1];
    const { segment, offset } = this.#at;
    const end = last?.segment === segment ? Math.max(offset, last.size) : offset;
    this.#at = { segment, offset: end, event: this.#miss(this.#nextEvent) };
    if (this.droppedCorrupt === this.#told) return;
    this.#report(`${this.droppedCorrupt - this.#told} events are lost: the spool ${this.#directory.path} was damaged`);
    this.#told = this.droppedCorrupt;
  }

  #nextRecord(limit: number): SegmentRecord | undefined {
    try {
      return this.#reader?.next(limit);
    } catch {
      this.damaged++; // a block that the disk cannot give back: the rest of the segment counts as missing
      return undefined;
    } finally {
      const damaged = this.#reader?.damaged ?? 0;
      this.damaged += damaged - this.#readDamage;
      this.#readDamage = damaged;
    }
  }

  #closeReader(): void {
    this.#reader?.close();
    this.#reader = undefined;
  }

  /** With `now`, all of it is on the disk when this returns. */
  #closeWriter(now = false): void {
    this.#writer?.close(now);
    this.#writer = undefined;
  }

  #fail(error: Error): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#report(
      `cannot write the spool ${this.#directory.path}: ${error.message}; what does not fit in memory is dropped and counted`,
    );
  }

  readonly #sync = (): void => {
    this.#timer = undefined;
    this.#writer?.sync((error) => this.#fail(error));
  };
}
