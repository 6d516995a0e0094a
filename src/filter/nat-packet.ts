import type { Record } from '../pipeline/record.ts';
import type { Router } from '../router/router.ts';

/** The mapping that a packet belongs to at `time` (ms since 1970), as an entry of `FloatingIps`; 0 when it belongs to none. */
export function mappingOf(
  { view, value, extra, valid }: Record,
  { floating }: Router,
  source: number,
  target: number,
  time: number,
): number {
  if (valid[source] !== 1 || valid[target] !== 1) return 0;
  const length = extra[source]!;
  // Inside the router a packet has the fixed address; before DNAT and behind SNAT it has the floating one.
  return (
    floating.ofFixed(view, value[source]!, length, time) ||
    floating.ofFixed(view, value[target]!, length, time) ||
    floating.ofFloatingAt(view, value[source]!, length, time) ||
    floating.ofFloatingAt(view, value[target]!, length, time)
  );
}
