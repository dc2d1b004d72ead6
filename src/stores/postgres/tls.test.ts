/** The store on a PostgreSQL behind TLS: what each `sslmode` takes, and what it refuses. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { type Authority, createAuthority, skipWithoutOpenssl } from '../../../test/certificates.ts';
import { findPostgres, type PostgresServer, startPostgres } from '../../../test/postgres-server.ts';
import { openPostgresStore } from '../postgres.ts';
import { createdSession, runTurn } from '../store-samples.contract.ts';

const CHECKED = ['verify-full', 'verify-ca', 'require'];
const skip =
  (findPostgres() === undefined && 'there is no PostgreSQL on this machine: apt-get install postgresql') ||
  skipWithoutOpenssl;

describe('PostgreSQL behind TLS', { skip, timeout: 60_000 }, () => {
  let authority: Authority;
  let stranger: Authority;
  let postgres: PostgresServer;
  before(async () => {
    authority = createAuthority();
    stranger = createAuthority();
    postgres = await startPostgres({ certificate: authority.issue({ names: 'DNS:localhost' }) });
  });
  after(async () => {
    await postgres.stop();
    authority.remove();
    stranger.remove();
  });

  const urlOf = (parameters: Record<string, string>, host = 'localhost') =>
    `${postgres.url().replace('127.0.0.1', host)}?${new URLSearchParams(parameters).toString()}`;

  /** Whether all connections of the store are encrypted. */
  async function isEncrypted(url: string): Promise<boolean> {
    const store = await openPostgresStore(url, { timeoutMilliseconds: 5000 });
    try {
      await runTurn(store, await createdSession(store));
      const [row] = await postgres.execute(
        `SELECT bool_and(ssl) AS encrypted FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'parley'`,
      );
      return row?.['encrypted'] === true;
    } finally {
      await store.close();
    }
  }

  const refused = (url: string, reason: RegExp) =>
    assert.rejects(openPostgresStore(url, { timeoutMilliseconds: 5000 }), ({ message }: Error) => {
      assert.match(message, /^The PostgreSQL of DATABASE_URL cannot be used: /);
      assert.match(message, reason);
      return true;
    });

  for (const sslmode of CHECKED) {
    test(`${sslmode} takes a certificate of a known authority, and for the name`, async () => {
      const sslrootcert = authority.certificate;
      assert.equal(await isEncrypted(urlOf({ sslmode, sslrootcert })), true);
      await refused(urlOf({ sslmode, sslrootcert: stranger.certificate }), /certificate/);
      await refused(urlOf({ sslmode }), /certificate/);
      await refused(urlOf({ sslmode, sslrootcert }, '127.0.0.1'), /does not match certificate's altnames/);
    });
  }

  test('an authority that Node knows is known', async (context) => {
    const trusted = getCACertificates('default');
    context.after(() => setDefaultCACertificates(trusted));
    setDefaultCACertificates([...trusted, readFileSync(authority.certificate, 'utf8')]);
    assert.equal(await isEncrypted(urlOf({ sslmode: 'verify-full' })), true);
  });

  test('no-verify encrypts, and takes every certificate', async () => {
    assert.equal(await isEncrypted(urlOf({ sslmode: 'no-verify' }, '127.0.0.1')), true);
  });

  test('disable encrypts nothing, and neither does a URL that says nothing of it', async () => {
    assert.equal(await isEncrypted(urlOf({ sslmode: 'disable' })), false);
    assert.equal(await isEncrypted(urlOf({})), false);
  });

  test('a file that is not there is named', async () => {
    await refused(urlOf({ sslmode: 'verify-full', sslrootcert: '/none/ca.crt' }), /'\/none\/ca.crt'/);
  });

  test('a server that does not encrypt is refused by whoever wants it to', async () => {
    await postgres.execute('ALTER SYSTEM SET ssl = off');
    await postgres.execute('SELECT pg_reload_conf()');
    // The server does so in a moment.
    while ((await postgres.execute('SHOW ssl'))[0]?.['ssl'] === 'on');
    for (const sslmode of [...CHECKED, 'no-verify']) {
      await refused(urlOf({ sslmode }), /does not support SSL/);
    }
  });
});
