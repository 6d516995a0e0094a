// What is said over the control socket: a line of JSON for each request, a line of JSON for its answer, in turn.
// `{"command": "status", "arguments": {…}}` is answered by `{"ok": true, "result": …}` or `{"ok": false, "error": "…"}`.

/** The longest request in bytes, without its line end. */
export const MAX_REQUEST = 64 << 10;
export const NEWLINE = 0x0a;

/** What a client asks for. Nothing about the arguments was checked. */
export interface Request {
  readonly command: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** What it gets; an error is a sentence for the operator. */
export type Answer = { readonly ok: true; readonly result: unknown } | { readonly ok: false; readonly error: string };

/** Reads a request. Throws with what is wrong with it. */
export function parseRequest(line: Uint8Array): Request {
  const request = parseObject(line, 'the request');
  const { command, arguments: given = {}, ...rest } = request;
  if (typeof command !== 'string') throw new Error('the request has no "command"');
  if (!isObject(given)) throw new Error('"arguments" is no object');
  const [stray] = Object.keys(rest);
  if (stray !== undefined) throw new Error(`the request has an unknown ${JSON.stringify(stray)}`);
  return { command, arguments: given };
}

/** Reads an answer. Throws when it is none. */
export function parseAnswer(line: Uint8Array): Answer {
  const { ok, result, error } = parseObject(line, 'the answer');
  if (ok === true) return { ok, result };
  if (ok === false && typeof error === 'string') return { ok, error };
  throw new Error('the answer is none of a flowlogd');
}

function parseObject(line: Uint8Array, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(line).toString());
  } catch {
    throw new Error(`${what} is no JSON`);
  }
  if (!isObject(value)) throw new Error(`${what} is no JSON object`);
  return value;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
