/** The command on a Redis behind TLS, which it trusts by NODE_EXTRA_CA_CERTS or not at all. */

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { type Authority, createAuthority, skipWithoutOpenssl } from '../certificates.ts';
import { type EncryptedRedis, startEncryptedRedis } from '../encrypted-redis.ts';
import { skipWithoutRedis } from '../redis-server.ts';
import { newSession, send } from './client.ts';
import { emptyDirectory, outputWith, removeParley, runParley, startParley } from './parley-process.ts';

describe('Redis behind TLS', { skip: skipWithoutRedis || skipWithoutOpenssl, timeout: 60_000 }, () => {
  let authority: Authority;
  let redis: EncryptedRedis;
  let DATABASE_URL: string;
  before(async () => {
    authority = createAuthority();
    redis = await startEncryptedRedis(authority.issue({ names: 'DNS:localhost' }), authority.certificate);
    DATABASE_URL = `rediss://${redis.user}@localhost:${redis.port}`;
  });
  after(async () => {
    await redis.server.stop();
    authority.remove();
  });

  test('conversations and limits are kept there, with the rights that the page on Redis names', async () => {
    const parley = await startParley({ DATABASE_URL, NODE_EXTRA_CA_CERTS: authority.certificate });
    try {
      const session = await newSession(parley.url);
      assert.equal((await send(parley.url, session, 'Hello')).status, 200);
      await outputWith(parley, (text) => text.includes('what other servers tell is heard'));
      assert.deepEqual(await redis.denied(), []);
    } finally {
      await removeParley(parley);
    }
  });

  test('the start is refused where the authority is not known', async () => {
    const directory = await emptyDirectory();
    const { code, output } = await runParley(directory, { DATABASE_URL });
    await rm(directory, { recursive: true });
    assert.equal(code, 1);
    assert.match(output, /^parley could not start: Redis at localhost:\d+ cannot be used: .* certificate/m);
    assert.ok(!output.includes(redis.secret) && !output.includes(redis.user), output);
  });
});
