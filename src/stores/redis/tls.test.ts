/** The store behind TLS: whose certificate is taken, and what is said of one that is not. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Authority, createAuthority, skipWithoutOpenssl } from '../../../test/certificates.ts';
import { type EncryptedRedis, startEncryptedRedis } from '../../../test/encrypted-redis.ts';
import { skipWithoutRedis } from '../../../test/redis-server.ts';
import { openRedisStore } from '../redis.ts';
import { createdSession, runTurn } from '../store-samples.contract.ts';

/** A cluster of one node. */
const CLUSTERED = '--cluster-enabled yes --cluster-announce-ip 127.0.0.1 --tls-cluster yes'.split(' ');

describe('Redis behind TLS', { skip: skipWithoutRedis || skipWithoutOpenssl, timeout: 60_000 }, () => {
  const trusted = getCACertificates('default');
  const started: EncryptedRedis[] = [];
  let authority: Authority;
  let stranger: Authority;
  let redis: EncryptedRedis;
  before(async () => {
    authority = createAuthority();
    stranger = createAuthority();
    setDefaultCACertificates([...trusted, readFileSync(authority.certificate, 'utf8')]);
    redis = await start(authority, { names: 'DNS:localhost' });
  });
  after(async () => {
    setDefaultCACertificates(trusted);
    await Promise.all(started.map(({ server }) => server.stop()));
    authority.remove();
    stranger.remove();
  });

  async function start(
    issuer: Authority,
    wanted: Parameters<Authority['issue']>[0],
    ...options: string[]
  ): Promise<EncryptedRedis> {
    const one = await startEncryptedRedis(issuer.issue(wanted), issuer.certificate, ...options);
    started.push(one);
    return one;
  }

  async function holdsTurns(url: string): Promise<void> {
    const store = await openRedisStore(url);
    await runTurn(store, await createdSession(store));
    await store.close();
  }

  test('turns are held by a user with few rights', async () => {
    await holdsTurns(`rediss://${redis.user}@localhost:${redis.port}`);
    assert.deepEqual(await redis.denied(), []);
  });

  test('turns are held by a cluster, whose nodes are known by their addresses', async () => {
    const { server, port, user, denied } = await start(
      authority,
      { names: 'DNS:localhost,IP:127.0.0.1' },
      ...CLUSTERED,
    );
    await server.command('ACL', 'SETUSER', 'parley', '+cluster|slots');
    await server.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
    while (!(await server.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) await pause(50);
    await holdsTurns(`rediss://${user}@localhost:${port}?cluster`);
    assert.deepEqual(await denied(), []);
  });

  /** How long a server is waited for that does not answer as it should, though it is there. */
  const SHORT = { timeoutMilliseconds: 300 };
  const refused = (url: string, reason: RegExp) =>
    assert.rejects(openRedisStore(url, SHORT), ({ message }: Error) => {
      assert.match(message, reason);
      assert.ok(!message.includes(redis.secret) && !message.includes(redis.user));
      return true;
    });

  test('an authority that is not known is refused', async () => {
    const { port, user } = await start(stranger, { names: 'DNS:localhost' });
    await refused(
      `rediss://${user}@localhost:${port}`,
      /^Redis at localhost:\d+ cannot be used: .*certificate/,
    );
  });

  test('a certificate for another name is refused', async () => {
    const url = `rediss://${redis.user}@127.0.0.1:${redis.port}`;
    await refused(url, /cannot be used: Hostname\/IP does not match certificate's altnames/);
  });

  test('a certificate that has expired is refused', async () => {
    const { port, user } = await start(authority, { names: 'DNS:localhost', isExpired: true });
    await refused(`rediss://${user}@localhost:${port}`, /cannot be used: certificate has expired\.$/);
  });

  test('a wrong password is refused', async () => {
    await refused(`rediss://parley:wrong@localhost:${redis.port}`, /cannot be used: WRONGPASS [^.]+\.$/);
  });

  test('a server that wants TLS, and one that has none, are told apart from one that is not there', async () => {
    await Promise.all([
      refused(`redis://${redis.user}@localhost:${redis.port}`, / \(if it wants TLS, .* rediss:\/\/\)\.$/),
      refused(`rediss://localhost:${redis.server.port}`, / \(if it has no TLS, .* redis:\/\/\)\.$/),
    ]);
  });
});
