import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ipv4Bytes, ipv4Spelling, ipv6Groups, ipv6Spelling } from './address-samples.contract.ts';
import { addressIdentity } from './identity.ts';

const identities = [
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::FFFF:0a00:0001', '10.0.0.1'],
  ['0:0:0:0:0:ffff:a00:1', '10.0.0.1'],
  ['::ffff:255.255.255.255', '255.255.255.255'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
  ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
  ['2001:db8::1', '2001:db8::/64'],
  ['0:0:0:1::5', '0:0:0:1::/64'],
  ['::1', '::/64'],
  ['::', '::/64'],
  ['::10.0.0.1', '::/64'],
  ['64:ff9b::10.0.0.1', '64:ff9b::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
] as const;

describe('the identity of an address', () => {
  for (const [ip, identity] of identities) {
    test(`${ip} is ${identity}`, () => assert.equal(addressIdentity(ip), identity));
  }

  for (const text of [
    '',
    'localhost',
    '10.0.0',
    '010.0.0.1',
    '10.0.0.1:80',
    '[::1]',
    '1::2::3',
    '10.0.0.0/8',
  ]) {
    test(`${JSON.stringify(text)} is no address and stays as it is`, () =>
      assert.equal(addressIdentity(text), text));
  }

  test('every spelling of an IPv4 address has the address as its identity', () => {
    const spelt = ipv4Bytes.chain((bytes) => fc.tuple(fc.constant(bytes), ipv4Spelling(bytes)));
    fc.assert(fc.property(spelt, ([bytes, text]) => assert.equal(addressIdentity(text), bytes.join('.'))));
  });

  test('every spelling of every address of a customer has one identity, and no other customer has it', () => {
    const host = fc.array(fc.nat(0xffff), { minLength: 4, maxLength: 4 });
    const neighbours = fc
      .tuple(ipv6Groups, host, ipv6Groups)
      .map(([groups, host, other]) => ({ one: groups, same: [...groups.slice(0, 4), ...host], other }))
      .filter(({ same }) => same[5] !== 0xffff || same.slice(0, 5).some((group) => group !== 0))
      .chain(({ one, same, other }) =>
        fc.record({
          texts: fc.tuple(ipv6Spelling(one), ipv6Spelling(same)),
          otherText: ipv6Spelling(other),
          alike: fc.constant(one.slice(0, 4).join() === other.slice(0, 4).join()),
        }),
      );
    fc.assert(
      fc.property(neighbours, ({ texts: [one, same], otherText, alike }) => {
        assert.equal(addressIdentity(one), addressIdentity(same));
        assert.equal(addressIdentity(one) === addressIdentity(otherText), alike);
      }),
    );
  });

  test('it is written as the platform writes addresses', () => {
    fc.assert(
      fc.property(ipv6Groups, (groups) => {
        const network = [...groups.slice(0, 4), 0, 0, 0, 0].map((group) => group.toString(16)).join(':');
        const { hostname } = new URL(`http://[${network}]`);
        const text = groups.map((group) => group.toString(16)).join(':');
        assert.equal(addressIdentity(text), `${hostname.slice(1, -1)}/64`);
      }),
    );
  });

  test('any text has an identity', () => {
    fc.assert(fc.property(fc.string(), (text) => assert.equal(typeof addressIdentity(text), 'string')));
  });
});
