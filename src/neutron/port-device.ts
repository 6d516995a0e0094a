/** Neutron cuts a port's id to this in the names of its devices (LINUX_DEV_LEN, 14). */
export const PORT_PREFIX_LENGTH = 11;

/**
 * Devices that are named for a port: of a router's inside, its gateway, its inside at the SNAT node, its high availability, the
 * gateway of a floating-IP namespace, and those of DHCP. `rfp-` and `fpr-` have a part of the router's id.
 */
const PORT_DEVICE = /^(?:qr-|qg-|sg-|ha-|fg-|tap|ns-)[\da-f]{8}-[\da-f]{2}$/;

/** Where the port's id begins in the name of such a device; -1 for any other. */
export function portPrefixAt(name: Uint8Array): number {
  return PORT_DEVICE.test(Buffer.from(name).toString('latin1')) ? name.length - PORT_PREFIX_LENGTH : -1;
}
