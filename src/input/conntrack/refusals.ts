import type { Log } from '../../pipeline/plugin.ts';
import { Seldom } from '../../system/seldom.ts';
import type { FlowTable } from './flow-table.ts';

/** A full table stays full for long. */
const INTERVAL_MS = 60_000;

/** Says that the flow table is full: at most once a minute, with what came since. */
export class Refusals {
  readonly #name: string;
  readonly #log: Log;
  readonly #limit: number;
  readonly #saying = new Seldom(INTERVAL_MS);
  /** Connections that had found the table full when it was last said. */
  #said = 0;

  /** `limit` is the table's. */
  constructor(name: string, log: Log, limit: number) {
    this.#name = name;
    this.#log = log;
    this.#limit = limit;
  }

  look({ refused }: FlowTable): void {
    if (refused <= this.#said || !this.#saying.isTime()) return;
    const count = refused - this.#said;
    this.#said = refused;
    this.#log.error(
      `${this.#name}: the table is full at ${this.#limit} connections (hash_max_entries): ${count} more were not remembered, and will be reported without their begin`,
    );
  }
}
