import type { Registry } from 'prom-client';
import type { Counts, InputSnapshot, OutputSnapshot } from '../pipeline/snapshot.ts';
import type { ConntrackReading } from '../system/conntrack-meter.ts';
import type { Status } from './daemon-status.ts';

type PromClient = typeof import('prom-client');
type Labels = Readonly<Record<string, string | number>>;
type Values = readonly (readonly [Labels, number | undefined])[];

/** The numbers of one namespace's conntrack. */
export interface NamespaceReading extends ConntrackReading {
  /** File of the namespace; empty for the daemon's own. */
  readonly namespace: string;
}

/**
 * The status as Prometheus reads it. A registry is made for each scrape: what is counted is counted elsewhere, and nothing
 * here costs anything in between. Labels are names of the configuration, never an address or a port.
 */
export function metricsPage(
  client: PromClient,
  status: Status,
  conntrack: readonly NamespaceReading[],
): Promise<string> {
  const registry = new client.Registry();
  const metrics = new Metrics(client, registry);
  addDaemon(metrics, status);
  addInputs(metrics, status.inputs);
  addOutputs(metrics, status.outputs);
  metrics.gauge(
    'flowlogd_plugin_counts',
    'What inputs and outputs count besides events.',
    [...status.inputs, ...status.outputs].flatMap(({ name, counters }) => byName({ plugin: name }, 'what', counters)),
  );
  addConntrack(metrics, conntrack);
  addProcess(metrics, status);
  return registry.metrics();
}

class Metrics {
  readonly #client: PromClient;
  readonly #registry: Registry;

  constructor(client: PromClient, registry: Registry) {
    this.#client = client;
    this.#registry = registry;
  }

  /** A count that only grows. */
  counter(name: string, help: string, values: Values): void {
    this.#add(this.#client.Counter, name, help, values);
  }

  /** An amount that goes up and down. */
  gauge(name: string, help: string, values: Values): void {
    this.#add(this.#client.Gauge, name, help, values);
  }

  /** A value of which the worst counts where several destinations have one name, as those of each namespace have. */
  worst(pick: (a: number, b: number) => number, name: string, help: string, values: Values): void {
    const picked = new Map<string, readonly [Labels, number]>();
    for (const [labels, value] of values) {
      const key = JSON.stringify(labels);
      const [, before = value] = picked.get(key) ?? [];
      if (value !== undefined) picked.set(key, [labels, pick(value, before as number)]);
    }
    this.#add(this.#client.Gauge, name, help, [...picked.values()]);
  }

  /** What has the same labels is added up. */
  #add(kind: PromClient['Counter' | 'Gauge'], name: string, help: string, values: Values): void {
    const known = values.filter((pair): pair is [Labels, number] => pair[1] !== undefined);
    const [first] = known;
    if (first === undefined) return; // a metric without labels would be shown as 0
    const metric = new kind({ name, help, labelNames: Object.keys(first[0]), registers: [this.#registry] });
    for (const [labels, value] of known) metric.inc(labels, value);
  }
}

function addDaemon(metrics: Metrics, { version, missing, threads, imbalances }: Status): void {
  metrics.gauge('flowlogd_build_info', 'Always 1; the version is a label.', [[{ version }, 1]]);
  metrics.counter(
    'flowlogd_missing_events_total',
    'Events lost, malformed, failed or dropped since the start, also of inputs and outputs that are gone.',
    [[{}, missing]],
  );
  metrics.gauge(
    'flowlogd_thread_busy_ratio',
    'Share of the last 5 to 10 seconds in which a thread had something to do.',
    threads.map(({ busy }, thread) => [{ thread }, busy]),
  );
  metrics.gauge('flowlogd_ledger_imbalances', 'Sums of the ledger that do not hold: anything but 0 is a defect.', [
    [{}, imbalances.length],
  ]);
}

function addInputs(metrics: Metrics, inputs: readonly InputSnapshot[]): void {
  const each = (value: (input: InputSnapshot) => number | undefined): Values =>
    inputs.map((input) => [{ input: input.name }, value(input)]);
  metrics.gauge(
    'flowlogd_input_up',
    '1 when the input runs.',
    each(({ failure }) => (failure === undefined ? 1 : 0)),
  );
  metrics.counter(
    'flowlogd_input_events_total',
    'Events read.',
    each(({ events }) => events),
  );
  metrics.counter(
    'flowlogd_input_datagrams_total',
    'Messages of the kernel.',
    each(({ datagrams }) => datagrams),
  );
  metrics.counter(
    'flowlogd_input_malformed_total',
    'Messages that could not be understood.',
    each(({ malformed }) => malformed),
  );
  metrics.counter(
    'flowlogd_input_overruns_total',
    'Times that the socket buffer was full.',
    each(({ overruns }) => overruns),
  );
  metrics.counter(
    'flowlogd_input_kernel_drops_total',
    'Messages that the kernel could not deliver.',
    each(({ kernelDrops }) => kernelDrops),
  );
  metrics.counter(
    'flowlogd_input_lost_events_total',
    'Events lost in the kernel, by its own numbers (exact) or by estimate.',
    inputs.flatMap(
      ({ name, lost, lostEstimated }): Values => [
        [{ input: name, exact: 'true' }, lost],
        [{ input: name, exact: 'false' }, lostEstimated],
      ],
    ),
  );
  metrics.counter(
    'flowlogd_input_gaps_total',
    'Gaps that were reported to the outputs.',
    each(({ gaps }) => gaps),
  );
  metrics.gauge(
    'flowlogd_input_buffer_bytes',
    'Size of the socket buffer.',
    each(({ socket }) => socket?.bufferSize),
  );
  metrics.gauge(
    'flowlogd_input_buffer_used_bytes',
    'What of it waits to be read.',
    each(({ socket }) => socket?.queued),
  );
  metrics.gauge(
    'flowlogd_input_lag_seconds',
    'Time for which the input has not been able to read all that was there.',
    each(({ socket }) => (socket === undefined ? undefined : socket.lag / 1000)),
  );
  const stacks = inputs.flatMap(({ name, stacks }) => stacks.map((stack) => ({ input: name, ...stack })));
  metrics.counter(
    'flowlogd_filtered_events_total',
    'Events that a plugin let go no further.',
    stacks.flatMap(({ input, output, filtered }) => byName({ input, output }, 'plugin', filtered)),
  );
  metrics.counter(
    'flowlogd_failed_events_total',
    'Events in which a plugin failed.',
    stacks.flatMap(({ input, output, failed }) => byName({ input, output }, 'plugin', failed)),
  );
}

function addOutputs(metrics: Metrics, outputs: readonly OutputSnapshot[]): void {
  const each = (value: (output: OutputSnapshot) => number | undefined): Values =>
    outputs.map((output) => [{ output: output.name }, value(output)]);
  metrics.worst(
    Math.min,
    'flowlogd_output_up',
    '1 when the output runs, in all namespaces.',
    each(({ failure }) => (failure === undefined ? 1 : 0)),
  );
  metrics.worst(
    Math.min,
    'flowlogd_output_connected',
    '1 when the destination can be reached, from all namespaces.',
    each(({ connected }) => (connected === undefined ? undefined : Number(connected))),
  );
  metrics.counter(
    'flowlogd_output_taken_events_total',
    'Events that reached the output.',
    each(({ taken }) => taken),
  );
  metrics.counter(
    'flowlogd_output_written_events_total',
    'Events that have left for good.',
    each(({ written }) => written),
  );
  metrics.gauge(
    'flowlogd_output_queued_events',
    'Events that wait in memory.',
    each(({ queued }) => queued),
  );
  metrics.gauge(
    'flowlogd_output_spooled_events',
    'Events that wait on the disk.',
    each(({ spooled }) => spooled),
  );
  metrics.counter(
    'flowlogd_output_dropped_events_total',
    'Events given up.',
    outputs.flatMap(({ name, dropped }) => byName({ output: name }, 'reason', dropped)),
  );
  metrics.counter(
    'flowlogd_output_bytes_total',
    'Bytes written.',
    each((output) => output.bytes),
  );
  metrics.counter(
    'flowlogd_output_retries_total',
    'Attempts beyond the first.',
    each(({ retries }) => retries),
  );
  metrics.worst(
    Math.max,
    'flowlogd_output_lag_seconds',
    'Age of the oldest event that waits.',
    each(({ lag }) => (lag === undefined ? undefined : lag / 1000)),
  );
}

function addConntrack(metrics: Metrics, readings: readonly NamespaceReading[]): void {
  const each = (value: (reading: NamespaceReading) => number): Values =>
    readings.map((reading) => [{ namespace: reading.namespace }, value(reading)]);
  const eachProcessor = (value: (processor: ConntrackReading['processors'][number]) => number): Values =>
    readings.flatMap(({ namespace, processors }) =>
      processors.map((processor) => [{ namespace, cpu: processor.cpu }, value(processor)] as const),
    );
  metrics.gauge(
    'flowlogd_conntrack_entries',
    'Connections in the table.',
    each(({ entries }) => entries),
  );
  metrics.gauge(
    'flowlogd_conntrack_entries_limit',
    'Connections for which there is room.',
    each(({ limit }) => limit),
  );
  metrics.counter(
    'flowlogd_conntrack_insert_failed_total',
    'Connections that could not be entered into the table.',
    eachProcessor(({ insertFailed }) => insertFailed),
  );
  metrics.counter(
    'flowlogd_conntrack_drop_total',
    'Packets dropped because there was no room for their connection.',
    eachProcessor(({ dropped }) => dropped),
  );
  metrics.counter(
    'flowlogd_conntrack_early_drop_total',
    'Connections thrown out to make room for new ones.',
    eachProcessor(({ earlyDropped }) => earlyDropped),
  );
}

/** Under the names that Prometheus's own client libraries use. */
function addProcess(metrics: Metrics, { started }: Status): void {
  const { user, system } = process.cpuUsage();
  metrics.counter('process_cpu_seconds_total', 'Processor time, user and system.', [[{}, (user + system) / 1e6]]);
  metrics.gauge('process_resident_memory_bytes', 'Resident memory.', [[{}, process.memoryUsage.rss()]]);
  metrics.gauge('process_start_time_seconds', 'When the daemon was started, since 1970.', [
    [{}, Date.parse(started) / 1000],
  ]);
}

const byName = (labels: Labels, label: string, counts: Counts): Values =>
  Object.entries(counts).map(([name, count]) => [{ ...labels, [label]: name }, count]);
