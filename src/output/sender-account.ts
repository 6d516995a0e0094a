import type { SenderCounts } from '../delivery/sender.ts';
import type { OutputAccount } from '../pipeline/ledger.ts';

/** What became of the events of this process: those that an earlier one left in the spool are in `senderCounters`. */
export function senderAccount(sink: object, counts: SenderCounts, pending: number): OutputAccount {
  const { sent, queued, spooled, bytes, retries, connected, lag } = counts;
  return {
    sink,
    written: sent - counts.recoveredSent,
    queued: queued - counts.recoveredQueued + pending,
    spooled: spooled - counts.recoveredSpooled,
    dropped: {
      ...counts.dropped,
      refused: counts.dropped.refused - counts.recoveredRefused,
      'spool full': counts.dropped['spool full'] - lostOfRecovered(counts),
    },
    bytes,
    retries,
    connected,
    lag,
  };
}

/** What a sender counts besides events. */
export function senderCounters(counts: SenderCounts): { readonly [what: string]: number } {
  return {
    'sent again': counts.resent,
    'found in the spool at the start': counts.recovered,
    'damaged places in the spool': counts.damaged,
  };
}

/** Events that were in the spool at the start and are nowhere now: an earlier process had counted them as spooled. */
function lostOfRecovered(counts: SenderCounts): number {
  const { recovered, recoveredSent, recoveredRefused, recoveredSpooled, recoveredQueued } = counts;
  return recovered - recoveredSent - recoveredRefused - recoveredSpooled - recoveredQueued;
}
