import assert from 'node:assert/strict';
import type { LookupAddress, lookup } from 'node:dns';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Agent, fetch } from 'undici';
import { guardedConnector, guardedLookup, isForbiddenAddress, isForbiddenHost } from './url-guard.ts';

const forbidden = [
  '169.254.169.254',
  '169.254.0.0',
  '169.254.255.255',
  'fe80::1',
  'fe80::1%eth0',
  'febf:ffff::1',
  'fd00:ec2::254',
  'FD00:0EC2:0:0:0:0:0:0254',
  'fd20:ce::254',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe',
  '0:0:0:0:0:ffff:a9fe:a9fe',
  '::169.254.169.254',
  '::ffff:0:169.254.169.254',
  '64:ff9b::169.254.169.254',
  '2002:a9fe:a9fe::1',
];
const allowed = [
  '127.0.0.1',
  '::1',
  '10.0.0.1',
  '192.168.1.1',
  '172.16.0.1',
  'fd00::1',
  '::ffff:127.0.0.1',
  '169.253.255.255',
  '169.255.0.0',
  'fec0::1',
  '2002:a9ff::1',
  '93.184.215.14',
  '2606:4700::1111',
];

describe('isForbiddenAddress', () => {
  for (const address of forbidden) it(`forbids ${address}`, () => assert.ok(isForbiddenAddress(address)));
  for (const address of allowed) it(`allows ${address}`, () => assert.ok(!isForbiddenAddress(address)));

  it('forbids every address of the link, however it is written, and none beside it', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(65_535), (other, low) => {
        const linked = `169.254.${low >> 8}.${low & 0xff}`;
        for (const prefix of ['', '::ffff:', '64:ff9b::']) assert.ok(isForbiddenAddress(prefix + linked));
        const isLinked = other.startsWith('169.254.');
        if (!isLinked) assert.equal(isForbiddenAddress(`::ffff:${other}`), isForbiddenAddress(other));
      }),
    );
  });
});

describe('isForbiddenHost', () => {
  for (const host of [
    'metadata.google.internal',
    'METADATA.google.internal.',
    '[fe80::1]',
    'instance-data',
  ]) {
    it(`forbids ${host}`, () => assert.ok(isForbiddenHost(host)));
  }
  for (const host of [
    'localhost',
    'mcp.internal',
    '[::1]',
    'metadata.example.com',
    'ip-10-0-0-1.ec2.internal',
  ]) {
    it(`allows ${host}`, () => assert.ok(!isForbiddenHost(host)));
  }

  it('meets numbers in the form that URLs bring them to', () => {
    for (const written of ['2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '169.254.43518']) {
      assert.ok(isForbiddenHost(new URL(`http://${written}/`).hostname), written);
    }
  });
});

/** A system that resolves every name to these addresses. */
function resolvingTo(...addresses: string[]): typeof lookup {
  const all: LookupAddress[] = addresses.map((address) => ({
    address,
    family: address.includes(':') ? 6 : 4,
  }));
  return ((_name: string, _options: unknown, callback: (error: null, all: LookupAddress[]) => void) =>
    callback(null, all)) as unknown as typeof lookup;
}

describe('guardedLookup', () => {
  const look = (system: typeof lookup, all: boolean) =>
    new Promise((resolve, reject) => {
      guardedLookup(system)('mcp.example', { all }, (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });

  it('gives what the system finds, one or all', async () => {
    const system = resolvingTo('10.0.0.1', '::1');
    assert.equal(await look(system, false), '10.0.0.1');
    assert.deepEqual(await look(system, true), [
      { address: '10.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ]);
  });

  it('fails if any address is forbidden, or if there is none', async () => {
    for (const found of [['169.254.169.254'], ['10.0.0.1', '::ffff:a9fe:a9fe'], []]) {
      await assert.rejects(look(resolvingTo(...found), true), { name: 'ForbiddenAddressError' });
      await assert.rejects(look(resolvingTo(...found), false), { name: 'ForbiddenAddressError' });
    }
  });
});

describe('guardedConnector', () => {
  it('connects to loopback, and not where a redirect leads', async (t) => {
    const server = createServer((request, response) => {
      if (request.url !== '/away') return void response.end('here');
      response.writeHead(307, { location: 'http://169.254.169.254/latest/meta-data/' }).end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dispatcher = new Agent({ connect: guardedConnector(5000) });
    t.after(async () => {
      await dispatcher.close();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/`, { dispatcher })).text(), 'here');
    for (const url of [
      `http://127.0.0.1:${port}/away`,
      'http://[::ffff:169.254.169.254]/',
      'http://metadata/',
    ]) {
      await assert.rejects(fetch(url, { dispatcher }), ({ cause }: Error) => {
        assert.equal((cause as Error).name, 'ForbiddenAddressError');
        return true;
      });
    }
  });
});
