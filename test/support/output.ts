// One output behind an input that a test fills: values in by key, the bytes of its file out.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeySpecs } from '../../src/pipeline/key.ts';
import type { Source } from '../../src/pipeline/link.ts';
import { Memory } from '../../src/pipeline/memory.ts';
import type { OutputPlugin } from '../../src/pipeline/plugin.ts';
import { input, type Linked, link } from './stacks.ts';

/** A number, 64 bits as bigint, or text; a buffer is text that need not be UTF-8. */
export type Given = Readonly<Record<string, number | bigint | string | Buffer>>;

/** An output that writes a file of its own. */
export class TestOutput {
  readonly folder = mkdtempSync(join(tmpdir(), 'flowlogd-output-'));
  readonly path = join(this.folder, 'out');
  readonly errors: string[] = [];
  readonly source: Source;
  readonly #keys: KeySpecs;
  readonly #linked: Linked;
  readonly #room: number;

  constructor(
    plugin: OutputPlugin,
    keys: KeySpecs,
    {
      options = {},
      compat = false,
      memory = new Memory(8 << 20),
    }: { options?: Readonly<Record<string, unknown>>; compat?: boolean; memory?: Memory } = {},
  ) {
    const source = input('IN', keys, plugin.accepts.includes('flow') ? 'flow' : plugin.accepts[0]);
    const settings = { errors: this.errors, compat, memory, options: { out: { file: this.path, ...options } } };
    this.source = link([`in:IN,out:${plugin.name}`], [source, plugin], settings)[0] as Source;
    this.#keys = keys;
    this.#linked = source.linked[0] as Linked;
    this.source.stages[0]?.service.start?.();
    // Behind what the plugins have reserved; nothing else is.
    this.#room = 6 << 20;
  }

  /** Sends one event. */
  event(given: Given): void {
    const { record, write, deliver, clock } = this.#linked;
    clock.update();
    let at = this.#room;
    for (const [key, value] of Object.entries(given)) {
      const slot = write[key];
      if (slot === undefined || !(key in this.#keys)) throw new Error(`the test declares no key ${key}`);
      if (typeof value === 'number') record.setNumber(slot, value);
      else if (typeof value === 'bigint') record.setWide(slot, Number(value >> 32n), Number(value & 0xffffffffn));
      else {
        const bytes = Buffer.from(value as string);
        record.bytes.set(bytes, at);
        record.setBytes(slot, at, bytes.length);
        at += bytes.length;
      }
    }
    deliver.event();
  }

  /** Ends a batch. */
  flush(): void {
    this.#linked.deliver.batch();
  }

  /** What is in the file now. */
  text(): string {
    return readFileSync(this.path, 'utf8');
  }

  /** Writes out, closes, and removes everything; returns what was in the file. */
  async end(): Promise<string> {
    await this.source.stages[0]?.service.stop?.();
    const text = this.text();
    rmSync(this.folder, { recursive: true });
    return text;
  }
}
