import type { Driver } from './driver.ts';

/**
 * What makes every row arrive once. A commit whose answer never came may have happened or not. So the number of the last
 * batch of each stream stands in a table of the same database, and changes in the same transaction as the rows: what is sent
 * again is known by it. The change is made from the number that was read, so that a connection thought dead that still
 * commits makes the next one fail, not write twice.
 */
export class Markers {
  readonly #driver: Driver;
  readonly #table: string;
  readonly #output: string;
  readonly #last = new Map<string, number>();
  #usable = false;

  constructor(driver: Driver, output: string) {
    this.#driver = driver;
    this.#table = driver.own('flowlogd_sender');
    this.#output = output.slice(0, 64);
  }

  /** Finds the table or makes it; returns why there is none, when the database does not allow it. */
  async open(): Promise<string | undefined> {
    try {
      await this.#driver.query(`SELECT batch FROM ${this.#table} WHERE stream = ?`, ['']);
      this.#usable = true;
      return undefined;
    } catch {
      try {
        await this.#driver.query(
          `CREATE TABLE ${this.#table} (stream char(32) NOT NULL PRIMARY KEY, batch bigint NOT NULL, output varchar(64), updated timestamp DEFAULT CURRENT_TIMESTAMP)`,
        );
        this.#usable = true;
        return undefined;
      } catch (error) {
        return (error as Error).message;
      }
    }
  }

  /** Number of the last batch of a stream that the database has. */
  async last(stream: string): Promise<number> {
    if (!this.#usable) return 0;
    const known = this.#last.get(stream);
    if (known !== undefined) return known;
    const { rows } = await this.#driver.query(`SELECT batch FROM ${this.#table} WHERE stream = ?`, [stream]);
    if (rows.length === 0) {
      await this.#driver.query(`INSERT INTO ${this.#table} (stream, batch, output) VALUES (?, 0, ?)`, [
        stream,
        this.#output,
      ]);
    }
    const last = rows.length === 0 ? 0 : Number(rows[0]![0]);
    this.#last.set(stream, last);
    return last;
  }

  /** Within the transaction: the stream goes on to this batch. Throws when another connection was there first. */
  async advance(stream: string, batch: number): Promise<void> {
    if (!this.#usable) return;
    const { changes } = await this.#driver.query(
      `UPDATE ${this.#table} SET batch = ?, updated = CURRENT_TIMESTAMP WHERE stream = ? AND batch = ?`,
      [batch, stream, this.#last.get(stream) ?? 0],
    );
    if (changes !== 1) throw new Error('an earlier connection has written meanwhile');
  }

  /** The transaction is committed. */
  committed(stream: string, batch: number): void {
    this.#last.set(stream, batch);
  }
}
