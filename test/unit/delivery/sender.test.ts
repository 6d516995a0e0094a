import { readdirSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Batch } from '../../../src/delivery/batch.ts';
import type { Destination, Progress } from '../../../src/delivery/destination.ts';
import { Sender, type SenderCounts } from '../../../src/delivery/sender.ts';
import type { SenderSettings } from '../../../src/delivery/sender-settings.ts';
import { folder, segmentsIn, textOf } from './folder.ts';

/** A destination that does as the test says. What arrived in a connection that fell may be lost: `keep` says how much is not. */
class TestDestination implements Destination {
  readonly name = 'test';
  readonly acknowledges: boolean;
  /** What the peer has got, over all connections. */
  readonly received: string[] = [];
  attempts = 0;
  room = Number.POSITIVE_INFINITY;
  progress: Progress | undefined;
  isFinished = false;

  constructor(acknowledges = false) {
    this.acknowledges = acknowledges;
  }

  connect(progress: Progress): void {
    this.attempts++;
    this.progress = progress;
  }

  send(batch: Batch): boolean {
    if (this.room <= 0) return false;
    this.room--;
    this.received.push(textOf(batch));
    return true;
  }

  finish(done: () => void): void {
    this.isFinished = true;
    done();
  }

  close(): void {}
}

const SETTINGS: SenderSettings = {
  spool: '',
  spoolMax: 64 << 20,
  queueMax: 1 << 20,
  resend: 0,
  reconnect: 1000,
  connectTimeout: 5000,
};
const log: string[] = [];
const senders: Sender[] = [];

beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  for (const sender of senders.splice(0)) await stopped(sender);
  vi.useRealTimers();
  log.length = 0;
});

function started(destination: Destination, settings: Partial<SenderSettings> = {}): Sender {
  const reports = { notice: (text: string) => void log.push(text), error: (text: string) => void log.push(text) };
  const sender = new Sender(destination, { ...SETTINGS, ...settings }, reports);
  sender.start();
  senders.push(sender);
  return sender;
}

async function stopped(sender: Sender, timeout = 0): Promise<void> {
  const done = sender.drain(timeout);
  await vi.advanceTimersByTimeAsync(timeout + 1);
  await done;
}

const push = (sender: Sender, ...texts: readonly string[]) => {
  for (const text of texts) sender.push(Buffer.from(text), 1);
};
const total = (counts: SenderCounts) => Object.values(counts.dropped).reduce((sum, count) => sum + count, 0);

function expectBalance(sender: Sender): void {
  const counts = sender.counts();
  const { pushed, recovered, sent, queued, spooled } = counts;
  expect(sent + queued + spooled + total(counts), JSON.stringify(counts)).toBe(pushed + recovered);
}

describe('a sender', () => {
  test('hands over at once while the connection stands', () => {
    const destination = new TestDestination();
    const sender = started(destination);
    destination.progress?.connected();
    push(sender, 'a', 'b');
    expect(destination.received).toEqual(['a', 'b']);
    expect(sender.counts()).toMatchObject({ pushed: 2, sent: 2, queued: 0, bytes: 2, lag: 0, connected: true });
  });

  test('keeps what comes before the first connection', () => {
    const destination = new TestDestination();
    const sender = started(destination);
    push(sender, 'a', 'b');
    vi.advanceTimersByTime(200);
    expect(sender.counts()).toMatchObject({ sent: 0, queued: 2, lag: 200, connected: false });
    destination.progress?.connected();
    expect(destination.received).toEqual(['a', 'b']);
  });

  test('goes on when there is room again, in order', () => {
    const destination = new TestDestination();
    const sender = started(destination);
    destination.room = 1;
    destination.progress?.connected();
    push(sender, 'a', 'b', 'c');
    expect(destination.received).toEqual(['a']);
    destination.room = 9;
    destination.progress?.ready();
    expect(destination.received).toEqual(['a', 'b', 'c']);
  });

  describe.each([false, true])('(acknowledging: %s)', (acknowledges) => {
    test('says once that a destination which is connected takes nothing, and when it has caught up', () => {
      const destination = new TestDestination(acknowledges);
      destination.room = 1;
      const sender = started(destination);
      destination.progress?.connected();
      push(sender, 'a', 'b');
      vi.advanceTimersByTime(20_000);
      expect(log).toEqual([
        'test: is connected and takes nothing; events wait in memory, and are dropped when it is full',
      ]);
      destination.room = 9;
      if (acknowledges) destination.progress?.acknowledged(1);
      destination.progress?.ready();
      if (acknowledges) destination.progress?.acknowledged(1);
      vi.advanceTimersByTime(20_000);
      expect(log.slice(1)).toEqual(['test: has caught up']);
    });

    test('says nothing of one that is slow and keeps up, or has nothing to take', () => {
      const destination = new TestDestination(acknowledges);
      const sender = started(destination);
      destination.progress?.connected();
      vi.advanceTimersByTime(20_000);
      for (let i = 0; i < 10; i++) {
        destination.room = 1;
        push(sender, 'a', 'b');
        vi.advanceTimersByTime(4000);
        destination.room = 9;
        destination.progress?.ready();
        if (acknowledges) destination.progress?.acknowledged(2);
      }
      expect(log).toEqual([]);
    });

    test('says once that it takes less than comes, when events are dropped, and not again between bursts', () => {
      const destination = new TestDestination(acknowledges);
      const sender = started(destination);
      destination.progress?.connected();
      destination.room = 0;
      const bytes = 'x'.repeat(100 << 10);
      for (let second = 0; second < 40; second++) {
        if (second % 12 === 0) for (let i = 0; i < 20; i++) push(sender, bytes);
        vi.advanceTimersByTime(1000);
        destination.room = 1;
        destination.progress?.ready();
        if (acknowledges) destination.progress?.acknowledged(1);
      }
      expect(total(sender.counts())).toBeGreaterThan(0);
      expect(log).toEqual(['test: takes less than comes; events are dropped until it has caught up']);
    });
  });

  test('lets others have their turn: not more than 16 batches in one', async () => {
    const destination = new TestDestination();
    const sender = started(destination);
    for (let i = 0; i < 40; i++) push(sender, String(i));
    destination.progress?.connected();
    expect(destination.received.length).toBe(16);
    await vi.advanceTimersByTimeAsync(1);
    expect(destination.received).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
  });

  test('without a spool drops what does not fit in memory, the newest, and counts it', () => {
    const sender = started(new TestDestination());
    const bytes = 'x'.repeat(100 << 10);
    for (let i = 0; i < 20; i++) push(sender, `${i} ${bytes}`);
    const { queued, dropped } = sender.counts();
    expect([queued, dropped['queue full']]).toEqual([10, 10]);
    expectBalance(sender);
  });

  test('sends the last bytes again after a reconnection, first, and counts them', () => {
    const destination = new TestDestination();
    const sender = started(destination, { resend: 1000 });
    destination.progress?.connected();
    const texts = Array.from({ length: 12 }, (_, i) => String(i).padEnd(500, '.'));
    push(sender, ...texts.slice(0, 11));
    vi.advanceTimersByTime(1000);
    push(sender, ...texts.slice(11));
    destination.progress?.closed('gone');
    push(sender, 'new');
    vi.advanceTimersByTime(100);
    destination.progress?.connected();
    const again = destination.received.slice(12);
    expect(again[again.length - 1]).toBe('new');
    expect(again.slice(0, -1)).toEqual(texts.slice(-again.length + 1));
    expect(again.length - 1).toBeGreaterThanOrEqual(2); // 1000 bytes
    expect(sender.counts()).toMatchObject({ pushed: 13, sent: 13, resent: again.length - 1, retries: 1 });
  });

  test('sends all of the last second again, in which the connection took bytes', () => {
    const destination = new TestDestination();
    const sender = started(destination, { resend: 1, queueMax: 2 << 20 });
    const again = () => {
      const before = destination.received.length;
      destination.progress?.closed('gone');
      vi.advanceTimersByTime(2000);
      destination.progress?.connected();
      return destination.received.slice(before);
    };
    destination.progress?.connected();
    push(sender, 'a');
    vi.advanceTimersByTime(999);
    push(sender, 'b');
    expect(again()).toEqual(['a', 'b']);
    vi.advanceTimersByTime(1000);
    push(sender, 'c');
    expect(again()).toEqual(['c']);
    destination.room = 0;
    push(sender, 'd');
    vi.advanceTimersByTime(60_000); // the peer reads nothing for a minute: what it holds gets no older by that
    destination.room = 9;
    destination.progress?.ready();
    expect(again()).toEqual(['c', 'd']);
  });

  test('says once that the peer is away, and once that it is back for good', () => {
    const destination = new TestDestination();
    const sender = started(destination);
    for (let i = 0; i < 5; i++) {
      destination.progress?.closed('refused');
      vi.advanceTimersByTime(1000);
      destination.progress?.connected();
    }
    expect(log).toEqual([
      'test: refused; events wait in memory, and are dropped when it is full until it is connected again',
    ]);
    vi.advanceTimersByTime(1000);
    expect(log.slice(1)).toEqual(['test: connected']);
    expect(sender.counts().retries).toBe(5);
  });

  test('gives up an attempt that takes too long, and hears no more of it', () => {
    const destination = new TestDestination();
    const sender = started(destination);
    const late = destination.progress;
    vi.advanceTimersByTime(5000);
    expect(log[0]).toContain('test: no connection within 5 s');
    vi.advanceTimersByTime(100);
    expect(destination.attempts).toBe(2);
    late?.connected();
    expect(sender.counts().connected).toBe(false);
  });

  test('keeps what is not acknowledged, and sends it again', () => {
    const destination = new TestDestination(true);
    const sender = started(destination);
    destination.progress?.connected();
    push(sender, 'a', 'b', 'c');
    destination.progress?.acknowledged(1);
    destination.progress?.closed('gone');
    vi.advanceTimersByTime(100);
    destination.progress?.connected();
    expect(destination.received).toEqual(['a', 'b', 'c', 'b', 'c']);
    expect(sender.counts()).toMatchObject({ sent: 1, queued: 2, resent: 2 });
  });

  test('does not run ahead of the acknowledgements without limit', () => {
    const destination = new TestDestination(true);
    const sender = started(destination, { queueMax: 8 << 20 });
    destination.progress?.connected();
    const bytes = 'x'.repeat(256 << 10);
    for (let i = 0; i < 10; i++) push(sender, bytes);
    expect(destination.received.length).toBeLessThanOrEqual(5);
    destination.progress?.acknowledged(2);
    expect(destination.received.length).toBeLessThanOrEqual(7);
    expect(destination.received.length).toBeGreaterThan(5 - 2);
  });

  test('counts what is refused for good, and goes on', () => {
    const destination = new TestDestination(true);
    const sender = started(destination);
    destination.progress?.connected();
    push(sender, 'bad', 'good');
    destination.progress?.refused(1);
    destination.progress?.acknowledged(1);
    expect(sender.counts()).toMatchObject({ sent: 1, dropped: { refused: 1 } });
    expectBalance(sender);
  });
});

describe('with a spool', () => {
  test('all moves to the disk while there is no connection, and comes back in order', () => {
    const directory = folder();
    const destination = new TestDestination();
    const sender = started(destination, { spool: directory });
    push(sender, 'a', 'b');
    expectBalance(sender);
    expect(segmentsIn(directory).length).toBe(1);
    destination.progress?.connected();
    push(sender, 'c');
    expect(destination.received).toEqual(['a', 'b', 'c']);
    expectBalance(sender);
  });

  test('a slow destination fills the memory first, then the disk', () => {
    const directory = folder();
    const destination = new TestDestination();
    const sender = started(destination, { spool: directory });
    destination.room = 0;
    destination.progress?.connected();
    const bytes = 'x'.repeat(100 << 10);
    const texts = Array.from({ length: 30 }, (_, i) => `${i} ${bytes}`);
    push(sender, ...texts.slice(0, 10));
    expect(sender.counts().spooled).toBe(0);
    push(sender, ...texts.slice(10));
    expect(sender.counts().spooled).toBeGreaterThan(15);
    expectBalance(sender);
    destination.room = Number.POSITIVE_INFINITY;
    destination.progress?.ready();
    vi.advanceTimersByTime(10);
    expect(destination.received).toEqual(texts);
  });

  test('what is not sent at the end is sent by the next process', async () => {
    const directory = folder();
    const first = started(new TestDestination(), { spool: directory });
    push(first, 'a', 'b', 'c');
    await stopped(first);
    expect(first.counts()).toMatchObject({ sent: 0, spooled: 3, queued: 0 });
    expectBalance(first);
    const destination = new TestDestination();
    const second = started(destination, { spool: directory });
    push(second, 'd');
    destination.progress?.connected();
    expect(destination.received).toEqual(['a', 'b', 'c', 'd']);
    expect(second.counts()).toMatchObject({ pushed: 1, recovered: 3, recoveredSent: 3, sent: 4 });
    await stopped(second, 100);
    expect(readdirSync(directory).sort()).toEqual(['lock', 'position']);
  });

  test('what an earlier process had spooled and the peer refuses counts apart from what is refused of this one', async () => {
    const directory = folder();
    const first = started(new TestDestination(), { spool: directory });
    push(first, 'a');
    await stopped(first);
    const destination = new TestDestination(true);
    const second = started(destination, { spool: directory });
    push(second, 'b');
    destination.progress?.connected();
    destination.progress?.refused(1);
    destination.progress?.refused(2 ** 32); // more than there are: all of it
    expect(second.counts()).toMatchObject({ recovered: 1, recoveredSent: 0, recoveredRefused: 1, sent: 0 });
    expect(second.counts().dropped.refused).toBe(2);
    expectBalance(second);
    await stopped(second);
  });

  test('what was sent to a peer that died is not missing after the end', async () => {
    const directory = folder();
    const dying = new TestDestination();
    const first = started(dying, { spool: directory, resend: 1 << 20 });
    dying.progress?.connected();
    push(first, 'a', 'b');
    dying.progress?.closed('reset');
    push(first, 'c');
    await stopped(first);
    const destination = new TestDestination();
    started(destination, { spool: directory });
    destination.progress?.connected();
    expect(destination.received.toSorted()).toEqual(['a', 'b', 'c']);
  });

  test('a spool that another holds is an error at the start', () => {
    const directory = folder();
    started(new TestDestination(), { spool: directory });
    const second = new Sender(new TestDestination(), { ...SETTINGS, spool: directory }, { notice() {}, error() {} });
    expect(() => second.start()).toThrow('in use by another output');
  });
});

describe('at the end', () => {
  test('what is queued is sent, and the peer is told that it is the end', async () => {
    const destination = new TestDestination();
    const sender = started(destination);
    push(sender, 'a');
    const ended = sender.drain(1000);
    destination.progress?.connected();
    await ended;
    expect([destination.received, destination.isFinished]).toEqual([['a'], true]);
  });

  test('what cannot be sent in time is dropped and counted, and so is what comes later', async () => {
    const destination = new TestDestination();
    const sender = started(destination);
    push(sender, 'a', 'b');
    await stopped(sender, 1000);
    push(sender, 'c');
    expect(sender.counts()).toMatchObject({ sent: 0, queued: 0, dropped: { stopped: 3 } });
    expectBalance(sender);
  });

  test('with the peer away there is one more attempt', async () => {
    const destination = new TestDestination();
    const sender = started(destination);
    push(sender, 'a');
    destination.progress?.closed('refused');
    const ended = sender.drain(1000);
    expect(destination.attempts).toBe(2);
    destination.progress?.closed('refused');
    await ended;
    expect(sender.counts().dropped.stopped).toBe(1);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(destination.attempts).toBe(2);
  });

  test('ending twice is ending once', async () => {
    const sender = started(new TestDestination());
    expect(sender.drain(0)).toBe(sender.drain(0));
    await stopped(sender);
  });
});

test('whatever happens, events arrive in order, none is lost while there is room, and the books balance', {
  timeout: 60_000,
}, async () => {
  const action = fc.oneof(
    { weight: 8, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 40_000 }) }) },
    { weight: 3, arbitrary: fc.record({ room: fc.nat(6) }) },
    { weight: 2, arbitrary: fc.constantFrom('connected', 'closed', 'wait', 'restart', 'counts') },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 80 }),
      fc.boolean(),
      fc.boolean(),
      async (actions, acknowledges, spooling) => {
        const settings = { spool: spooling ? folder() : '', queueMax: spooling ? 1 << 20 : 8 << 20, resend: 100_000 };
        let destination = new TestDestination(acknowledges);
        let sender = started(destination, settings);
        const arrived: string[][] = [destination.received];
        let up = false;
        let fallen: Progress | undefined;
        let count = 0;
        for (const one of actions) {
          if (typeof one === 'object' && 'push' in one) push(sender, `${count++} `.padEnd(one.push, '.'));
          else if (typeof one === 'object') {
            destination.room = one.room;
            if (up && one.room > 0) destination.progress?.ready();
          } else if (one === 'connected' && !up && destination.progress !== fallen) {
            up = true;
            destination.progress?.connected();
          } else if (one === 'closed' && up) {
            up = false;
            fallen = destination.progress;
            destination.progress?.closed('gone');
          } else if (one === 'wait') await vi.advanceTimersByTimeAsync(1000);
          else if (one === 'restart' && spooling) {
            await stopped(sender);
            expectBalance(sender);
            expect(total(sender.counts())).toBe(0);
            destination = new TestDestination(acknowledges);
            arrived.push(destination.received);
            sender = started(destination, settings);
            up = false;
          }
          expectBalance(sender);
        }
        destination.room = Number.POSITIVE_INFINITY;
        if (up) destination.progress?.ready();
        // An attempt may have timed out a moment ago: then the next one is it.
        while (!sender.counts().connected) {
          await vi.advanceTimersByTimeAsync(1001);
          destination.progress?.connected();
        }
        await vi.advanceTimersByTimeAsync(100);
        expectBalance(sender);
        const numbers = arrived.flat().map((text) => Number.parseInt(text, 10));
        expect(new Set(numbers).size).toBe(count);
        // In order: each number is met for the first time only after all smaller ones, unless a restart sent some again.
        const firsts = numbers.filter((number, at) => numbers.indexOf(number) === at);
        if (arrived.length === 1) expect(firsts).toEqual(Array.from({ length: count }, (_, i) => i));
        await stopped(sender, 100);
      },
    ),
    // The attempt to connect times out as the last event is pushed.
    { numRuns: 150, examples: [[['wait', 'wait', 'wait', 'wait', { push: 1 }], false, false]] },
  );
});
