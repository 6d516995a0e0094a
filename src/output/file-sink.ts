import type { OptionSpecs } from '../config/option.ts';
import type { Link, Service } from '../pipeline/plugin.ts';
import type { FileSeries } from '../system/named-file.ts';
import { type FileFormat, OutputFile } from '../system/output-file.ts';
import type { LineBuffer } from '../wire/line-buffer.ts';
import { type KeepingValues, keepingOf } from './file-options.ts';
import type { LineSink } from './line-sink.ts';

/** What a sink needs of an output's link. */
type SinkLink = Pick<Link<OptionSpecs, unknown, unknown>, 'shared' | 'compat' | 'log' | 'id'> & {
  readonly options: KeepingValues;
};

/**
 * The file that an output writes, the same for all stacks that end in it. `plugin` is the output's name, for messages;
 * `makeBuffer` gives what its records are rendered into, where that has to lie somewhere.
 */
export function fileSink(
  { options, shared, compat, log, id }: SinkLink,
  plugin: string,
  target: string | FileSeries,
  format: Partial<FileFormat> = {},
  makeBuffer?: () => LineBuffer,
): OutputFile {
  const report = (message: string): void => log.error(`${id}:${plugin}: ${message}`);
  return shared(() => new OutputFile(target, report, format, keepingOf(options, compat), makeBuffer?.()));
}

/** What an output does besides rendering: everything that its sink does. */
export const serviceOf = (sink: LineSink): Service => ({
  start: () => sink.open(),
  flush: () => sink.flush(),
  reopen: () => sink.reopen(),
  stop: () => sink.close(),
  account: () => sink.account(),
  counters: () => sink.counters?.() ?? {},
});
