import { parseListenAddress } from '../config/listen-address.ts';
import { type Pages, plainPage, WebServer } from '../control/web-server.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import { ConntrackMeter } from '../system/conntrack-meter.ts';
import type { DaemonLog } from '../system/log.ts';
import { missingPackage } from '../system/missing-package.ts';
import { namespaceOf } from '../system/processes.ts';
import { type Daemon, impediments, statusOf } from './daemon-status.ts';
import { metricsPage, type NamespaceReading } from './metrics-page.ts';

/** Milliseconds in which all threads must say how they are, for the daemon to count as ready. */
const PATIENCE = 2000;

/** What serves the metrics while the daemon runs. */
interface Metrics {
  close(): Promise<void>;
}

/** Serves /metrics, /healthz and /readyz where the configuration says so. Where that fails, the daemon goes on without. */
export async function openMetrics(daemon: Daemon, namespaces: readonly string[], log: DaemonLog): Promise<Metrics> {
  const { metrics: address } = daemon.config.global;
  if (address === '') return { async close() {} };
  const meters = new Meters(log);
  try {
    const client = await import('prom-client').catch((error) => {
      throw missingPackage('prom-client', error);
    });
    const pages: Pages = {
      '/metrics': async () => {
        const status = await statusOf(daemon);
        const text = await metricsPage(client, status, await meters.read(namespacesOf(status)));
        return { status: 200, type: client.Registry.PROMETHEUS_CONTENT_TYPE, text };
      },
      '/healthz': () => plainPage(200, 'ok'),
      '/readyz': async () => {
        const faults = await faultsOf(daemon);
        return faults.length === 0 ? plainPage(200, 'ok') : plainPage(503, faults.join('\n'));
      },
    };
    const web = await WebServer.listen(parseListenAddress(address), pages);
    web.onError((error) => log.error(`metrics: ${error.message}`));
    // Now, because other namespaces cannot be entered any more after -u.
    for (const namespace of namespaces) meters.keep(namespace);
    log.notice(`metrics are served at port ${web.port} (${address})`);
    return {
      async close() {
        meters.close();
        await web.close();
      },
    };
  } catch (error) {
    log.error(`there are no metrics: ${reasonOf(error as NodeJS.ErrnoException, address)}`);
    return { async close() {} };
  }
}

function reasonOf({ code, message }: NodeJS.ErrnoException, address: string): string {
  if (code === 'EADDRINUSE') return `another program listens at ${address} already`;
  if (code === 'EADDRNOTAVAIL') return `this machine has no address ${address}`;
  if (code === 'EACCES') return `no right to listen at ${address}`;
  return message;
}

async function faultsOf({ crew, state }: Daemon): Promise<string[]> {
  if (state !== 'running') return [`the daemon is ${state}`];
  const late = new Promise<undefined>((done) => setTimeout(done, PATIENCE, undefined).unref());
  const snapshot = await Promise.race([crew.snapshot(), late]);
  return snapshot === undefined ? ['a thread does not answer'] : impediments(snapshot);
}

/** The namespaces whose connections are logged; empty for the daemon's own. */
const namespacesOf = ({ inputs }: Snapshot): Set<string> =>
  new Set(inputs.flatMap(({ name, namespace = '' }) => (/:NFCT(?:@|$)/.test(name) ? [namespace] : [])));

/** Reads the conntrack of each namespace. One that cannot be read is told of once, and missing from the page. */
class Meters {
  readonly #log: DaemonLog;
  readonly #standing = new Map<string, { readonly meter: ConntrackMeter; readonly inode: number | undefined }>();
  readonly #failed = new Set<string>();

  constructor(log: DaemonLog) {
    this.#log = log;
  }

  /** Keeps a meter open from now on. In others none stays: an open socket keeps a namespace alive that was deleted. */
  keep(namespace: string): void {
    const meter = this.#open(namespace);
    if (meter !== undefined) this.#standing.set(namespace, { meter, inode: namespaceOf(namespace) });
  }

  /** One after the other: they share the memory for it, and there may be hundreds. */
  async read(namespaces: ReadonlySet<string>): Promise<NamespaceReading[]> {
    for (const [namespace, { meter, inode }] of this.#standing) {
      if (namespaces.has(namespace) && namespaceOf(namespace) === inode) continue;
      meter.close();
      this.#standing.delete(namespace);
    }
    for (const namespace of this.#failed) if (!namespaces.has(namespace)) this.#failed.delete(namespace);
    const readings: NamespaceReading[] = [];
    for (const namespace of namespaces) {
      const standing = this.#standing.get(namespace)?.meter;
      const meter = standing ?? this.#open(namespace);
      const reading = await meter?.read().catch(() => undefined);
      if (meter !== standing) meter?.close();
      if (reading !== undefined) readings.push({ namespace, ...reading });
    }
    return readings;
  }

  close(): void {
    for (const { meter } of this.#standing.values()) meter.close();
    this.#standing.clear();
  }

  #open(namespace: string): ConntrackMeter | undefined {
    try {
      return new ConntrackMeter(namespace || undefined);
    } catch (error) {
      if (!this.#failed.has(namespace))
        this.#log.error(`metrics: no numbers of conntrack: ${(error as Error).message}`);
      this.#failed.add(namespace);
      return undefined;
    }
  }
}
