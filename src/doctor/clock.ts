import { clockSynchronized, localOffset } from '../system/native.ts';
import type { Check, Finding } from './check.ts';

/** What the kernel knows of its clock, and the zone of local times. */
export const clock: Check = {
  name: 'clock',
  about: 'Whether the times in the log are right, and mean one moment each.',
  look: (site) => [
    ...synchronized(),
    ...(site.outputs.some(({ plugin }) => LOCAL.includes(plugin.name)) ? zone() : []),
  ],
};

/** Outputs whose lines have local time without its distance from UTC. */
const LOCAL = ['LOGEMU', 'SYSLOG', 'NACCT', 'GPRINT'];

function synchronized(): Finding[] {
  if (clockSynchronized()) return [];
  const message =
    'nothing keeps the clock right (adjtimex: STA_UNSYNC): times in the log cannot be compared with those of other machines';
  return [{ severity: 'warning', message, remedy: { command: ['timedatectl', 'set-ntp', 'true'] } }];
}

function zone(): Finding[] {
  const year = new Date().getUTCFullYear();
  const [january = 0, july = 0] = [0, 6].map((month) => localOffset(Date.UTC(year, month) / 1000));
  if (january === july) return [];
  const minutes = Math.abs(january - july) / 60;
  const message = `local time changes by ${minutes} minutes between winter and summer: lines of LOGEMU and its like have no zone, and each autumn ${minutes} minutes of them come twice; TZ=UTC in the environment of flowlogd ends that`;
  return [
    {
      severity: 'note',
      message,
      remedy: { command: ['systemctl', 'edit', 'flowlogd'], keep: '[Service] Environment=TZ=UTC' },
    },
  ];
}
