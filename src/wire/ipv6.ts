import {
  IPPROTO_AH,
  IPPROTO_DSTOPTS,
  IPPROTO_ESP,
  IPPROTO_FRAGMENT,
  IPPROTO_HOPOPTS,
  IPPROTO_ROUTING,
  IPV6_HEADER,
} from './ip.ts';

/** What walkExtensionHeaders finds behind an IPv6 header. */
export class Ipv6Chain {
  /** First header that is no extension header: the transport protocol. */
  protocol = 0;
  /** Where that header begins. */
  offset = 0;
  /** There is a fragment header. */
  fragmented = false;
  /** Bytes of the original packet before this fragment; where it is not 0, `offset` is in the middle of something. */
  fragmentOffset = 0;
  fragmentId = 0;
  /** This is not the first fragment: no transport header follows. */
  later = false;
  /** There is an authentication header. */
  authenticated = false;
  spi = 0;
}

/**
 * Walks from the IPv6 header at `start`, whose 40 bytes must be there, to the transport header, or to the end of the
 * headers of a later fragment. False when the packet ends before an extension header does: `protocol` is then unknown.
 * `compat` takes the payload of a later fragment for headers where ulogd 2.0.8 does.
 */
export function walkExtensionHeaders(
  view: DataView,
  start: number,
  end: number,
  into: Ipv6Chain,
  compat = false,
): boolean {
  into.fragmented = false;
  into.fragmentOffset = 0;
  into.later = false;
  into.authenticated = false;
  let protocol = view.getUint8(start + 6);
  let at = start + IPV6_HEADER;
  for (;;) {
    let size: number;
    switch (protocol) {
      case IPPROTO_HOPOPTS:
      case IPPROTO_ROUTING:
      case IPPROTO_DSTOPTS:
        if (end - at < 8) return false;
        size = (view.getUint8(at + 1) + 1) << 3;
        break;
      case IPPROTO_FRAGMENT:
        if (end - at < 8) return false;
        size = 8;
        into.fragmented = true;
        into.fragmentOffset = view.getUint16(at + 2) & 0xfff8;
        into.fragmentId = view.getUint32(at + 4);
        into.later ||= into.fragmentOffset !== 0;
        break;
      case IPPROTO_AH:
        if (end - at < 8) return false;
        size = (view.getUint8(at + 1) + 2) << 2; // RFC 4302: in words, less two
        into.authenticated = true;
        into.spi = view.getUint32(at + 4);
        break;
      default:
        into.protocol = protocol;
        into.offset = at;
        return true;
    }
    if (size > end - at) return false;
    protocol = view.getUint8(at);
    at += size;
    if (!into.later || (compat && protocol === IPPROTO_FRAGMENT)) continue;
    into.protocol = protocol;
    into.offset = at;
    // ulogd 2.0.8 wants to see two bytes of what it takes for another extension header, and then lets it be.
    return !compat || !isExtension(protocol) || end - at >= 2;
  }
}

/** Extension headers by ulogd 2.0.8's reckoning, ESP among them. */
const isExtension = (protocol: number): boolean =>
  protocol === IPPROTO_HOPOPTS ||
  protocol === IPPROTO_ROUTING ||
  protocol === IPPROTO_DSTOPTS ||
  protocol === IPPROTO_AH ||
  protocol === IPPROTO_ESP;
