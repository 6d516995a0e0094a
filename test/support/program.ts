// The small C programs that tests send packets with.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Compiles the program of that name, which stands beside this file, into the folder; returns its path. */
export function compile(name: 'flood' | 'inject', folder: string): string {
  const program = join(folder, name);
  execFileSync('gcc', ['-O2', '-Wall', '-o', program, join(import.meta.dirname, `${name}.c`)]);
  return program;
}
