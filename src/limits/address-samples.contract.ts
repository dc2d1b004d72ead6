/** Addresses for tests: any address, and spellings of it. */

import * as fc from 'fast-check';

const group = fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff));

/** Eight groups of 16 bits, many of them 0. No address that stands for one of IPv4. */
export const ipv6Groups: fc.Arbitrary<number[]> = fc
  .array(group, { minLength: 8, maxLength: 8 })
  .filter((groups) => groups[5] !== 0xffff || groups.slice(0, 5).some((group) => group !== 0));

/** Four numbers of 8 bits. */
export const ipv4Bytes: fc.Arbitrary<number[]> = fc.array(fc.nat(255), { minLength: 4, maxLength: 4 });

/** Ways of writing the groups: upper case, leading zeros, `::` for any zeros, the end in dots, a zone id. */
export function ipv6Spelling(groups: readonly number[]): fc.Arbitrary<string> {
  return fc
    .record({
      upper: fc.boolean(),
      width: fc.constantFrom(1, 4),
      dots: fc.boolean(),
      cut: fc.option(fc.tuple(fc.nat(7), fc.nat(7))),
      zone: fc.constantFrom('', '%eth0', '%1'),
    })
    .map(({ upper, width, dots, cut, zone }) => {
      const written = groups.map((group) => group.toString(16).padStart(width, '0'));
      const parts = dots ? [...written.slice(0, 6), dotted(groups.slice(6))] : written;
      const text = joined(parts, zerosIn(groups, cut, dots ? 6 : 8));
      return (upper ? text.toUpperCase() : text) + zone;
    });
}

/** Ways of writing an IPv4 address: as it is, or mapped into IPv6. */
export function ipv4Spelling(bytes: readonly number[]): fc.Arbitrary<string> {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  const mapped = ipv6Spelling([0, 0, 0, 0, 0, 0xffff, a * 256 + b, c * 256 + d]);
  return fc.oneof(fc.constant(bytes.join('.')), mapped);
}

/** The places from the first to the last of the cut, if nothing but zeros stands there. */
function zerosIn(
  groups: readonly number[],
  cut: [number, number] | null,
  end: number,
): { start: number; end: number } | null {
  if (cut === null) return null;
  const [start, last] = [Math.min(...cut), Math.max(...cut)];
  if (last >= end || groups.slice(start, last + 1).some((group) => group !== 0)) return null;
  return { start, end: last + 1 };
}

function joined(parts: readonly string[], zeros: { start: number; end: number } | null): string {
  if (zeros === null) return parts.join(':');
  return `${parts.slice(0, zeros.start).join(':')}::${parts.slice(zeros.end).join(':')}`;
}

function dotted(groups: readonly number[]): string {
  return groups.flatMap((group) => [group >> 8, group & 0xff]).join('.');
}
