/**
 * Where connections may not go, although the operator has written the URL: addresses of the link and the services at
 * which clouds hand out credentials to whoever asks. A URL in a configuration is often somebody else's proposal, a
 * name may lead elsewhere tomorrow, and an answer may redirect. So it is the address that is looked at, each time a
 * connection is made. Loopback and private networks are allowed: that is where operators run their servers.
 */

import { lookup as dnsLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { buildConnector } from 'undici';

export class ForbiddenAddressError extends Error {
  override readonly name = 'ForbiddenAddressError';

  constructor(host: string) {
    super(`"${host}" is link-local, or serves the metadata of a cloud: no connections are made to there`);
  }
}

/** Metadata services outside of the link's own addresses, as their clouds document them. */
const METADATA_ADDRESSES = [
  // AWS over IPv6, Google over IPv6, Alibaba, Oracle, Azure's wire server.
  ['fd00:ec2::254', 'ipv6'],
  ['fd20:ce::254', 'ipv6'],
  ['100.100.100.200', 'ipv4'],
  ['192.0.0.192', 'ipv4'],
  ['168.63.129.16', 'ipv4'],
] as const;

/** Names that clouds resolve to them, beyond what the address would tell. */
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'metadata.goog',
  'instance-data',
  'instance-data.ec2.internal',
]);

const forbidden = new BlockList();
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('fe80::', 10, 'ipv6');
for (const [address, family] of METADATA_ADDRESSES) forbidden.addAddress(address, family);

/** Whether the host of a URL, a name or an address with or without brackets, is one that is never connected to. */
export function isForbiddenHost(host: string): boolean {
  const bare = host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
  return METADATA_NAMES.has(bare) || isForbiddenAddress(bare);
}

/** Whether the address, in any of its spellings, is one that is never connected to. False for what is no address. */
export function isForbiddenAddress(text: string): boolean {
  const [address = ''] = text.split('%');
  const family = isIP(address);
  if (family === 4) return forbidden.check(address, 'ipv4');
  if (family !== 6) return false;
  const carried = carriedAddress(address);
  return forbidden.check(address, 'ipv6') || (carried !== undefined && forbidden.check(carried, 'ipv4'));
}

/**
 * The lookup for a socket: that of the system, failing if any of the name's addresses is forbidden. Whoever mixes those
 * in with others means no good.
 */
export function guardedLookup(resolve: typeof dnsLookup = dnsLookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      const [first] = addresses;
      if (addresses.some(({ address }) => isForbiddenAddress(address)) || first === undefined) {
        return callback(new ForbiddenAddressError(hostname), '', 0);
      }
      // With `all` the socket wants the list, and tries one after the other.
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** Makes connections for undici, to allowed addresses alone; those of redirects are connections as well. */
export function guardedConnector(connectTimeoutMs: number): buildConnector.connector {
  const connect = buildConnector({ timeout: connectTimeoutMs, lookup: guardedLookup() });
  return (options, callback) => {
    // An address is never looked up.
    if (isForbiddenHost(options.hostname)) return callback(new ForbiddenAddressError(options.hostname), null);
    connect(options, callback);
  };
}

/**
 * The IPv4 address that an IPv6 address carries: mapped (`::ffff:a.b.c.d`) or compatible (`::a.b.c.d`) for this
 * system, translated (`64:ff9b::/96`) or tunnelled (`2002::/16`) by a network. Undefined if it is none of those.
 */
function carriedAddress(address: string): string | undefined {
  const words = wordsOf(address);
  const prefix = words
    .slice(0, 6)
    .map((word) => word.toString(16))
    .join(':');
  const tunnelled = words[0] === 0x2002;
  if (!tunnelled && !CARRYING_PREFIXES.has(prefix)) return undefined;
  const [high = 0, low = 0] = tunnelled ? words.slice(1, 3) : words.slice(6);
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

const CARRYING_PREFIXES = new Set(['0:0:0:0:0:ffff', '0:0:0:0:0:0', '0:0:0:0:ffff:0', '64:ff9b:0:0:0:0']);

/** The eight words of an IPv6 address; the URL parser knows all spellings. */
function wordsOf(address: string): number[] {
  const { hostname } = new URL(`http://[${address}]/`);
  const [left = '', right] = hostname.slice(1, -1).split('::');
  const parse = (text: string) =>
    text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16));
  const [head, tail] = [parse(left), parse(right ?? '')];
  return right === undefined ? head : [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail];
}
