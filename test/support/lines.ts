// What outputs of text do, line by line.
import type { LineSink } from '../../src/output/line-sink.ts';

/** Renders the lines into the sink's buffer; `flush` is the caller's. */
export function writeLines(sink: Pick<LineSink, 'buffer' | 'endLine'>, ...lines: readonly string[]): void {
  for (const line of lines) {
    const bytes = Buffer.from(`${line}\n`);
    sink.buffer.ensure(bytes.length);
    sink.buffer.bytes.set(bytes, sink.buffer.length);
    sink.endLine(sink.buffer.length + bytes.length);
  }
}
