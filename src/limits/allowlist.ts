/**
 * The allowlist: addresses and networks that the limiter lets pass. Holds what it is given; where entries are kept
 * and how replicas learn of a change is not its business.
 */

import { BlockList } from 'node:net';
import { bitLength, formatAddress, networkOf, parseAddress } from './address.ts';

export interface Allowlist {
  /** Whether the address, in any spelling, is one of an entry that has not expired. False for what is none. */
  has(ip: string): boolean;
  /** Puts these entries in the place of all others. Throws, and changes nothing, if one of them is no network. */
  replace(entries: readonly AllowlistEntry[]): void;
}

export interface AllowlistEntry {
  /** An address or a network, as `parseNetwork` reads it. */
  network: string;
  /** Milliseconds since the epoch, from which on it lets nobody pass; null if it stays. */
  expiresAt: number | null;
}

/** The networks of entries of one moment. */
interface Matcher {
  /** Apart, because a list of both takes `::/0` for all of IPv4 as well. */
  ipv4: BlockList;
  ipv6: BlockList;
  /** When the next entry expires, so that it has to be made anew; Infinity for never. */
  validUntil: number;
}

const PREFIX = /^(?:0|[1-9]\d{0,2})$/;

/**
 * @param entries throws if one of them is no network
 * @param now milliseconds since the epoch
 */
export function createAllowlist(entries: readonly AllowlistEntry[], now: () => number = Date.now): Allowlist {
  let current = entries;
  let matcher = createMatcher(entries, now());
  return { has, replace };

  function has(ip: string): boolean {
    if (current.length === 0) return false;
    const address = parseAddress(ip);
    if (address === null) return false;
    const time = now();
    if (time >= matcher.validUntil) matcher = createMatcher(current, time);
    const text = formatAddress(address);
    return address.length === 2 ? matcher.ipv4.check(text, 'ipv4') : matcher.ipv6.check(text, 'ipv6');
  }

  function replace(replacement: readonly AllowlistEntry[]): void {
    matcher = createMatcher(replacement, now());
    current = [...replacement];
  }
}

/**
 * An address or network in its canonical spelling: `10.0.0.0/8`, `2001:db8::/32`, `10.0.0.1`. Bits of the host are
 * cleared, what is mapped into IPv6 becomes IPv4, and a network of one address is written as the address. Null if
 * the text is neither.
 */
export function parseNetwork(text: string): string | null {
  const [host = '', prefixText, ...rest] = text.split('/');
  const address = parseAddress(host);
  if (address === null || rest.length > 0) return null;
  if (prefixText === undefined) return formatAddress(address);
  if (!PREFIX.test(prefixText)) return null;
  const bits = bitLength(address);
  // The prefix counts the bits that were written: those of a mapped address begin with 96 that are no IPv4.
  const prefix = Number(prefixText) - (host.includes(':') && bits === 32 ? 96 : 0);
  if (prefix < 0 || prefix > bits) return null;
  const network = formatAddress(networkOf(address, prefix));
  return prefix === bits ? network : `${network}/${prefix}`;
}

function createMatcher(entries: readonly AllowlistEntry[], time: number): Matcher {
  const matcher = { ipv4: new BlockList(), ipv6: new BlockList(), validUntil: Infinity };
  for (const { network, expiresAt } of entries) {
    const [address = '', prefix] = networkParts(network);
    if (expiresAt !== null && expiresAt <= time) continue;
    if (expiresAt !== null) matcher.validUntil = Math.min(matcher.validUntil, expiresAt);
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    if (prefix === undefined) matcher[family].addAddress(address, family);
    else matcher[family].addSubnet(address, Number(prefix), family);
  }
  return matcher;
}

function networkParts(text: string): string[] {
  const network = parseNetwork(text);
  if (network === null) throw new Error(`${JSON.stringify(text)} is neither an address nor a network.`);
  return network.split('/');
}
