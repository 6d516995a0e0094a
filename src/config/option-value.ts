import { suggestion } from './nearest.ts';
import type { ChoiceOption, IntOption, LinesOption, ListOption, OptionSpec, StringOption } from './option.ts';
import { quote } from './problem.ts';
import { Secret } from './secret.ts';

/**
 * A value of the type that its option says, or what is wrong with the text. A `doubt` is worth a warning; a `lapse` is wrong,
 * but ulogd 2.0.8 takes it.
 */
export type Parsed =
  | { readonly ok: true; readonly value: unknown; readonly doubt?: string | undefined; readonly lapse?: string }
  | { readonly ok: false; readonly message: string };

/** Reads the text of a value as its option says. Messages hold the text and what is allowed. */
export function parseValue(spec: Exclude<OptionSpec, LinesOption>, text: string): Parsed {
  switch (spec.type) {
    case 'int':
      return parseInteger(spec, text);
    case 'bool':
      return parseBoolean(text);
    case 'string':
      return parseText(spec, text);
    case 'secret':
      return parseSecret(text);
    case 'choice':
      return parseChoice(spec, text);
    case 'list':
      return parseList(spec, text);
  }
}

function parseInteger(spec: IntOption, text: string): Parsed {
  const { min = 0, max = 0xffffffff, unit } = spec;
  const range = `(${min < 0 ? `${min} to ${max}` : `${min}-${max}`}${unit ? ` ${unit}` : ''})`;
  const value = toInteger(text) ?? toQuantity(text, unit);
  if (value === undefined) return { ok: false, message: `${quote(text)} is not an integer ${range}` };
  if (value < min || value > max) return { ok: false, message: `${quote(text)} is out of range ${range}` };
  return { ok: true, value };
}

// The bases of strtoul(…, 0), but unlike it the whole text must be the number.
const INTEGER = /^([+-]?)(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))$/i;

function toInteger(text: string): number | undefined {
  const match = INTEGER.exec(text);
  if (!match) return undefined;
  const [, sign, hex, octal, decimal] = match;
  const value = hex ? Number.parseInt(hex, 16) : octal ? Number.parseInt(octal, 8) : Number(decimal);
  return sign === '-' && value !== 0 ? -value : value;
}

const FACTORS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  bytes: { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 },
  seconds: { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 },
};

/** A number of bytes or seconds in a larger unit: `64M`, `1d`. */
function toQuantity(text: string, unit: string | undefined): number | undefined {
  const [, digits, letter = ''] = /^([1-9]\d*)([a-z])$/i.exec(text) ?? [];
  const factor = unit === undefined || digits === undefined ? undefined : FACTORS[unit]?.[letter.toLowerCase()];
  return factor === undefined ? undefined : Number(digits) * factor;
}

function parseBoolean(text: string): Parsed {
  const number = toInteger(text);
  if (number === 0 || number === 1) return { ok: true, value: number === 1 };
  if (number !== undefined) return { ok: true, value: true, lapse: `${quote(text)} is neither 0 nor 1` };
  if (/^(?:yes|on|true)$/i.test(text)) return { ok: true, value: true };
  if (/^(?:no|off|false)$/i.test(text)) return { ok: true, value: false };
  return { ok: false, message: `${quote(text)} is neither yes nor no (1, 0, yes, no, on, off, true, false)` };
}

function parseText(spec: StringOption, text: string): Parsed {
  const message = spec.check?.(text);
  if (message !== undefined) return { ok: false, message };
  // ulogd finds out when it opens it, and does not run the stack.
  const isPathless = text === '' && spec.path !== undefined && (spec.default !== '' || spec.required);
  return { ok: true, value: text, ...(isPathless ? { lapse: `empty, and must name a ${spec.path}` } : {}) };
}

/** The message never holds the text. Who checks may not be who will run, so a secret that is out of reach is no error. */
function parseSecret(text: string): Parsed {
  const value = new Secret(text);
  const { fault } = value;
  return fault === undefined ? { ok: true, value, doubt: value.doubt } : { ok: false, message: fault };
}

function parseChoice(spec: ChoiceOption, text: string): Parsed {
  const value = spec.choices.find((choice) => choice.toLowerCase() === text.toLowerCase());
  if (value !== undefined) return { ok: true, value };
  const refused = Object.entries(spec.refused ?? {}).find(([word]) => word === text.toLowerCase())?.[1];
  if (refused !== undefined) return { ok: false, message: `${quote(text)}: ${refused}` };
  const choices = spec.choices.map((choice) => (choice === '' ? '""' : choice)).join(', ');
  return { ok: false, message: `${quote(text)} is none of ${choices}${suggestion(text, spec.choices)}` };
}

function parseList(spec: ListOption, text: string): Parsed {
  const value = text.split(',').flatMap((word) => word.trim() || []);
  for (const word of value) {
    const message = spec.check?.(word);
    if (message !== undefined) return { ok: false, message };
  }
  return { ok: true, value };
}
