import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ipv4Bytes, ipv4Spelling, ipv6Groups, ipv6Spelling } from './address-samples.contract.ts';
import { createAllowlist, parseNetwork } from './allowlist.ts';

const networks = [
  ['10.0.0.1', '10.0.0.1'],
  ['10.0.0.1/32', '10.0.0.1'],
  ['10.1.2.3/8', '10.0.0.0/8'],
  ['10.255.255.255/9', '10.128.0.0/9'],
  ['203.0.113.77/31', '203.0.113.76/31'],
  ['1.2.3.4/0', '0.0.0.0/0'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::ffff:10.1.2.3/104', '10.0.0.0/8'],
  ['::FFFF:A01:203/128', '10.1.2.3'],
  ['::ffff:1.2.3.4/96', '0.0.0.0/0'],
  ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
  ['2001:db8::1/128', '2001:db8::1'],
  ['2001:db8:ffff::1/33', '2001:db8:8000::/33'],
  ['2001:db8::1:2/64', '2001:db8::/64'],
  ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
  ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
  ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
  ['::1/0', '::/0'],
  ['fe80::1%eth0', 'fe80::1'],
] as const;

const noNetworks = [
  '',
  ' ',
  '10.0.0.1 ',
  '10.0.0',
  '10.0.0.256',
  '010.0.0.1',
  '10.0.0.1/',
  '10.0.0.1/33',
  '10.0.0.1/-1',
  '10.0.0.1/08',
  '10.0.0.1/8.0',
  '10.0.0.1/8/8',
  '10.0.0.1/255.0.0.0',
  '/8',
  '::1/129',
  '::ffff:10.0.0.1/95',
  '[::1]',
  '1::2::3',
  'localhost',
];

/** The first bits of an address as text. */
function prefixBits(parts: readonly number[], bitsEach: number, prefix: number): string {
  return parts
    .map((part) => part.toString(2).padStart(bitsEach, '0'))
    .join('')
    .slice(0, prefix);
}

describe('parseNetwork', () => {
  for (const [text, network] of networks) {
    test(`${text} is ${network}`, () => assert.equal(parseNetwork(text), network));
  }

  for (const text of noNetworks) {
    test(`${JSON.stringify(text)} is none`, () => assert.equal(parseNetwork(text), null));
  }

  test('what it returns it returns again', () => {
    const text = fc.oneof(
      fc.string(),
      fc
        .tuple(ipv6Groups.chain(ipv6Spelling), fc.nat(140))
        .map(([address, prefix]) => `${address}/${prefix}`),
      fc.tuple(ipv4Bytes.chain(ipv4Spelling), fc.nat(140)).map(([address, prefix]) => `${address}/${prefix}`),
    );
    fc.assert(
      fc.property(text, (text) => {
        const network = parseNetwork(text);
        if (network !== null) assert.equal(parseNetwork(network), network);
      }),
    );
  });

  test('all spellings of an address are one network', () => {
    const spelt = ipv6Groups.chain((groups) => fc.tuple(ipv6Spelling(groups), ipv6Spelling(groups)));
    fc.assert(
      fc.property(spelt, ([one, other]) => {
        assert.notEqual(parseNetwork(one), null);
        assert.equal(parseNetwork(one), parseNetwork(other));
      }),
    );
  });
});

describe('the allowlist', () => {
  test('has the addresses of its networks, in any spelling, and no other', () => {
    const allowlist = createAllowlist([
      { network: '203.0.113.7', expiresAt: null },
      { network: '10.0.0.0/8', expiresAt: null },
      { network: '2001:db8::/33', expiresAt: null },
      { network: 'fe80::1', expiresAt: null },
    ]);
    for (const ip of ['203.0.113.7', '::ffff:cb00:7107', '10.255.0.1', '2001:DB8:7fff::', 'fe80::1%eth0']) {
      assert.ok(allowlist.has(ip), ip);
    }
    for (const ip of ['203.0.113.8', '11.0.0.0', '2001:db8:8000::', 'fe80::2', '', '10.0.0', '10.0.0.0/8']) {
      assert.ok(!allowlist.has(ip), ip);
    }
  });

  test('lets nobody pass when it is empty', () => {
    assert.ok(!createAllowlist([]).has('127.0.0.1'));
  });

  test('takes all of IPv6 for none of IPv4, and the other way round', () => {
    const ipv6 = createAllowlist([{ network: '::/0', expiresAt: null }]);
    assert.deepEqual(
      [ipv6.has('::1'), ipv6.has('1.2.3.4'), ipv6.has('::ffff:1.2.3.4')],
      [true, false, false],
    );
    const ipv4 = createAllowlist([{ network: '0.0.0.0/0', expiresAt: null }]);
    assert.deepEqual([ipv4.has('::1'), ipv4.has('1.2.3.4'), ipv4.has('::ffff:1.2.3.4')], [false, true, true]);
  });

  test('an entry lets nobody pass from the moment on at which it expires', () => {
    let time = 1000;
    const entries = [
      { network: '10.0.0.1', expiresAt: 2000 },
      { network: '10.0.0.2', expiresAt: 3000 },
      { network: '10.0.0.3', expiresAt: null },
      { network: '10.0.0.4', expiresAt: 1000 },
    ];
    const allowlist = createAllowlist(entries, () => time);
    const passing = () => entries.map(({ network }) => network).filter(allowlist.has);
    assert.deepEqual(passing(), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    time = 1999;
    assert.deepEqual(passing(), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    time = 2000;
    assert.deepEqual(passing(), ['10.0.0.2', '10.0.0.3']);
    time = 3000;
    assert.deepEqual(passing(), ['10.0.0.3']);
  });

  test('an expired entry takes nothing from another that covers the same address', () => {
    let time = 0;
    const allowlist = createAllowlist(
      [
        { network: '10.0.0.1', expiresAt: 1 },
        { network: '10.0.0.0/8', expiresAt: null },
      ],
      () => time,
    );
    time = 1;
    assert.ok(allowlist.has('10.0.0.1'));
  });

  test('replacing it leaves nothing of what was before, also after an expiry', () => {
    let time = 0;
    const allowlist = createAllowlist([{ network: '10.0.0.1', expiresAt: null }], () => time);
    const replacement = [
      { network: '10.0.0.2', expiresAt: 5 },
      { network: '10.0.0.3', expiresAt: null },
    ];
    allowlist.replace(replacement);
    // The caller's array is the caller's.
    replacement.push({ network: '10.0.0.4', expiresAt: null });
    time = 5;
    assert.deepEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'].filter(allowlist.has), ['10.0.0.3']);
  });

  test('what is no network is refused, and the list stays as it was', () => {
    const allowlist = createAllowlist([{ network: '10.0.0.1', expiresAt: null }]);
    const wrong = [
      { network: '10.0.0.2', expiresAt: null },
      { network: '10.0.0.300', expiresAt: 1 },
    ];
    const refusal = { message: '"10.0.0.300" is neither an address nor a network.' };
    assert.throws(() => allowlist.replace(wrong), refusal);
    assert.throws(() => createAllowlist(wrong), refusal);
    assert.deepEqual(['10.0.0.1', '10.0.0.2'].filter(allowlist.has), ['10.0.0.1']);
  });

  test('an IPv4 network has the addresses that begin with its bits', () => {
    const draw = fc.tuple(ipv4Bytes, ipv4Bytes, fc.nat(32)).chain(([bytes, other, prefix]) => {
      // Half of the addresses share some bits with the network, else hardly any would be in it.
      const near = fc.boolean().map((near) => (near ? [...bytes.slice(0, 2), ...other.slice(2)] : other));
      return near.chain((address) =>
        fc.record({
          network: ipv4Spelling(bytes).map((text) => `${text}/${text.includes(':') ? prefix + 96 : prefix}`),
          ip: ipv4Spelling(address),
          expected: fc.constant(prefixBits(bytes, 8, prefix) === prefixBits(address, 8, prefix)),
        }),
      );
    });
    fc.assert(fc.property(draw, ({ network, ip, expected }) => assertHas(network, ip, expected)));
  });

  test('an IPv6 network has the addresses that begin with its bits', () => {
    const draw = fc
      .tuple(ipv6Groups, ipv6Groups, fc.nat(128), fc.nat(8))
      .chain(([groups, other, prefix, shared]) => {
        const address = [...groups.slice(0, shared), ...other.slice(shared)];
        const isMapped = address[5] === 0xffff && address.slice(0, 5).every((group) => group === 0);
        return fc.record({
          network: ipv6Spelling(groups).map((text) => `${text}/${prefix}`),
          ip: ipv6Spelling(address),
          expected: fc.constant(
            !isMapped && prefixBits(groups, 16, prefix) === prefixBits(address, 16, prefix),
          ),
        });
      });
    fc.assert(fc.property(draw, ({ network, ip, expected }) => assertHas(network, ip, expected)));
  });
});

function assertHas(network: string, ip: string, expected: boolean): void {
  const allowlist = createAllowlist([{ network, expiresAt: null }]);
  assert.equal(allowlist.has(ip), expected, `${network} ${ip}`);
}
