import { printable } from '../wire/printable-text.ts';

/** Where JSON is broken, and how; lines and columns count from 1. */
export interface JsonFault {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** The value of a JSON text, or where it is broken. */
export function parseJson(text: string): { readonly value: unknown } | { readonly fault: JsonFault } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const { message } = error as Error;
    const said = / in JSON at position (\d+)/.exec(message);
    const position = said ? Number(said[1]) : message.startsWith('Unexpected end') ? text.length : firstBadToken(text);
    const before = text.slice(0, position).split('\n');
    const what = said
      ? message.slice(0, said.index)
      : message.replace(/, .*is not valid JSON$/s, '').replace(/ in JSON.*| JSON input$/, '');
    return {
      fault: {
        line: before.length,
        column: (before.at(-1) as string).length + 1,
        message: `no JSON: ${printable(what)}`,
      },
    };
  }
}

/** V8 names a token that should not be there, but not its place: it is in every beginning of the text that reaches so far. */
function firstBadToken(text: string): number {
  let good = 0;
  let bad = text.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (hasBadToken(text.slice(0, middle))) bad = middle;
    else good = middle;
  }
  return bad - 1;
}

function hasBadToken(text: string): boolean {
  try {
    JSON.parse(text);
    return false;
  } catch (error) {
    return (error as Error).message.startsWith('Unexpected token');
  }
}
