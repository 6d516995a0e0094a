/** What a key holds. Text (`string`, `rawstr`) is bytes, not a JavaScript string; `ip` is 4 or 16 bytes. */
export type KeyType = 'bool' | 'u8' | 'u16' | 'u32' | 'u64' | 'ip' | 'string' | 'rawstr' | 'raw';

/** A key that a plugin writes: declared once, by its writer. */
export interface KeySpec {
  readonly type: KeyType;
  /** One sentence for people. */
  readonly doc: string;
  /** IPFIX information element; vendor 0 (IANA) unless named. ulogd's own elements are vendor 21373 (Netfilter). */
  readonly ipfix?: { readonly vendor?: number; readonly field: number };
  /** Name in the Common Information Model, which JSON uses instead of the key's own. */
  readonly cim?: string;
  /** The text is printable ASCII without quotes or backslashes, so renderers need not look for bytes to escape. */
  readonly plain?: true;
}

/** A key that a plugin reads. Its documentation is the writer's. */
export interface ReadSpec {
  readonly type: KeyType;
  /** The plugin works without it: no upstream plugin need write it. */
  readonly optional?: true;
}

/** Whether a slot of this type points to bytes; otherwise it holds a number. */
export const isBytes = ({ type }: KeySpec): boolean =>
  type === 'ip' || type === 'string' || type === 'rawstr' || type === 'raw';

export type KeySpecs = Readonly<Record<string, KeySpec>>;
export type ReadSpecs = Readonly<Record<string, ReadSpec>>;
