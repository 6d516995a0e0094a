import { notify } from './native.ts';

/** Tells systemd about the daemon's state, when it started us and asked (sd_notify(3)): `READY=1`, `STOPPING=1`. */
export function notifyServiceManager(state: string): void {
  const { NOTIFY_SOCKET } = process.env;
  if (NOTIFY_SOCKET) notify(NOTIFY_SOCKET, state);
}
