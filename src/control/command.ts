import { suggestion } from '../config/nearest.ts';
import type { Request } from './protocol.ts';

/** Something that a client of the control socket can ask for. */
export interface Command {
  /** What it does, in one sentence. */
  readonly summary: string;
  /** Returns what JSON can hold. Throws an Error whose message is for the operator. The arguments come as they were sent. */
  run(given: Request['arguments']): unknown;
}

/** Commands by name. */
export type Commands = Readonly<Record<string, Command>>;

/** Carries out a request. Rejects with a message for whoever asked. */
export async function carryOut(commands: Commands, request: Request): Promise<unknown> {
  const { command: name } = request;
  if (Object.hasOwn(commands, name)) return commands[name]!.run(request.arguments);
  throw new Error(`there is no command ${JSON.stringify(name)}${suggestion(name, Object.keys(commands))}`);
}

/** An argument that must be text. Throws when it is missing or anything else. */
export function textArgument(given: Request['arguments'], name: string): string {
  const value = Object.hasOwn(given, name) ? given[name] : undefined;
  if (typeof value === 'string' && value !== '') return value;
  throw new Error(`the argument "${name}" is missing, or no text`);
}
