/** The server on PostgreSQL, by HTTP: what was said is there for the next process, and an outage is one of 503s. */

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { findPostgres, startPostgres } from '../postgres-server.ts';
import { call, newSession, send } from './client.ts';
import { outputWith, removeParley, startParley } from './parley-process.ts';

if (findPostgres() === undefined) {
  test('on PostgreSQL', { skip: 'there is no PostgreSQL on this machine: apt-get install postgresql' });
} else {
  const postgres = await startPostgres();
  after(postgres.stop);

  test('conversations outlive the server, and its outages', async (context) => {
    const env = { DATABASE_URL: postgres.url() };
    const first = await startParley(env);
    context.after(() => removeParley(first));
    const place = postgres.url().replace('parley@', '');
    await outputWith(first, (output) => new RegExp(`^ +data +${place}$`, 'm').test(output));
    const session = await newSession(first.url);
    assert.equal((await send(first.url, session, 'One')).status, 200);

    await postgres.crash();
    const refused = await send(first.url, session, 'Two');
    assert.deepEqual([refused.status, refused.body.error.code], [503, 'store_unavailable']);
    assert.equal((await call(first.url, 'GET', '/ready')).status, 503);
    await postgres.start();
    assert.equal((await call(first.url, 'GET', '/ready')).status, 200);
    assert.equal((await send(first.url, session, 'Three')).status, 200);
    await removeParley(first);

    const second = await startParley(env);
    context.after(() => removeParley(second));
    const { body } = await call(second.url, 'GET', `/sessions/${session}/messages?order=asc`);
    const said = body.data.filter(({ role }: { role: string }) => role === 'user');
    assert.deepEqual(
      said.map(({ content }: { content: string }) => content),
      ['One', 'Three'],
    );
  });
}
