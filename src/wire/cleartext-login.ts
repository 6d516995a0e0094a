/** User names and passwords that FTP (RFC 959), POP3 (RFC 1939) and IMAP (RFC 9051, LOGIN) send in the clear. */

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CR = 0x0d;
const LF = 0x0a;

/** Where the words lie in what was searched; a length of 0 when there is none. */
export class CleartextLogin {
  userOffset = 0;
  userLength = 0;
  passwordOffset = 0;
  passwordLength = 0;
}

/**
 * Looks through the lines of a segment between `start` and `end` for `USER name`, `PASS word` and `tag LOGIN name word`,
 * commands in any case. The last of each counts; a line that the segment cuts off counts as far as it goes. False when there is none.
 */
export function findLogin(bytes: Uint8Array, start: number, end: number, into: CleartextLogin): boolean {
  into.userLength = 0;
  into.passwordLength = 0;
  for (let at = start; at < end; ) {
    let stop = at;
    while (stop < end && bytes[stop] !== CR && bytes[stop] !== LF) stop++;
    readLine(bytes, at, stop, into);
    at = stop + 1;
  }
  return into.userLength > 0 || into.passwordLength > 0;
}

function readLine(bytes: Uint8Array, start: number, end: number, into: CleartextLogin): void {
  if (isCommand(bytes, start, end, USER)) {
    into.userOffset = start + 5;
    into.userLength = end - into.userOffset;
  } else if (isCommand(bytes, start, end, PASS)) {
    into.passwordOffset = start + 5;
    into.passwordLength = end - into.passwordOffset;
  } else {
    const command = wordEnd(bytes, start, end) + 1; // behind the tag
    if (command < start + 2 || !isCommand(bytes, command, end, LOGIN)) return;
    const user = command + 6;
    const userEnd = wordEnd(bytes, user, end);
    const password = userEnd + 1;
    if (password >= end) return;
    const passwordEnd = wordEnd(bytes, password, end);
    const quotedUser = isQuoted(bytes, user, userEnd);
    const quotedPassword = isQuoted(bytes, password, passwordEnd);
    into.userOffset = user + quotedUser;
    into.userLength = userEnd - user - 2 * quotedUser;
    into.passwordOffset = password + quotedPassword;
    into.passwordLength = passwordEnd - password - 2 * quotedPassword;
  }
}

const USER = Uint8Array.from(Buffer.from('user'));
const PASS = Uint8Array.from(Buffer.from('pass'));
const LOGIN = Uint8Array.from(Buffer.from('login'));

/** True when a line says this command, in any case, and something behind it. */
function isCommand(bytes: Uint8Array, at: number, end: number, command: Uint8Array): boolean {
  if (end - at < command.length + 2 || bytes[at + command.length] !== SPACE) return false;
  for (let i = 0; i < command.length; i++) if ((bytes[at + i]! | 0x20) !== command[i]) return false;
  return true;
}

/** End of the word at `at`: at a blank, or behind the quote that closes it. */
function wordEnd(bytes: Uint8Array, at: number, end: number): number {
  const quoted = at < end && bytes[at] === QUOTE;
  for (let i = quoted ? at + 1 : at; i < end; i++) {
    if (quoted && bytes[i] === BACKSLASH) i++;
    else if (quoted && bytes[i] === QUOTE) return i + 1;
    else if (!quoted && bytes[i] === SPACE) return i;
  }
  return end;
}

const isQuoted = (bytes: Uint8Array, start: number, end: number): 0 | 1 =>
  end - start >= 2 && bytes[start] === QUOTE && bytes[end - 1] === QUOTE ? 1 : 0;
