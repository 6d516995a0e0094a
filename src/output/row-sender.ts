import { randomBytes } from 'node:crypto';
import { DatabaseDestination } from '../database/destination.ts';
import { type DatabaseDeliveryOptions, databaseSettings } from '../database/options.ts';
import type { DatabaseTarget } from '../database/target.ts';
import { Sender } from '../delivery/sender.ts';
import type { Gap, OutputAccount } from '../pipeline/ledger.ts';
import type { Link, Log, Stage, UpstreamKey } from '../pipeline/plugin.ts';
import { type Field, KIND, rowBatchHeader, seal } from '../wire/row-batch.ts';
import { RowWriter, rowFields } from './row-writer.ts';
import { senderAccount, senderCounters } from './sender-account.ts';

/** A batch is handed on when it has about this many bytes. */
const BATCH_SIZE = 64 << 10;

/** What a database is told to connect to; what depends on a secret is read at each attempt. */
export type DatabasePlace = Pick<DatabaseTarget, 'kind' | 'table' | 'procedure' | 'skipFirst'> & {
  /** For messages; without secrets. */
  readonly name: string;
  /** How to connect: what the driver reads. Throws when a secret cannot be had. */
  readonly connection: () => DatabaseTarget['connection'];
};

/** What all stacks of a database output share: the connection, and what waits for it. */
class RowSender {
  readonly name: string;
  readonly stream = randomBytes(16);
  /** Rows that stacks have written and not handed on. */
  pending = 0;
  readonly #fields = new Map<string, Field>();
  readonly #sender: Sender;
  readonly #stopTimeout: number;
  #columns: ReadonlySet<string> | undefined;
  #number = 0;
  #started = false;

  constructor(place: DatabasePlace, options: DatabaseDeliveryOptions, name: string, log: Log, compat: boolean) {
    this.name = name;
    const reports = {
      notice: (message: string) => log.notice(`${name}: ${message}`),
      error: (message: string) => log.error(`${name}: ${message}`),
    };
    const destination = new DatabaseDestination(
      place.name,
      () => ({
        kind: place.kind,
        table: place.table,
        procedure: place.procedure,
        skipFirst: place.skipFirst,
        connection: place.connection(),
        fields: [...this.#fields.values()],
        output: name,
        compat,
      }),
      (keys) => {
        this.#columns = new Set(keys);
      },
      reports,
    );
    this.#sender = new Sender(destination, databaseSettings(options), reports);
    this.#stopTimeout = options.stop_timeout * 1000;
  }

  /** A writer for one stack more. */
  add(upstream: readonly UpstreamKey[]): RowWriter {
    for (const field of rowFields(upstream)) this.#fields.set(field.name, field);
    return new RowWriter(this.stream, upstream, this.#columns);
  }

  start(): void {
    if (this.#started) return;
    this.#sender.start();
    this.#started = true;
  }

  /** Hands on the rows of a stack. Once the table is known, only its columns are encoded. */
  flush(writer: RowWriter): void {
    const { rows } = writer;
    if (rows > 0) {
      this.pending -= rows;
      this.#sender.push(writer.take(++this.#number), rows);
    }
    if (writer.selected !== this.#columns) writer.select(this.#columns);
  }

  gap(gap: Gap): void {
    const header = rowBatchHeader(KIND.gap, this.stream, []);
    seal(new DataView(header.buffer, header.byteOffset), ++this.#number, 0);
    this.#sender.push(Buffer.concat([header, Buffer.from(JSON.stringify(gap))]), 0);
  }

  close(): Promise<void> {
    return this.#sender.drain(this.#stopTimeout);
  }

  account(): OutputAccount {
    return senderAccount(this, this.#sender.counts(), this.pending);
  }

  counters(): { readonly [what: string]: number } {
    return senderCounters(this.#sender.counts());
  }
}

/** The stage of an output that writes rows to a database. */
export function databaseStage(
  place: DatabasePlace,
  options: DatabaseDeliveryOptions,
  plugin: string,
  {
    id,
    log,
    compat,
    shared,
    upstream,
  }: Pick<Link<unknown, unknown, unknown>, 'id' | 'log' | 'compat' | 'shared'> & {
    readonly upstream: readonly UpstreamKey[];
  },
): Stage {
  const sender = shared(() => new RowSender(place, options, `${id}:${plugin}`, log, compat));
  const writer = sender.add(upstream);
  return {
    run(record) {
      const waiting = writer.write(record);
      sender.pending++;
      if (waiting >= BATCH_SIZE) sender.flush(writer);
      return true;
    },
    start: () => sender.start(),
    flush: () => sender.flush(writer),
    gap(gap) {
      sender.flush(writer);
      sender.gap(gap);
    },
    stop() {
      sender.flush(writer);
      return sender.close();
    },
    account: () => sender.account(),
    counters: () => sender.counters(),
  };
}
