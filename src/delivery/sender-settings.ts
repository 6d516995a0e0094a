/** What the options of delivery say (`options.ts`). */
export interface SenderSettings {
  /** Directory of the spool; empty for none. */
  readonly spool: string;
  /** Bytes on disk. */
  readonly spoolMax: number;
  /** Bytes in memory. */
  readonly queueMax: number;
  /** Bytes that go again after a reconnection. */
  readonly resend: number;
  /** Longest delay between two attempts to connect, in milliseconds. */
  readonly reconnect: number;
  /** How long one attempt may take, in milliseconds. */
  readonly connectTimeout: number;
}
