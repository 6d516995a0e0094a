import type { OptionSpecs } from '../config/option.ts';
import type { SenderSettings } from './sender-settings.ts';

const MOST_BYTES = 2 ** 50;

/** The options of every output that delivers through a sender. */
export const deliveryOptions = {
  queue_max: {
    type: 'int',
    default: 8 << 20,
    min: 1 << 20,
    max: 1 << 30,
    unit: 'bytes',
    doc: 'Memory for events that the destination has not taken; beyond it they go to the spool, or are dropped and counted.',
  },
  spool: {
    type: 'string',
    path: 'folder',
    default: '',
    exclusive: 'a spool holds the events of one output',
    doc: 'Directory where events wait on disk while the destination is away or slow; empty for none. One output each.',
  },
  spool_max: {
    type: 'int',
    default: 1 << 30,
    min: 1 << 20,
    max: MOST_BYTES,
    unit: 'bytes',
    doc: 'Most that the spool may take on disk; beyond it the oldest events are dropped and counted.',
  },
  resend: {
    type: 'int',
    default: 256 << 10,
    max: 64 << 20,
    unit: 'bytes',
    doc: 'How much of what was sent last goes again after a reconnection, at the least: all of the last second does, because nobody knows whether the peer had read it; 0 sends nothing again.',
  },
  reconnect: {
    type: 'int',
    default: 10,
    min: 1,
    max: 3600,
    unit: 'seconds',
    doc: 'Longest time between two attempts to connect; the first ones follow each other faster.',
  },
  connect_timeout: {
    type: 'int',
    default: 10,
    min: 1,
    max: 3600,
    unit: 'seconds',
    doc: 'How long one attempt to connect may take.',
  },
  stop_timeout: {
    type: 'int',
    default: 5,
    max: 3600,
    unit: 'seconds',
    doc: 'How long to go on sending when the daemon ends; what is left then stays in the spool, or is dropped and counted.',
  },
} as const satisfies OptionSpecs;

const { resend: _, ...withoutResend } = deliveryOptions;
/** Those of a destination that says what it has, so that nothing is sent again in doubt. */
export const acknowledgedOptions = withoutResend;

/** The values of these options. */
export type DeliveryOptions = { readonly [Key in keyof typeof deliveryOptions]: Key extends 'spool' ? string : number };

/** The settings of a sender, in its units. */
export function senderSettings(options: DeliveryOptions): SenderSettings {
  return {
    spool: options.spool,
    spoolMax: options.spool_max,
    queueMax: options.queue_max,
    resend: options.resend,
    reconnect: options.reconnect * 1000,
    connectTimeout: options.connect_timeout * 1000,
  };
}
