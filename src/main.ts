#!/usr/bin/env node
import { readArguments, UsageError } from './cli/arguments.ts';
import { helpText, usageExitCode } from './cli/help.ts';
import { version } from './cli/version.ts';

/** What the process ends with, as in ulogd: 1 for anything that keeps it from starting, 2 for a log that cannot be opened. */
process.exitCode = await main(process.argv.slice(2));

// What nobody reads any more (`flowlogd check FILE | head`) is no error.
process.stdout.on('error', () => process.exit());

async function main(args: readonly string[]): Promise<number> {
  try {
    const parsed = readArguments(args);
    switch (parsed.command) {
      case 'help':
        process.stdout.write(helpText(parsed.about));
        return 0;
      case 'version':
        process.stdout.write(`flowlogd Version ${version()}\n`);
        return 0;
      case 'check':
        return (await import('./cli/check.ts')).check(parsed.file);
      case 'info':
        return (await import('./cli/info.ts')).info(parsed.plugin);
      case 'status':
        return (await import('./cli/status.ts')).status(parsed);
      case 'netns':
      case 'attach':
      case 'detach':
        return (await import('./cli/netns.ts')).netns(parsed);
      case 'spool':
        return (await import('./cli/spool.ts')).spool(parsed);
      case 'audit':
        return (await import('./cli/audit.ts')).audit(parsed);
      case 'doctor':
        return (await import('./cli/doctor.ts')).doctor(parsed);
      case 'who-had':
        return await (await import('./cli/who-had.ts')).whoHad(parsed);
      case 'run':
        // Until files are open there is nothing to open again, and the signal must not end us.
        process.on('SIGHUP', () => {});
        return (await import('./cli/run.ts')).run(parsed);
    }
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`flowlogd: ${error.message}\nTry "flowlogd --help".\n`);
    return usageExitCode(args[0]);
  }
}
