import type { Log } from '../pipeline/plugin.ts';
import { installAudit } from '../router/audit-rules.ts';
import { hasAuditTable } from '../router/audit-table.ts';

/** So often (ms) the rules are looked for: whoever flushes the rules of a router takes ours, too. */
const INTERVAL = 30_000;

/** One namespace after the other: nft takes some 20 ms in each, there may be hundreds, and nobody waits for it. */
let turn = Promise.resolve();

/** Looks after the audit rules of a namespace while somebody reads what they tell. */
export class AuditWatch {
  readonly #name: string;
  readonly #namespace: string | undefined;
  readonly #options: { readonly install: boolean; readonly limit: string };
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;
  #were: 'unknown' | 'there' | 'missing' = 'unknown';
  #complaint = '';

  /** `name` is whose messages these are. */
  constructor(
    name: string,
    namespace: string | undefined,
    options: { readonly install: boolean; readonly limit: string },
    log: Log,
  ) {
    this.#name = name;
    this.#namespace = namespace;
    this.#options = options;
    this.#log = log;
  }

  /** Looks for the rules, and from now on again and again; what is missing is installed, or said. */
  start(): void {
    const look = () => {
      turn = turn.then(() => this.#look());
    };
    this.#timer = setInterval(look, INTERVAL);
    look();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    if (this.#timer === undefined) return; // gone before its turn
    try {
      await this.#provide();
      this.#complaint = '';
    } catch (error) {
      // After -u only who follows namespaces may still go to them.
      if (this.#were === 'there' && (error as NodeJS.ErrnoException).code === 'EPERM') return this.stop();
      // Whoever comes later may still install them.
      const { message } = error as Error;
      if (this.#timer !== undefined && message !== this.#complaint)
        this.#log.error(`${this.#name}: the audit rules: ${message}`);
      this.#complaint = message;
    }
  }

  async #provide(): Promise<void> {
    const before = this.#were;
    this.#were = hasAuditTable(this.#namespace) ? 'there' : 'missing';
    if (this.#were === 'there') return;
    const { install, limit } = this.#options;
    if (install) {
      await installAudit(this.#namespace, { limit });
      this.#were = 'there';
      if (before === 'there') this.#log.notice(`${this.#name}: the audit rules were gone, and are installed again`);
    } else if (before !== 'missing')
      this.#log.error(
        `${this.#name}: the audit rules are not there, nothing will be read: "flowlogd audit install", or install=1`,
      );
  }
}
