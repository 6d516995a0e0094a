import { parseIp } from './ip-text.ts';

/** A DNAT rule for one address, as iptables-save prints it. */
export interface SavedTranslation {
  readonly external: Uint8Array;
  readonly internal: Uint8Array;
  /** It holds for every protocol and port, and to one address alone. */
  readonly whole: boolean;
}

/** Conditions that leave an address whole: where a packet comes from, and what people write about the rule. */
const HARMLESS = new Set(['-i', '-o', '-d', '-j', '--to-destination', '--comment', '--random', '--persistent']);

/** The DNAT rules for single addresses in what iptables-save or ip6tables-save printed. Lines that are nothing of the kind are skipped. */
export function parseSavedTranslations(text: string): SavedTranslation[] {
  return text.split('\n').flatMap((line) => {
    if (!line.startsWith('-A ') || !line.includes(' -j DNAT ')) return [];
    const words = line
      .replace(/"(?:[^"\\]|\\.)*"/g, 'text')
      .split(' ')
      .slice(2);
    const [address = '', prefix] = (after(words, '-d') ?? '').split('/');
    const external = parseIp(address);
    const target = after(words, '--to-destination') ?? '';
    const internal = parseIp(target) ?? parseIp(target.replace(/^\[?(.*?)\]?(:[\d/-]+)?$/, '$1'));
    const single = external !== undefined && (prefix === undefined || Number(prefix) === 8 * external.length);
    if (!single || external.length !== internal?.length) return [];
    const whole =
      parseIp(target) !== undefined &&
      words.every(
        (word, i) => !word.startsWith('-') || HARMLESS.has(word) || (word === '-m' && words[i + 1] === 'comment'),
      ) &&
      !words.includes('!');
    return [{ external, internal, whole }];
  });
}

function after(words: readonly string[], option: string): string | undefined {
  const at = words.indexOf(option);
  return at < 0 || words[at - 1] === '!' ? undefined : words[at + 1];
}
