import { quote } from './problem.ts';

/** Where a server listens for TCP connections. */
export interface ListenAddress {
  /** A name or an address without brackets; undefined for every address of the machine. */
  readonly host: string | undefined;
  readonly port: number;
}

const FORM = /^(?:\[([0-9a-f:.]+(?:%[^\]]+)?)\]|([^:[\]]*)):(\d{1,5})$/i;

/** Reads `127.0.0.1:9517`, `[::1]:9517`, `localhost:9517`, or `:9517` for every address. Throws with what is wrong. */
export function parseListenAddress(text: string): ListenAddress {
  const [, ipv6, host, port] = FORM.exec(text) ?? [];
  if (port === undefined) throw new Error(`${quote(text)} is not of the form 127.0.0.1:9517 or [::1]:9517`);
  if (Number(port) > 65535) throw new Error(`${quote(text)}: there is no port ${port} (0-65535)`);
  return { host: ipv6 ?? (host === '' ? undefined : host), port: Number(port) };
}
