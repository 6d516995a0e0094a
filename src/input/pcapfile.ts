import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { defineInput } from '../pipeline/plugin.ts';
import { ByteSource } from '../system/byte-source.ts';
import { BROKEN, CaptureFile, MORE } from '../wire/capture-file.ts';
import { CapturedPacketWriter } from './captured-packet.ts';
import { packetKeys } from './packet-keys.ts';

/** Bytes of the file that are looked at together: more than the longest packet (MAXIMUM_SNAPLEN of libpcap, 256 KiB). */
const ROOM = 1 << 20;

/** What all threads know together: files that are still read, and whether the end of the last one has ended the daemon. */
const UNREAD = 0;
const ENDING = 1;
const SHARED = 'flowlogd PCAPFILE';
// The main thread looks at every plugin before it starts another thread, which is given this.
if (getEnvironmentData(SHARED) === undefined) setEnvironmentData(SHARED, new SharedArrayBuffer(8));
const shared = new Int32Array(getEnvironmentData(SHARED) as unknown as SharedArrayBuffer);

/** Returned for milliseconds to wait: until a pipe has more. */
const NOTHING_NOW = -1;

/** PCAPFILE: packets that were captured before. */
export default defineInput({
  name: 'PCAPFILE',
  summary: 'Reads packets from a file of tcpdump or Wireshark (pcap, pcapng), as if rules logged them; needs no root.',
  gives: 'raw',
  example: 'stack=file1:PCAPFILE,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {
    file: {
      type: 'string',
      default: '',
      required: true,
      doc: 'File or pipe to read; link types NFLOG, Ethernet, raw IP and Linux cooked.',
    },
    pace: {
      type: 'choice',
      choices: ['now', 'original'],
      default: 'now',
      doc: 'Read as fast as outputs write, or with the pauses of the capture; times are those of the capture in both.',
    },
    prefix: { type: 'string', default: '', doc: 'Prefix of packets that were captured without one.' },
    exit: {
      type: 'bool',
      default: true,
      doc: 'End the daemon, as SIGTERM does, when every such file is read; 0 where other stacks are to go on.',
    },
    numeric_label: { type: 'int', default: 0, max: 255, doc: 'Label that every packet gets as raw.label.' },
  },
  writes: packetKeys,
  link({ id, options, write, record, memory, clock, log }, deliver) {
    const offset = memory.reserve(ROOM);
    const { bytes, view } = record;
    const capture = new CaptureFile();
    const writer = new CapturedPacketWriter(record, write, memory, options);
    let source: ByteSource | undefined;
    /** What lies in memory and was not handled yet. */
    let at = offset;
    let end = offset;
    /** Bytes of the file that were handled, for messages. */
    let done = 0;
    let turn: NodeJS.Immediate | undefined;
    let pause: NodeJS.Timeout | undefined;
    /** Milliseconds between the clock and the times of the capture. */
    let ahead: number | undefined;
    let unknown = 0;
    let alive: NodeJS.Timeout | undefined;
    let starved = false;
    let whenRead: (() => void) | undefined;

    /** Handles what one piece of the file holds, then lets others have their turn. */
    function readOn(): void {
      clock.update();
      const paused = handlePackets();
      deliver.batch();
      if (source === undefined) return endDaemon();
      starved = paused === NOTHING_NOW;
      if (starved) return;
      if (paused > 0) pause = setTimeout(readOn, Math.min(paused, 1 << 30));
      else turn = setImmediate(readOn);
    }

    /** Returns the milliseconds to wait before the next packet, or NOTHING_NOW. */
    function handlePackets(): number {
      for (;;) {
        const next = capture.next(view, at, end);
        if (next === BROKEN) {
          deliver.ledger.malformed++;
          log.error(`${id}:PCAPFILE: ${options.file}: no pcap or pcapng, or broken, at byte ${done}`);
          close();
          return 0;
        }
        if (next === MORE) {
          const count = fill();
          if (count === 0) close();
          return count < 0 ? NOTHING_NOW : 0;
        }
        if (capture.hasPacket) {
          const wait = waitBefore();
          if (wait > 0) return wait;
          onPacket();
        }
        done += next - at;
        at = next;
      }
    }

    function waitBefore(): number {
      if (options.pace === 'now') return 0;
      const { seconds, microseconds } = capture.packet;
      const captured = seconds * 1000 + microseconds / 1000;
      ahead ??= performance.now() - captured;
      return Math.ceil(captured + ahead - performance.now());
    }

    function onPacket(): void {
      if (writer.write(capture.packet, capture.littleEndian)) deliver.event();
      else {
        record.clear();
        deliver.ledger.malformed++;
        if (unknown++ === 0) {
          log.error(`${id}:PCAPFILE: ${options.file}: a packet of link type ${capture.packet.linkType} cannot be read`);
        }
      }
    }

    /** Reads more of the file behind what is left, as ByteSource.read does. */
    function fill(): number {
      bytes.copyWithin(offset, at, end);
      end -= at - offset;
      at = offset;
      const count = source?.read(bytes, end, offset + ROOM - end) ?? 0;
      end += Math.max(0, count);
      if (count === 0 && end > at) {
        deliver.ledger.malformed++;
        log.error(`${id}:PCAPFILE: ${options.file}: ends within a packet, at byte ${done}`);
      }
      return count;
    }

    function close(): void {
      if (source === undefined) return;
      source.close();
      source = undefined;
      clearImmediate(turn);
      clearTimeout(pause);
      Atomics.sub(shared, UNREAD, 1);
      log.info(`${id}:PCAPFILE: ${options.file}: read to byte ${done}`);
    }

    /** Ends the daemon in good order when no file is left to read. */
    function endDaemon(): void {
      whenRead?.();
      if (!options.exit || Atomics.load(shared, UNREAD) > 0) return;
      if (Atomics.exchange(shared, ENDING, 1) === 0) process.kill(process.pid, 'SIGTERM');
    }

    /** A pipe has more. */
    function onReadable(): void {
      if (starved && source !== undefined) readOn();
    }

    return {
      start() {
        try {
          source = new ByteSource(options.file, onReadable);
        } catch (error) {
          throw new Error(`cannot read ${options.file}: ${(error as Error).message}`);
        }
        Atomics.add(shared, UNREAD, 1);
        alive = setInterval(() => {}, 1 << 30); // a daemon that reads nothing but files goes on until it is told to end
        turn = setImmediate(readOn);
      },
      async stop() {
        // A file of another thread may have ended the daemon before this one was begun: it is read all the same.
        if (source !== undefined && Atomics.load(shared, ENDING) === 1) {
          await new Promise<void>((resolve) => {
            whenRead = resolve;
          });
        }
        close();
        clearInterval(alive);
      },
    };
  },
});
