import type { KeySpec } from '../pipeline/key.ts';
import { namespaceKeys, namespaceOptions } from '../pipeline/namespace.ts';
import { defineInput } from '../pipeline/plugin.ts';
import { Router } from '../router/router.ts';
import { IP_TEXT_ROOM, writeIp } from '../wire/ip-text.ts';

const text = (doc: string) => ({ type: 'string', plain: true, doc }) as const satisfies KeySpec;

/** FIP: which floating address is whose, from when to when. */
export default defineInput({
  name: 'FIP',
  summary:
    "Tells which floating address stands for which fixed one: all at start, then every change of the router's rules.",
  gives: 'notice',
  example: 'stack=fip1:FIP,json1:JSON',
  options: { ...namespaceOptions },
  constants: namespaceKeys,
  writes: {
    'oob.time.sec': { type: 'u32', doc: 'Time of the change, or of the start, in seconds since 1970.' },
    'oob.time.usec': { type: 'u32', doc: 'Microseconds beyond oob.time.sec.' },
    'flowlogd.event': text('What happened: fip-map or fip-unmap.'),
    'nat.floating_ip': text('The floating address.'),
    'nat.fixed_ip': text('The address that it stands for, or stood.'),
    'fip.initial': { type: 'bool', doc: '1 where the mapping was there already when flowlogd began to look.' },
    'fip.since.sec': {
      type: 'u32',
      doc: 'Begin of a mapping that has ended, in seconds since 1970, if flowlogd saw it.',
    },
  },
  link({ id, write, record, memory, clock, log, namespace }, deliver) {
    const router = Router.of(namespace);
    const { floating } = router;
    const words = memory.reserve(16);
    const floatingAt = memory.reserve(IP_TEXT_ROOM);
    const fixedAt = memory.reserve(IP_TEXT_ROOM);
    memory.bytes.set(Buffer.from('fip-mapfip-unmap'), words);
    let starting = false;

    function setAddress(slot: number, at: number, from: number, length: number): void {
      record.setBytes(slot, at, writeIp(record.bytes, at, floating.bytes, from, length) - at);
    }

    function onMapping(entry: number, holds: boolean, time: number): void {
      if (starting) clock.update();
      record.setNumber(write['oob.time.sec'], starting ? clock.seconds : Math.floor(time / 1000));
      record.setNumber(write['oob.time.usec'], starting ? clock.microseconds : Math.floor((time % 1000) * 1000));
      record.setBytes(write['flowlogd.event'], holds ? words : words + 7, holds ? 7 : 9);
      const length = floating.lengthOf(entry);
      setAddress(write['nat.floating_ip'], floatingAt, floating.floatingAt(entry), length);
      setAddress(write['nat.fixed_ip'], fixedAt, floating.fixedAt(entry), length);
      if (starting) record.setNumber(write['fip.initial'], 1);
      const since = floating.since(entry);
      if (!holds && since > 0) record.setNumber(write['fip.since.sec'], Math.floor(since / 1000));
      deliver.event();
      if (!starting) deliver.batch();
    }

    return {
      async start() {
        await router.open(onMapping, (message) => log.error(`${id}:FIP: ${message}`));
        if (router.rulesRefused) throw new Error('may not read the NAT rules, which takes CAP_NET_ADMIN');
        starting = true;
        router.listen(onMapping);
        starting = false;
        deliver.batch();
        log.info(`${id}:FIP: ${floating.size} floating addresses`);
      },
      counters: () => ({ 'floating addresses now': floating.size }),
      stop(isGone = false) {
        // When we end, the mappings do not; when the router does, they do.
        if (isGone) router.end();
        router.ignore(onMapping);
        router.close(onMapping);
      },
    };
  },
});
