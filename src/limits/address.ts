/**
 * IP addresses as numbers: read from any spelling, cut to a network, written in one. An IPv6 address that stands for
 * an IPv4 address (`::ffff:10.0.0.1`) is that IPv4 address. Zone ids are no part of an address and are dropped.
 */

import { isIP } from 'node:net';

/** Groups of 16 bits from the left: two of them are an IPv4 address, eight an IPv6 address. */
export type Address = readonly number[];

/** Bits of a group. */
const GROUP = 16;
const IPV6_GROUPS = 8;

/** The address that the text spells, or null if it spells none. */
export function parseAddress(text: string): Address | null {
  const family = isIP(text);
  if (family === 0) return null;
  if (family === 4) return ipv4Groups(text);
  const groups = ipv6Groups(text.split('%', 1)[0] ?? '');
  return isMapped(groups) ? groups.slice(6) : groups;
}

/** The address in its canonical spelling: of IPv6, the one of RFC 5952. */
export function formatAddress(address: Address): string {
  if (address.length < IPV6_GROUPS) {
    return address.flatMap((group) => [group >> 8, group & 0xff]).join('.');
  }
  const { start, length } = longestZeros(address);
  if (length < 2) return hexadecimal(address);
  return `${hexadecimal(address.slice(0, start))}::${hexadecimal(address.slice(start + length))}`;
}

/** How many bits the address has: 32 or 128. */
export function bitLength(address: Address): number {
  return address.length * GROUP;
}

/** The first address of the network: all bits after the first `prefix` are 0. */
export function networkOf(address: Address, prefix: number): Address {
  return address.map((group, index) => {
    const kept = Math.min(Math.max(prefix - index * GROUP, 0), GROUP);
    return group & (0xffff << (GROUP - kept)) & 0xffff;
  });
}

function isMapped(groups: Address): boolean {
  return groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
}

function ipv4Groups(text: string): number[] {
  const [first = 0, second = 0, third = 0, fourth = 0] = text.split('.').map(Number);
  return [first * 256 + second, third * 256 + fourth];
}

/** @param text a valid IPv6 address without a zone id */
function ipv6Groups(text: string): number[] {
  const [before = '', after = ''] = text.split('::', 2);
  const head = groupsOf(before);
  const tail = groupsOf(after);
  return [...head, ...Array.from({ length: IPV6_GROUPS - head.length - tail.length }, () => 0), ...tail];
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text
    .split(':')
    .flatMap((group) => (group.includes('.') ? ipv4Groups(group) : [Number.parseInt(group, 16)]));
}

function hexadecimal(groups: Address): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/** The longest run of zero groups; of several, the first. */
function longestZeros(groups: Address): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let start = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) start = index + 1;
    else if (index + 1 - start > longest.length) longest = { start, length: index + 1 - start };
  }
  return longest;
}
