import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { parseSavedTranslations, type SavedTranslation } from '../wire/iptables-save.ts';
import type { RuleListener } from './nat-rules.ts';

const run = promisify(execFile);
/** Changes come in bursts; legacy rules themselves send no news at all. */
const SETTLE_MS = 100;
const POLL_MS = 30_000;
const MOST_OUTPUT = 64 << 20;
/** These print the tables that exist, and without `-t` they make none. */
const COMMANDS = [
  ['iptables-legacy-save', '/proc/net/ip_tables_names'],
  ['ip6tables-legacy-save', '/proc/net/ip6_tables_names'],
] as const;
/** One namespace at a time runs programs. */
let turn: Promise<unknown> = Promise.resolve();

/**
 * The NAT rules of iptables-legacy in a namespace: older kernels and installations have them beside nf_tables or instead. Only the
 * program can print them, so it is run when addresses change, and now and then where such rules were found. What cannot be
 * run or entered leaves the last answer.
 */
export class LegacyRules {
  readonly #namespace: string | undefined;
  readonly #onChange: () => void;
  #found: readonly SavedTranslation[] = [];
  #text = '';
  #timer: NodeJS.Timeout | undefined;
  #closed = true;

  constructor(namespace: string | undefined, onChange: () => void) {
    this.#namespace = namespace;
    this.#onChange = onChange;
  }

  /** Has the rules read soon, if the kernel has legacy tables at all. */
  look(delay = SETTLE_MS): void {
    if (this.#closed || !COMMANDS.some(([, tables]) => existsSync(tables))) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      turn = turn.then(() => this.#read());
    }, delay);
    this.#timer.unref();
  }

  /** Begins to look, also after `close`. */
  open(): void {
    this.#closed = false;
  }

  /** Tells what was last read. */
  visit(listener: Pick<RuleListener, 'onWhole' | 'onForward'>): void {
    for (const { external, internal, whole } of this.#found) {
      const both = new DataView(Uint8Array.of(...external, ...internal).buffer);
      if (whole) listener.onWhole(both, 0, external.length, external.length, false);
      else listener.onForward(both, 0, external.length);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #read(): Promise<void> {
    if (this.#closed) return;
    let text = '';
    for (const [command, tables] of COMMANDS) {
      if (!existsSync(tables)) continue;
      const words = this.#namespace === undefined ? [command] : ['nsenter', `--net=${this.#namespace}`, command];
      try {
        text += (await run(words[0] as string, words.slice(1), { maxBuffer: MOST_OUTPUT })).stdout;
      } catch {
        return; // not installed, no right to enter, or the namespace is gone
      }
    }
    if (this.#closed) return;
    if (text !== '') this.look(POLL_MS);
    const rules = text.replaceAll(/^#.*$|\[\d+:\d+\]/gm, '');
    if (rules === this.#text) return;
    this.#text = rules;
    this.#found = parseSavedTranslations(text);
    this.#onChange();
  }
}
