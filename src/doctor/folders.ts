import { spawnSync } from 'node:child_process';
import { accessSync, constants, statfsSync, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Identity } from '../system/user.ts';
import type { Check, Finding } from './check.ts';
import type { Site } from './site.ts';

/** Below this share of a disk's room there is little time left. */
const SCARCE = 0.05;

/** Where files of the log go: an output's file, folder or spool, or the daemon's own log. */
interface Target {
  /** Who writes there, for messages. */
  readonly whose: string;
  readonly folder: string;
  /** The path as it is configured. */
  readonly path: string;
  /** The file, when it is one file. */
  readonly file?: string;
  /** The daemon makes the folder, if it alone is missing. */
  readonly makesFolder?: boolean;
  /** Bytes that are promised to it. */
  readonly promised?: number;
}

/** Folders of output files, spools and of the daemon's log. */
export const folders: Check = {
  name: 'folders',
  about: 'Whether the folders of the log can be written, and have room.',
  look: (site) => {
    const targets = targetsOf(site);
    const disks = new Map(targets.map((target) => [target.folder, target]));
    return [
      ...targets.flatMap(relative),
      ...targets.flatMap((target) => writable(target, site)),
      ...[...disks.values()].flatMap(room),
    ];
  },
};

function targetsOf(site: Site): Target[] {
  const { logfile = '' } = site.config?.global ?? {};
  const outputs = site.outputs.flatMap(({ id, plugin, options }) => {
    // With another mode the destination is no file.
    const isFile = options.mode === undefined || options.mode === 'file';
    return Object.entries(plugin.options).flatMap(([key, spec]): Target[] => {
      const value = options[key];
      if (spec.type !== 'string' || spec.path === undefined || typeof value !== 'string' || value === '') return [];
      const whose = `${id}:${plugin.name} ${key}=`;
      const path = resolve(value);
      if (spec.path === 'file')
        return isFile ? [{ whose, path: value, folder: dirname(path), file: path, makesFolder: key === 'file' }] : [];
      if (key !== 'spool') return [{ whose, path: value, folder: path }];
      // The spool makes its own folder, but not the one around it.
      return [
        { whose, path: value, folder: exists(path) ? path : dirname(path), promised: options.spool_max as number },
      ];
    });
  });
  if (['', 'stdout', 'syslog'].includes(logfile)) return outputs;
  const path = resolve(logfile);
  return [...outputs, { whose: '[global] logfile=', path: logfile, folder: dirname(path), file: path }];
}

/** As in ulogd, whose `-d` changes to the root folder. */
function relative({ whose, path }: Target): Finding[] {
  if (isAbsolute(path)) return [];
  const message = `${whose} ${path} is a relative path: it counts from the folder in which flowlogd is started, with -d or systemd from /; here it was looked up as ${resolve(path)}`;
  return [{ severity: 'note', message }];
}

function writable({ whose, folder, file, makesFolder }: Target, { user }: Site): Finding[] {
  const error = (message: string, ...command: string[]): Finding[] => [
    { severity: 'error', message, ...(command.length > 0 ? { remedy: { command } } : {}) },
  ];
  const owner = user ? ['-o', `${user.user}`, '-g', `${user.group}`] : [];
  if (!exists(folder)) {
    const command = ['install', '-d', '-m', '0750', ...owner, folder];
    if (!makesFolder || !exists(dirname(folder)) || !mayWrite(dirname(folder), user))
      return error(`${whose} ${folder} does not exist`, ...command);
    return [{ severity: 'note', message: `${whose} ${folder} does not exist: it will be made`, remedy: { command } }];
  }
  if (!statSync(folder).isDirectory()) return error(`${whose} ${folder} is no folder`);
  const who = user ? `the user ${user.user}` : 'this user';
  const change = user ? ['chown', `${user.user}:${user.group}`] : ['chmod', 'u+w'];
  if (file !== undefined && exists(file)) {
    if (!mayWrite(file, user)) return error(`${whose} ${who} may not write ${file}`, ...change, file);
    // Devices and pipes are never made anew.
    if (!statSync(file).isFile()) return [];
  }
  return mayWrite(folder, user) ? [] : error(`${whose} ${who} may not make files in ${folder}`, ...change, folder);
}

function room({ whose, folder, promised = 0 }: Target): Finding[] {
  if (!exists(folder)) return [];
  const { bavail, blocks, bsize, files, ffree } = statfsSync(folder);
  if (blocks === 0) return []; // a file system that counts nothing, such as /proc
  const free = bavail * bsize;
  const remedy = { command: ['du', '-xh', '--max-depth=1', folder] };
  if (bavail === 0 || (files > 0 && ffree === 0)) {
    const message = `${whose} the disk of ${folder} is full: events are dropped until there is room`;
    return [{ severity: 'error', message, remedy }];
  }
  const findings: Finding[] = [];
  if (bavail / blocks < SCARCE) {
    const percent = Math.floor((bavail / blocks) * 100);
    const message = `${whose} ${percent} % of the disk of ${folder} is free (${megabytes(free)}): when it is full, events are dropped`;
    findings.push({ severity: 'warning', message, remedy });
  }
  if (promised > free) {
    const message = `${whose} spool_max promises ${megabytes(promised)}, and the disk of ${folder} has ${megabytes(free)}`;
    findings.push({ severity: 'warning', message, remedy });
  }
  return findings;
}

/** As another user only the kernel can say: setpriv(1) becomes that user, and test(1) asks. */
function mayWrite(path: string, user: Identity | undefined): boolean {
  if (user) {
    const identity = [`--reuid=${user.user}`, `--regid=${user.group}`, `--groups=${user.groups.join(',')}`];
    return spawnSync('setpriv', [...identity, 'test', '-w', path]).status === 0;
  }
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
const megabytes = (bytes: number): string => `${Math.floor(bytes / (1 << 20))} MiB`;
