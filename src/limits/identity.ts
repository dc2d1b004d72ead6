/** Whom an address stands for, so that nobody gets more by spelling or by numbering differently. */

import { isIPv4 } from 'node:net';
import { formatAddress, networkOf, parseAddress } from './address.ts';

/** Providers of access give a whole network of this size to one customer, who may use any address of it. */
const CUSTOMER_PREFIX = 64;

/**
 * The identity whose bucket pays for requests from this address: an IPv4 address itself, also where it is mapped
 * into IPv6; of an IPv6 address its network of 64 bits, as `2001:db8::/64`. What is no address is returned as it is.
 */
export function addressIdentity(ip: string): string {
  // There is one way to write it, and most are.
  if (isIPv4(ip)) return ip;
  const address = parseAddress(ip);
  if (address === null) return ip;
  if (address.length === 2) return formatAddress(address);
  return `${formatAddress(networkOf(address, CUSTOMER_PREFIX))}/${CUSTOMER_PREFIX}`;
}
