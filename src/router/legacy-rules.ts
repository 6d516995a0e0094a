import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { parseSavedTranslations, type SavedTranslation } from '../wire/iptables-save.ts';
import type { RuleListener } from './nat-rules.ts';

const run = promisify(execFile);
/** Changes come in bursts; legacy rules themselves send no news at all. */
const SETTLE_MS = 100;
const POLL_MS = 30_000;
const MOST_OUTPUT = 64 << 20;
/** Characters that are parsed before all else gets its turn. */
const PORTION = 16 << 10;
/** These print the tables that exist, and without `-t` they make none. */
const COMMANDS = [
  ['iptables-legacy-save', '/proc/net/ip_tables_names'],
  ['ip6tables-legacy-save', '/proc/net/ip6_tables_names'],
] as const;
/** One namespace at a time runs programs. */
let turn: Promise<unknown> = Promise.resolve();
/** What the programs lack (socket(2) of type SOCK_RAW; names of the tables have mode 0440) is the same in every namespace: said once. */
let isRefusalTold = false;
const REFUSED =
  'may not read the rules of iptables-legacy, which takes CAP_NET_RAW and CAP_DAC_READ_SEARCH (docs/guides/operating.md): what they translate is not known; those of nf_tables are';

/**
 * The NAT rules of iptables-legacy in a namespace: older kernels and installations have them beside nf_tables or instead. Only the
 * program can print them, so it is run when addresses change, and now and then where such rules were found. What cannot be
 * run or entered leaves the last answer.
 */
export class LegacyRules {
  readonly #namespace: string | undefined;
  readonly #onChange: () => void;
  readonly #report: (message: string) => void;
  #found: readonly SavedTranslation[] = [];
  #text = '';
  #timer: NodeJS.Timeout | undefined;
  #closed = true;

  constructor(namespace: string | undefined, onChange: () => void, report: (message: string) => void) {
    this.#namespace = namespace;
    this.#onChange = onChange;
    this.#report = report;
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
    const both = new DataView(new ArrayBuffer(32));
    const bytes = new Uint8Array(both.buffer);
    for (const { external, internal, whole } of this.#found) {
      bytes.set(external);
      bytes.set(internal, external.length);
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
      } catch (error) {
        this.#noteRefusal(error as { readonly stderr?: string });
        return; // not installed, no right to read or enter, or the namespace is gone
      }
    }
    if (this.#closed) return;
    if (text !== '') this.look(POLL_MS);
    const rules = text.replaceAll(/^#.*$|\[\d+:\d+\]/gm, '');
    if (rules === this.#text) return;
    const found = await parseInTurns(text);
    if (this.#closed) return;
    this.#text = rules;
    this.#found = found;
    this.#onChange();
  }

  #noteRefusal({ stderr = '' }: { readonly stderr?: string }): void {
    if (isRefusalTold || !stderr.includes('Permission denied')) return;
    isRefusalTold = true;
    this.#report(REFUSED);
  }
}

/** Thousands of rules take their time: between portions there is some for all else. */
async function parseInTurns(text: string): Promise<SavedTranslation[]> {
  const found: SavedTranslation[] = [];
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at + PORTION);
    const end = newline < 0 ? text.length : newline + 1;
    found.push(...parseSavedTranslations(text.slice(at, end)));
    at = end;
    await nextTurn();
  }
  return found;
}
