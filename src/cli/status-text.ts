import type { Counts, InputSnapshot, OutputSnapshot } from '../pipeline/snapshot.ts';
import type { Status } from './daemon-status.ts';

/** What `flowlogd status` prints: for people, at a glance. */
export function statusText(status: Status): string {
  const { inputs, outputs } = status;
  return [
    headline(status),
    verdict(status),
    '',
    ...table(INPUT_COLUMNS, inputs, inputDetails),
    '',
    ...table(OUTPUT_COLUMNS, outputs, outputDetails),
    ...pastLines(status),
    ...status.imbalances.map((fault) => `\nThe ledger does not balance: ${fault}.`),
    '',
  ].join('\n');
}

function headline({ version, pid, state, uptime, configuration, threads }: Status): string {
  const busy = threads.map(({ busy }) => `${Math.round(busy * 100)} %`).join(', ');
  return `flowlogd ${version}, process ${pid}, ${state} for ${duration(uptime)}, ${threads.length > 1 ? `threads ${busy} busy` : `${busy} busy`}, ${configuration}`;
}

function verdict({ intact, missing, inputs }: Status): string {
  if (intact) return 'Nothing was lost since the start.';
  const estimated = inputs.some(({ lostEstimated }) => lostEstimated > 0) ? 'about ' : '';
  if (missing > 0) return `Since the start ${estimated}${grouped(missing)} events were lost: see below.`;
  return 'Not all is well: see below.';
}

function pastLines({ past }: Status): string[] {
  if (past.inputs === 0) return [];
  const { events, malformed, overruns, failed, dropped } = past;
  const what = { lost: past.lost + past.lostEstimated, malformed, overruns, failed, dropped };
  const found = each(what, (name, count) => `${count} ${name}`);
  return ['', [`Inputs that are gone: ${past.inputs}`, `${grouped(events)} events`, ...found].join(', ')];
}

interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
}

const INPUT_COLUMNS: readonly Column<InputSnapshot>[] = [
  { title: 'INPUT', cell: ({ name }) => name },
  { title: 'EVENTS/S', cell: ({ rate }) => perSecond(rate) },
  { title: 'EVENTS', cell: ({ events }) => grouped(events) },
  {
    title: 'LOST',
    cell: ({ lost, lostEstimated }) => `${lostEstimated > 0 ? '~' : ''}${grouped(lost + lostEstimated)}`,
  },
  { title: 'MALFORMED', cell: ({ malformed }) => grouped(malformed) },
  { title: 'OVERRUNS', cell: ({ overruns }) => grouped(overruns) },
  { title: 'DATAGRAMS', cell: ({ datagrams }) => grouped(datagrams) },
  { title: 'DROPPED', cell: ({ kernelDrops }) => grouped(kernelDrops) },
  {
    title: 'BUFFER',
    cell: ({ socket }) => (socket ? `${share(socket.queued, socket.bufferSize)} of ${bytes(socket.bufferSize)}` : '-'),
  },
  { title: 'LAG', cell: ({ socket }) => (socket ? milliseconds(socket.lag) : '-') },
];

const OUTPUT_COLUMNS: readonly Column<OutputSnapshot>[] = [
  { title: 'OUTPUT', cell: ({ name }) => name },
  { title: 'WRITTEN/S', cell: ({ rate }) => perSecond(rate) },
  { title: 'WRITTEN', cell: ({ written }) => grouped(written) },
  { title: 'QUEUED', cell: ({ queued }) => grouped(queued) },
  { title: 'SPOOLED', cell: ({ spooled }) => grouped(spooled) },
  { title: 'DROPPED', cell: ({ dropped }) => grouped(Object.values(dropped).reduce((sum, count) => sum + count, 0)) },
  { title: 'BYTES', cell: (output) => bytes(output.bytes) },
  { title: 'RETRIES', cell: ({ retries }) => grouped(retries) },
  { title: 'LAG', cell: ({ lag }) => (lag === undefined ? '-' : milliseconds(lag)) },
  { title: 'CONNECTED', cell: ({ connected }) => (connected === undefined ? '-' : connected ? 'yes' : 'NO') },
];

function inputDetails({ namespace, failure, counters, stacks }: InputSnapshot): string[] {
  return [
    ...(namespace === undefined ? [] : [`in ${namespace}`]),
    ...(failure === undefined ? [] : [`DOES NOT RUN: ${failure}`]),
    ...each(counters, (what, count) => `${count} ${what}`),
    ...stacks.flatMap(({ output, filtered, failed }) => [
      ...each(filtered, (plugin, count) => `to ${output}: ${count} stopped by ${plugin}`),
      ...each(failed, (plugin, count) => `to ${output}: ${count} FAILED in ${plugin}`),
    ]),
  ];
}

function outputDetails({ failure, dropped, counters }: OutputSnapshot): string[] {
  return [
    ...(failure === undefined ? [] : [`DOES NOT RUN: ${failure}`]),
    ...each(dropped, (reason, count) => `${count} dropped: ${reason}`),
    ...each(counters, (what, count) => `${count} ${what}`),
  ];
}

const each = (counts: Counts, say: (name: string, count: string) => string): string[] =>
  Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [say(name, grouped(count))] : []));

/** Rows under their titles, the first column to the left, the others to the right; details below their row. */
function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], details: (row: Row) => string[]): string[] {
  const cells = [columns.map(({ title }) => title), ...rows.map((row) => columns.map(({ cell }) => cell(row)))];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => (row[column] as string).length)));
  const lines = cells.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join('  '),
  );
  return lines.flatMap((line, i) => [
    line,
    ...(i === 0 ? [] : details(rows[i - 1] as Row).map((text) => `    ${text}`)),
  ]);
}

/** 1234567 as 1 234 567. */
const grouped = (count: number): string => String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ' ');

const perSecond = (rate: number): string => (rate > 0 && rate < 10 ? rate.toFixed(1) : grouped(rate));

const share = (part: number, whole: number): string => `${Math.round((part * 100) / Math.max(whole, 1))} %`;

const milliseconds = (ms: number): string => (ms < 10_000 ? `${Math.round(ms)} ms` : `${grouped(ms / 1000)} s`);

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

function bytes(count: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), UNITS.length - 1);
  const value = count / 1024 ** power;
  return `${power > 0 && value < 100 ? value.toFixed(1) : Math.round(value)} ${UNITS[power]}`;
}

function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  const pad = (part: number) => String(part).padStart(2, '0');
  const days = Math.floor(whole / 86_400);
  const time = `${pad(Math.floor(whole / 3600) % 24)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return days > 0 ? `${days} d ${time}` : time;
}
