import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { type Answer, NEWLINE, parseAnswer, type Request } from './protocol.ts';

/** Milliseconds in which a daemon that is alive answers. */
const PATIENCE = 10_000;

const BROKEN_OFF = 'the daemon broke off without an answer: it ends, or has too many clients';

/**
 * Asks the daemon that listens at `path`, and resolves with what it answers. Rejects with the daemon's refusal, or with why
 * there is no answer within `patience` milliseconds.
 */
export async function ask(
  path: string,
  command: string,
  given: Request['arguments'] = {},
  patience = PATIENCE,
): Promise<unknown> {
  const answer = await exchange(path, { command, arguments: given }, patience);
  if (answer.ok) return answer.result;
  throw new Error(answer.error);
}

function exchange(path: string, request: Request, patience: number): Promise<Answer> {
  return new Promise((done, fail) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    const giveUp = (why: string) => {
      socket.destroy();
      fail(new Error(`${why} (${path})`));
    };
    socket.setTimeout(patience, () => giveUp(`the daemon does not answer within ${patience / 1000} s`));
    socket.on('error', (error: NodeJS.ErrnoException) => giveUp(reasonOf(error, path)));
    socket.on('close', () => giveUp(BROKEN_OFF));
    socket.on('data', (chunk) => {
      const end = chunk.indexOf(NEWLINE);
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
      if (end < 0) return;
      socket.removeAllListeners('close');
      socket.destroy();
      try {
        done(parseAnswer(Buffer.concat(chunks)));
      } catch (error) {
        fail(error);
      }
    });
    socket.write(`${JSON.stringify(request)}\n`);
  });
}

function reasonOf({ code, message }: NodeJS.ErrnoException, path: string): string {
  if (code === 'ENOENT') return 'no daemon is running, or it has no control socket there';
  if (code === 'ECONNREFUSED' && !isSocket(path)) return 'this is no control socket';
  if (code === 'ECONNREFUSED') return 'the daemon that made the control socket is dead';
  if (code === 'EACCES' || code === 'EPERM') return 'no right to ask the daemon: it takes root, or its group';
  if (code === 'ECONNRESET' || code === 'EPIPE') return BROKEN_OFF;
  return message;
}

const isSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() ?? true;
