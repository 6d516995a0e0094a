import type { OptionSpecs, OptionValues } from '../config/option.ts';
import { quote } from '../config/problem.ts';
import type { FileKeeping, MinFree } from '../system/file-keeping.ts';

const MOST_BYTES = 2 ** 50;
const DEFAULT_MIN_FREE = '2%';
const FACTORS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Options of every output that writes files, whatever they are called. */
export const keepingOptions = {
  sync: { type: 'bool', default: false, doc: 'Write each batch before the next is read; flowlogd always does.' },
  min_free: {
    type: 'string',
    default: '',
    check: (text) =>
      text === '' || parseMinFree(text) !== undefined
        ? undefined
        : `${quote(text)} is neither a share of the disk such as 2%, nor bytes such as 500M`,
    doc: `Space that stays free on the disk, as a share or in bytes: with less, events are dropped and counted until there is more; 0 for none. By default ${DEFAULT_MIN_FREE}, and 0 with \`compat\`.`,
  },
  rotate_size: {
    type: 'int',
    default: 0,
    max: MOST_BYTES,
    unit: 'bytes',
    doc: 'Size that a file does not exceed: it is put away and the next one begun before; 0 for no limit.',
  },
  rotate_age: {
    type: 'int',
    default: 0,
    max: 366 * 86_400,
    unit: 'seconds',
    doc: 'Age at which a file is put away, once there is something to write to the next; 0 for none.',
  },
  keep: {
    type: 'int',
    default: 0,
    max: 100_000,
    unit: 'files',
    doc: 'Files that are kept of those put away; the oldest are removed; 0 keeps all.',
  },
  compress: { type: 'bool', default: false, doc: 'Compress files that were put away, with gzip, in the background.' },
} as const satisfies OptionSpecs;

/** Values of these options. */
export type KeepingValues = OptionValues<typeof keepingOptions>;

/** Options of an output that appends to one file. `records` is what it writes, in the plural. */
export const fileOptions = (file: string, records = 'lines') =>
  ({
    file: { type: 'string', path: 'file', default: file, doc: `File that ${records} are appended to.` },
    ...keepingOptions,
  }) as const satisfies OptionSpecs;

/** What the options say, in the units of OutputFile. */
export function keepingOf(options: KeepingValues, compat: boolean): FileKeeping {
  return {
    minFree: parseMinFree(options.min_free || (compat ? '0' : DEFAULT_MIN_FREE)) as MinFree,
    rotateSize: options.rotate_size,
    rotateAge: options.rotate_age * 1000,
    keep: options.keep,
    compress: options.compress,
  };
}

/** `2%`, `0.5 %`, `500M`; undefined when it is neither. */
export function parseMinFree(text: string): MinFree | undefined {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*(%|[kmgt]?)$/i.exec(text) ?? [];
  if (number === undefined) return undefined;
  if (unit === '%') return Number(number) < 100 ? { bytes: 0, share: Number(number) / 100 } : undefined;
  return { bytes: Number(number) * (FACTORS[unit.toLowerCase()] as number), share: 0 };
}
