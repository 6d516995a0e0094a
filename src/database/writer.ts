import type { Gap } from '../pipeline/ledger.ts';
import { KIND, type RowBatch, readRowBatch, UnreadableBatch } from '../wire/row-batch.ts';
import { type Bound, bindColumns, type ColumnRules } from './columns.ts';
import type { Driver } from './driver.ts';
import { Markers } from './markers.ts';
import { decodeRows, type Row, type Target } from './rows.ts';
import type { DatabaseTarget } from './target.ts';

/** Times that a transaction which met another one is tried again at once. */
const ATTEMPTS = 5;

/** More events than any batch has: all of it. */
const WHOLE = 2 ** 32;

/** Rows that the database will not take, by what it says. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  rows: number;
}

/** What became of batches: for each, the rows that were refused. */
export interface Written {
  readonly refused: readonly number[];
  readonly refusals: readonly Refusal[];
}

/** Writes batches over one connection, each group as one transaction. */
export class DatabaseWriter {
  readonly #driver: Driver;
  readonly #target: DatabaseTarget;
  readonly #markers: Markers;
  #columns: readonly Target[] = [];
  #gaps = false;

  constructor(driver: Driver, target: DatabaseTarget) {
    this.#driver = driver;
    this.#target = target;
    this.#markers = new Markers(driver, target.output);
  }

  /** Connects and reads the table. Returns the keys of its columns, and what the operator should know. */
  async open(ended: (reason: string) => void): Promise<{ keys: string[]; notice: string | undefined }> {
    const { table, procedure, skipFirst, fields } = this.#target;
    const driver = this.#driver;
    await driver.open(ended);
    const columns = await driver.columns();
    if (columns.length === 0) throw new Error(`there is no table or view "${table}"`);
    const rules: ColumnRules = { skipFirst, byOrder: !/^insert\b/i.test(procedure) };
    let bound: Bound[];
    try {
      bound = bindColumns(columns, fields, rules);
    } catch (error) {
      throw new Error(`table "${table}": ${(error as Error).message}`);
    }
    this.#columns = bound.map(({ key, column }) => ({ key, form: column.form }));
    await driver.prepare(bound.map(({ column }) => column));
    const denied = await this.#markers.open();
    this.#gaps = await this.#hasGaps();
    const notice =
      denied === undefined
        ? undefined
        : `cannot make the table flowlogd_sender (${denied}): rows may come twice after a commit that the connection did not survive`;
    return { keys: bound.map(({ key }) => key), notice };
  }

  /** Writes batches in their order, in one transaction. Throws when nothing was written, as far as can be known. */
  async write(batches: readonly Uint8Array[]): Promise<Written> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#transaction(batches);
      } catch (error) {
        if (this.#driver.faultOf(error) !== 'again' || attempt === ATTEMPTS) throw error;
        await this.#driver.query('ROLLBACK').catch(() => {}); // the database may have done it
      }
    }
  }

  close(): Promise<void> {
    return this.#driver.close();
  }

  async #transaction(all: readonly Uint8Array[]): Promise<Written> {
    const driver = this.#driver;
    const refused = new Array<number>(all.length).fill(0);
    const refusals = new Map<string, Refusal>();
    const refuse = (index: number, count: number, code: string, message: string) => {
      refused[index]! += count;
      const refusal = refusals.get(code) ?? { code, message, rows: 0 };
      refusal.rows++;
      refusals.set(code, refusal);
    };
    const advanced = new Map<string, number>();
    const gaps: Gap[] = [];
    const rows: Row[] = [];
    const batchOf: number[] = [];
    for (const [index, bytes] of all.entries()) {
      try {
        const batch = readRowBatch(bytes);
        if ((advanced.get(batch.stream) ?? (await this.#markers.last(batch.stream))) >= batch.number) continue;
        if (batch.kind === KIND.gap) gaps.push(JSON.parse(batch.body.toString()) as Gap);
        else for (const row of this.#decode(batch)) batchOf[rows.push(row) - 1] = index;
        advanced.set(batch.stream, batch.number);
      } catch (error) {
        if (!(error instanceof UnreadableBatch)) throw error;
        refuse(index, WHOLE, 'unreadable', error.message);
      }
    }
    if (advanced.size === 0) return { refused, refusals: [...refusals.values()] };

    await driver.query(driver.begin);
    for (const [stream, number] of advanced) await this.#markers.advance(stream, number);
    if (this.#gaps) for (const gap of gaps) await this.#writeGap(gap);
    await this.#insert(rows, 0, rows.length, (row, error) =>
      refuse(batchOf[row]!, 1, driver.codeOf(error), (error as Error).message),
    );
    await driver.query('COMMIT');
    for (const [stream, number] of advanced) this.#markers.committed(stream, number);
    return { refused, refusals: [...refusals.values()] };
  }

  #decode(batch: RowBatch): Row[] {
    const { kind, compat } = this.#target;
    return decodeRows(batch, this.#columns, compat && kind === 'sqlite3');
  }

  /** Writes rows; one that is refused is found by halves, so that the others are written. */
  async #insert(
    rows: readonly Row[],
    from: number,
    to: number,
    refuse: (row: number, error: unknown) => void,
  ): Promise<void> {
    if (from === to) return;
    const driver = this.#driver;
    try {
      await driver.query('SAVEPOINT flowlogd');
      await driver.insert(rows, from, to);
      await driver.query('RELEASE SAVEPOINT flowlogd');
      return;
    } catch (error) {
      if (driver.faultOf(error) !== 'row') throw error;
      await driver.query('ROLLBACK TO SAVEPOINT flowlogd');
      await driver.query('RELEASE SAVEPOINT flowlogd');
      if (to - from === 1) return refuse(from, error);
    }
    const middle = (from + to) >> 1;
    await this.#insert(rows, from, middle, refuse);
    await this.#insert(rows, middle, to, refuse);
  }

  async #hasGaps(): Promise<boolean> {
    try {
      await this.#driver.query(`SELECT lost FROM ${this.#driver.own('flowlogd_gap')} WHERE lost < 0`);
      return true;
    } catch {
      return false;
    }
  }

  async #writeGap({ input, from, to, lost, exact, cause }: Gap): Promise<void> {
    await this.#driver.query(
      `INSERT INTO ${this.#driver.own('flowlogd_gap')} (input, from_sec, to_sec, lost, exact, cause) VALUES (?, ?, ?, ?, ?, ?)`,
      [input, from / 1000, to / 1000, lost, exact ? 1 : 0, cause],
    );
  }
}
