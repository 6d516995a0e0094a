import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { beginRequest } from '../../../src/wire/nfnetlink.ts';
import { decodeLogRule } from '../../../src/wire/nft-log-rule.ts';
import { NFT_MSG_NEWRULE } from '../../../src/wire/nftables.ts';

const NUMBER = '12823226497704342389';
const padded = (text: string, size: number) => Uint8Array.from({ length: size }, (_, i) => text.charCodeAt(i) || 0);

type Part = (rule: MessageBuilder) => MessageBuilder;
const expression =
  (name: string, data: Part): Part =>
  (rule) =>
    data(rule.nest(1).string(1, name).nest(2)).end().end();
const meta = (key: number) => expression('meta', (data) => data.be32(1, 1).be32(2, key));
const compare = (value: Uint8Array, operation = 0) =>
  expression('cmp', (data) => data.be32(1, 1).be32(2, operation).nest(3).bytes(1, value).end());
const log = expression('log', (data) => data.be16(1, 0).string(2, NUMBER));
const target = (name: string) =>
  expression('target', (data) =>
    data
      .string(1, name)
      .be32(2, 0)
      .bytes(3, Uint8Array.of(...new Uint8Array(12), ...padded(NUMBER, 64))),
  );
const limit = expression('limit', (data) => data.be32(2, 100));

/** As the kernel sends it: the chain's name in attribute 2, the expressions in 4. */
function ruleOf(...parts: readonly Part[]): Uint8Array {
  const rule = beginRequest(new MessageBuilder(), NFT_MSG_NEWRULE, 0, 1, 2)
    .string(1, 'filter')
    .string(2, 'neutron-l3-agent-dropped')
    .nest(4);
  return parts
    .reduce((sum, part) => part(sum), rule)
    .end()
    .finish();
}
const decode = (bytes: Uint8Array) =>
  decodeLogRule(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);

const IN = 6;
const OUT = 7;
const DEVICE = padded('qr-9882c485-b8', 16);
const FOUND = { chain: 'neutron-l3-agent-dropped', prefix: NUMBER, device: 'qr-9882c485-b8' };

describe('a rule that logs', () => {
  test('with the expression of nf_tables, for what comes in or goes out by an interface', () => {
    expect(decode(ruleOf(meta(IN), compare(DEVICE), limit, log))).toEqual(FOUND);
    expect(decode(ruleOf(meta(OUT), compare(DEVICE), limit, log))).toEqual(FOUND);
  });

  test('with the target of xtables, as older iptables writes it', () => {
    expect(decode(ruleOf(meta(IN), compare(DEVICE), limit, target('NFLOG')))).toEqual(FOUND);
    expect(decode(ruleOf(target('LOG')))).toBeUndefined();
  });

  test('names no interface when it compares something else, or for difference', () => {
    expect(decode(ruleOf(meta(4), compare(DEVICE), log))).toEqual({ ...FOUND, device: undefined });
    expect(decode(ruleOf(meta(IN), compare(DEVICE, 1), log))).toEqual({ ...FOUND, device: undefined });
    expect(decode(ruleOf(meta(IN), limit, compare(DEVICE), log))).toEqual({ ...FOUND, device: undefined });
  });

  test('a rule that does not is none', () => {
    expect(decode(ruleOf(meta(IN), compare(DEVICE), limit))).toBeUndefined();
    expect(decode(ruleOf())).toBeUndefined();
  });

  test('damaged in any way throws nothing', () => {
    const whole = ruleOf(meta(IN), compare(DEVICE), limit, log, target('NFLOG'));
    const damage = fc.array(fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) }), { maxLength: 6 });
    fc.assert(
      fc.property(damage, fc.nat({ max: whole.length }), (changes, length) => {
        const bytes = whole.slice(0, length);
        for (const { at, value } of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
        if (bytes.length >= 20) decode(bytes);
      }),
      { numRuns: 3000 },
    );
  });
});
