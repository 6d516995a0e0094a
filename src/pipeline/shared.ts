/**
 * Things that several stages have in common, such as an open file, by name. Each is made for the first that uses it, and
 * lives until the last one leaves.
 */
export class Shared {
  readonly #entries = new Map<string, { readonly thing: unknown; users: number }>();

  /** The thing of this name. Every use ends with a `leave`. */
  use<T>(name: string, make: () => T): T {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = { thing: make(), users: 0 };
      this.#entries.set(name, entry);
    }
    entry.users++;
    return entry.thing as T;
  }

  /** Ends one use; true when it was the last, and the thing is to be closed. */
  leave(name: string): boolean {
    const entry = this.#entries.get(name);
    if (entry === undefined || --entry.users > 0) return false;
    this.#entries.delete(name);
    return true;
  }
}
