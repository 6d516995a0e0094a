// IPFIX read back, by nothing that wrote it.

/** Values by element (`8`, or `29305/85` of a vendor), as hex. */
export type Fields = Readonly<Record<string, string>>;

export interface IpfixRecord {
  readonly template: number;
  /** Of its message. */
  readonly sequence: number;
  readonly domain: number;
  readonly time: number;
  readonly fields: Fields;
}

export interface Decoded {
  readonly messages: readonly { readonly length: number; readonly sequence: number; readonly records: number }[];
  readonly records: readonly IpfixRecord[];
  /** Templates announced, by id, each as often as it was. */
  readonly announced: readonly number[];
}

interface Known {
  readonly elements: readonly { readonly name: string; readonly length: number }[];
}

/** Reads whole messages; throws at anything that RFC 7011 does not allow, such as a record without its template. */
export function decodeIpfix(bytes: Buffer, templates = new Map<number, Known>()): Decoded {
  const messages: { length: number; sequence: number; records: number }[] = [];
  const records: IpfixRecord[] = [];
  const announced: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.readUInt16BE(at) !== 10) throw new Error(`no message of IPFIX at ${at}`);
    const length = bytes.readUInt16BE(at + 2);
    const end = at + length;
    if (end > bytes.length) throw new Error(`half a message at ${at}`);
    const [time, sequence, domain] = [
      bytes.readUInt32BE(at + 4),
      bytes.readUInt32BE(at + 8),
      bytes.readUInt32BE(at + 12),
    ];
    const before = records.length;
    for (let set = at + 16; set < end; ) {
      const id = bytes.readUInt16BE(set);
      const setEnd = set + bytes.readUInt16BE(set + 2);
      if (setEnd > end || setEnd <= set + 4)
        throw new Error(`a set at ${set} ends at ${setEnd}, its message at ${end}`);
      let to = set + 4;
      if (id === 2 || id === 3) {
        while (to < setEnd) {
          const template = bytes.readUInt16BE(to);
          const count = bytes.readUInt16BE(to + 2);
          to += id === 3 ? 6 : 4;
          const elements = Array.from({ length: count }, () => {
            const field = bytes.readUInt16BE(to);
            const size = bytes.readUInt16BE(to + 2);
            to += 4;
            if (field < 0x8000) return { name: String(field), length: size };
            to += 4;
            return { name: `${bytes.readUInt32BE(to - 4)}/${field & 0x7fff}`, length: size };
          });
          templates.set(template, { elements });
          announced.push(template);
        }
      } else {
        const known = templates.get(id);
        if (!known) throw new Error(`records of template ${id}, which nothing announced`);
        while (to < setEnd) {
          const fields: Record<string, string> = {};
          for (const { name, length: size } of known.elements) {
            // A second field of the same element has a mark.
            fields[name in fields ? `${name}'` : name] = bytes.toString('hex', to, to + size);
            to += size;
          }
          records.push({ template: id, sequence, domain, time, fields });
        }
      }
      if (to !== setEnd) throw new Error(`the set at ${set} does not end with a record`);
      set = setEnd;
    }
    messages.push({ length, sequence, records: records.length - before });
    at = end;
  }
  return { messages, records, announced };
}
