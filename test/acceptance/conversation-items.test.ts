/** The items of conversations on every store: none is missed for what was deleted, or for a server that was killed. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SHARED_ENGINES, type SharedEngine, skipWithoutEngine, startEngine } from '../shared-engine.ts';
import { callOpenAI } from './completion-client.ts';
import { removeParley } from './parley-process.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

const user = (content: string) => ({ role: 'user', content });
const said = (data: any[]) => data.map(({ content }) => content[0].text);
const LONG = Array.from({ length: 100 }, (_, index) => `m${index}`);

/** A conversation to which the texts were added one by one, as agents add them. */
async function filled(url: string, texts: readonly string[]): Promise<{ path: string; ids: string[] }> {
  const { body } = await callOpenAI(url, 'POST', '/v1/conversations', {});
  const path = `/v1/conversations/${body.id}`;
  const ids: string[] = [];
  for (const text of texts) {
    const { body: added } = await callOpenAI(url, 'POST', `${path}/items`, { items: [user(text)] });
    ids.push(added.data[0].id);
  }
  return { path, ids };
}

function onThisStore(server: () => ParleyWithDouble): void {
  test('the oldest are still there when the newest were deleted', async () => {
    const { url } = server();
    const { path, ids } = await filled(url, LONG);
    for (const id of ids.slice(-3)) await callOpenAI(url, 'DELETE', `${path}/items/${id}`);
    const left = LONG.slice(0, -3);
    const { body: oldest } = await callOpenAI(url, 'GET', `${path}/items?limit=100&order=asc`);
    assert.deepEqual([said(oldest.data), oldest.has_more], [left, false]);
    const { body: newest } = await callOpenAI(url, 'GET', `${path}/items?limit=100`);
    assert.deepEqual([said(newest.data), newest.has_more], [left.toReversed(), false]);

    const { status, body: first } = await callOpenAI(url, 'GET', `${path}/items/${ids[0]}`);
    assert.deepEqual([status, first.content?.[0].text], [200, 'm0']);
    const again = { items: [user('new'), { ...user('other'), id: ids[0] }] };
    const { body: refused } = await callOpenAI(url, 'POST', `${path}/items`, again);
    assert.equal(refused.error?.param, 'items[1].id');
  });

  test('items that take no place are there, before and after others', async () => {
    const { url } = server();
    const { path } = await filled(url, []);
    const thought = { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm.' }] };
    for (const item of [thought, user('One'), thought]) {
      assert.equal((await callOpenAI(url, 'POST', `${path}/items`, { items: [item] })).status, 200);
    }
    const { body } = await callOpenAI(url, 'GET', `${path}/items`);
    assert.deepEqual(
      body.data.map(({ type }: { type: string }) => type),
      ['reasoning', 'message', 'reasoning'],
    );
  });
}

describe('on SQLite', () => {
  let server: ParleyWithDouble;
  before(async () => {
    server = await startParleyWithDouble();
  });
  after(async () => {
    await removeParley(server.parley);
    await server.double.close();
  });
  onThisStore(() => server);

  test('a server that is killed loses none of them, and a later try adds none twice', async () => {
    const tries = (count: number) => ({ 'x-stainless-retry-count': String(count) });
    const made = { metadata: { a: 'b' }, items: [user('One')] };
    const { body: first } = await callOpenAI(server.url, 'POST', '/v1/conversations', made, tries(0));
    const path = `/v1/conversations/${first.id}/items`;
    const more = { items: [user('Two'), user('Three')] };
    const { body: added } = await callOpenAI(server.url, 'POST', path, more, tries(0));
    await callOpenAI(server.url, 'DELETE', `${path}/${added.data[0].id}`);
    await server.parley.stop('SIGKILL');
    const parley = await server.parley.restart();
    server = { ...server, parley, url: parley.url };

    assert.deepEqual((await callOpenAI(parley.url, 'POST', '/v1/conversations', made, tries(1))).body, first);
    const { body: again } = await callOpenAI(parley.url, 'POST', path, more, tries(1));
    assert.deepEqual(said(again.data), ['Three']);
    const { body: listed } = await callOpenAI(parley.url, 'GET', `${path}?order=asc`);
    assert.deepEqual(said(listed.data), ['One', 'Three']);
    await callOpenAI(parley.url, 'POST', '/v1/responses', { conversation: first.id, input: 'Four' });
    assert.deepEqual(
      server.double.last.body.messages.map(({ content }) => content),
      ['One', 'Three', 'Four'],
    );
  });
});

for (const name of SHARED_ENGINES) {
  describe(`on ${name}`, { skip: skipWithoutEngine(name) }, () => {
    let engine: SharedEngine;
    let server: ParleyWithDouble;
    before(async () => {
      engine = await startEngine(name);
      server = await startParleyWithDouble({ DATABASE_URL: engine.url() });
    });
    after(async () => {
      await server.close();
      await engine.stop();
    });
    onThisStore(() => server);
  });
}
