/** Sessions over HTTP: made, read, changed, deleted, and listed by cursor and metadata. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
after(() => server.close());

const full = {
  title: 'Reisepläne ✈',
  provider: 'openai',
  model: 'double-large',
  fallback_providers: ['openai', 'openai/double-small'],
  memory_limit: 12,
  max_context_tokens: 4000,
  instructions: 'Answer in one sentence.\nNever shout.',
  metadata: { user: 'u-1', 'odd key "ä"': '' },
};

const empty = {
  title: null,
  provider: null,
  model: null,
  fallback_providers: null,
  memory_limit: null,
  max_context_tokens: null,
  instructions: null,
  metadata: {},
};

const settingsOf = (session: Record<string, unknown>) =>
  Object.fromEntries(Object.keys(full).map((name) => [name, session[name]]));

test('a session is created with every setting and read back the same', async () => {
  const created = await server.call('POST', '/sessions', full);
  assert.equal(created.status, 201);
  assert.equal(created.headers.get('location'), `/sessions/${created.body.id}`);
  assert.deepEqual(settingsOf(created.body), full);
  assert.equal(created.body.object, 'session');
  assert.equal(created.body.head_turn_id, null);
  assert.match(created.body.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(created.body.updated_at, created.body.created_at);

  const read = await server.call('GET', `/sessions/${created.body.id}`);
  assert.equal(read.status, 200);
  assert.deepEqual(read.body, created.body);
});

test('a session needs no settings, nor a body', async () => {
  for (const { status, body } of [
    await server.call('POST', '/sessions', {}),
    await server.call('POST', '/sessions'),
  ]) {
    assert.equal(status, 201);
    assert.deepEqual(settingsOf(body), empty);
  }
});

test('PATCH changes the named settings alone, and null takes each back', async () => {
  const id = await server.newSession();
  const expected: Record<string, unknown> = { ...empty };
  for (const [name, value] of Object.entries(full)) {
    expected[name] = value;
    const { status, body } = await server.call('PATCH', `/sessions/${id}`, { [name]: value });
    assert.equal(status, 200);
    assert.deepEqual(settingsOf(body), expected, `after setting ${name}`);
  }
  for (const [name, value] of Object.entries(empty)) {
    expected[name] = value;
    const { status } = await server.call('PATCH', `/sessions/${id}`, { [name]: value });
    assert.equal(status, 200);
    const { body } = await server.call('GET', `/sessions/${id}`);
    assert.deepEqual(settingsOf(body), expected, `after taking back ${name}`);
    assert.ok(body.updated_at >= body.created_at);
  }
});

test('PATCH with nothing changes nothing, and metadata is replaced as a whole', async () => {
  const id = await server.newSession(full);
  const { body: same } = await server.call('PATCH', `/sessions/${id}`, {});
  assert.deepEqual(settingsOf(same), full);
  const { body } = await server.call('PATCH', `/sessions/${id}`, { metadata: { other: 'x' } });
  assert.deepEqual(settingsOf(body), { ...full, metadata: { other: 'x' } });
});

test('one fallback provider is a list of one', async () => {
  const id = await server.newSession({ fallback_provider: 'openai' });
  const { body } = await server.call('GET', `/sessions/${id}`);
  assert.deepEqual(body.fallback_providers, ['openai']);

  const both = await server.call('POST', '/sessions', {
    fallback_provider: 'openai',
    fallback_providers: ['openai'],
  });
  assert.equal(both.status, 400);
  assert.equal(both.body.error.code, 'invalid_request');
});

test('an unknown provider is refused wherever it is named, with the known ones', async () => {
  const id = await server.newSession();
  for (const [method, path] of [
    ['POST', '/sessions'],
    ['PATCH', `/sessions/${id}`],
  ] as const) {
    for (const settings of [
      { provider: 'nobody' },
      { fallback_provider: 'nobody' },
      { fallback_providers: ['openai', 'nobody'] },
    ]) {
      const { status, body } = await server.call(method, path, settings);
      assert.equal(status, 400);
      assert.equal(body.error.code, 'provider_not_found');
      assert.deepEqual(body.error.details.known, ['openai']);
    }
  }
});

test('unknown fields and wrong types are refused, all at once, each with its place', async () => {
  const id = await server.newSession();
  const wrong = {
    provder: 'openai',
    title: 7,
    memory_limit: '12',
    max_context_tokens: 0,
    fallback_providers: ['openai', 3],
    instructions: false,
    metadata: { key: 1 },
  };
  for (const [method, path] of [
    ['POST', '/sessions'],
    ['PATCH', `/sessions/${id}`],
  ] as const) {
    const { status, body } = await server.call(method, path, wrong);
    assert.equal(status, 400);
    assert.equal(body.error.code, 'invalid_request');
    const places = new Set(body.error.details.problems.map(({ in: part, path }: any) => `${part} ${path}`));
    for (const place of [
      '/provder',
      '/title',
      '/memory_limit',
      '/max_context_tokens',
      '/fallback_providers/1',
      '/instructions',
      '/metadata/key',
    ]) {
      assert.ok(places.has(`body ${place}`), `${place} is missing in ${[...places].join(', ')}`);
    }
  }
});

test('metadata has 16 pairs, keys of 64 and values of 512 characters at most; a title 256', async () => {
  const pairs = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 'v']));
  const longest = { ['k'.repeat(64)]: 'v'.repeat(512), 'two\nlines': 'two\nlines' };
  for (const settings of [{ metadata: pairs(16) }, { metadata: longest }, { title: 't'.repeat(256) }]) {
    const { status, body } = await server.call('POST', '/sessions', settings);
    assert.equal(status, 201);
    for (const [name, value] of Object.entries(settings)) assert.deepEqual(body[name], value);
  }
  for (const settings of [
    { metadata: pairs(17) },
    { metadata: { ['k'.repeat(65)]: 'v' } },
    { metadata: { '': 'v' } },
    { metadata: { key: 'v'.repeat(513) } },
    { metadata: { key: null } },
    { metadata: ['v'] },
    { title: 't'.repeat(257) },
  ]) {
    const { status, body } = await server.call('POST', '/sessions', settings);
    assert.equal(status, 400, JSON.stringify(settings).slice(0, 80));
    const [problem] = body.error.details.problems;
    assert.ok(problem.path.startsWith(`/${Object.keys(settings)[0]}`), problem.path);
  }
});

test('a deleted session is gone with everything in it', async () => {
  const id = await server.newSession();
  const { turn_id: turnId } = await server.converse(id, 'Hello');
  const deleted = await server.call('DELETE', `/sessions/${id}`);
  assert.equal(deleted.status, 204);
  assert.equal(deleted.body, '');
  for (const [method, path, body] of [
    ['GET', ''],
    ['DELETE', ''],
    ['PATCH', '', {}],
    ['GET', '/messages'],
    ['POST', '/messages', { content: 'x' }],
    ['GET', '/turns'],
    ['GET', `/turns/${turnId}`],
    ['GET', '/window'],
    ['POST', '/fork', {}],
  ] as const) {
    const answer = await server.call(method, `/sessions/${id}${path}`, body);
    assert.equal(answer.status, 404, `${method} ${path}`);
    assert.equal(answer.body.error.code, 'session_not_found');
  }
  const { body } = await server.call('GET', '/sessions?limit=100');
  assert.ok(!body.data.some((session: any) => session.id === id));
});

/** Sessions of one test, marked so that a list finds them alone. */
async function markedSessions(mark: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) ids.push(await server.newSession({ metadata: { mark } }));
  return ids;
}

async function pages(query: string, between: (page: any) => Promise<unknown> = async () => undefined) {
  const all: any[] = [];
  let after = '';
  for (;;) {
    const { status, body } = await server.call('GET', `/sessions?${query}${after}`);
    assert.equal(status, 200);
    all.push(body);
    assert.equal(body.first_id, body.data[0]?.id ?? null);
    assert.equal(body.last_id, body.data.at(-1)?.id ?? null);
    if (!body.has_more) return all;
    await between(body);
    after = `&after=${body.last_id}`;
  }
}

const idsOf = (all: readonly any[]): string[] => all.flatMap((page) => page.data.map(({ id }: any) => id));

test('sessions are listed newest first or oldest first, by pages', async () => {
  const ids = await markedSessions('paging', 7);
  const query = 'metadata[mark]=paging';
  const one = await server.call('GET', `/sessions?${query}`);
  assert.equal(one.body.object, 'list');
  assert.equal(one.body.has_more, false);
  assert.deepEqual(idsOf([one.body]), ids.toReversed());

  const descending = await pages(`${query}&limit=3`);
  assert.deepEqual(
    descending.map((page) => [page.data.length, page.has_more]),
    [
      [3, true],
      [3, true],
      [1, false],
    ],
  );
  assert.deepEqual(idsOf(descending), ids.toReversed());
  assert.deepEqual(idsOf(await pages(`${query}&limit=3&order=asc`)), ids);
  const exact = await server.call('GET', `/sessions?${query}&limit=7`);
  assert.equal(exact.body.has_more, false);

  const none = await server.call('GET', '/sessions?metadata[mark]=nobody');
  assert.deepEqual(none.body, { object: 'list', data: [], first_id: null, last_id: null, has_more: false });
});

test('a page has 20 sessions unless it is told otherwise', async () => {
  await markedSessions('twenty', 21);
  const { body } = await server.call('GET', '/sessions?metadata[mark]=twenty');
  assert.equal(body.data.length, 20);
  assert.equal(body.has_more, true);
});

for (const order of ['asc', 'desc'] as const) {
  test(`paging (${order}) is stable while sessions are made and cursors deleted`, async () => {
    const mark = `stable-${order}`;
    const old = await markedSessions(mark, 12);
    const seen = idsOf(
      await pages(`metadata[mark]=${mark}&limit=3&order=${order}`, async (page) => {
        const more = old.length < 100 && page.data.some(({ id }: any) => old.includes(id));
        await Promise.all([
          ...(more ? [markedSessions(mark, 2), markedSessions(mark, 2)] : []),
          server.call('DELETE', `/sessions/${page.last_id}`),
        ]);
      }),
    );
    assert.equal(new Set(seen).size, seen.length, 'nothing comes twice');
    assert.deepEqual(
      seen.filter((id) => old.includes(id)),
      order === 'asc' ? old : old.toReversed(),
    );
    if (order === 'desc')
      assert.deepEqual(seen, old.toReversed(), 'what is made later comes before the start');
  });
}

test('the metadata filter takes several pairs, all of which must be there', async () => {
  const both = await server.newSession({ metadata: { team: 'blue', tier: 'gold' } });
  const one = await server.newSession({ metadata: { team: 'blue', tier: 'lead' } });
  await server.newSession({ metadata: { team: 'gold', tier: 'blue' } });
  const list = async (query: string) => idsOf([(await server.call('GET', `/sessions?${query}`)).body]);
  assert.deepEqual(await list('metadata[team]=blue&order=asc'), [both, one]);
  assert.deepEqual(await list('metadata[team]=blue&metadata[tier]=gold'), [both]);
  assert.deepEqual(await list('metadata[team]=gold&metadata[tier]=gold'), []);
  await server.call('PATCH', `/sessions/${both}`, { metadata: { team: 'red' } });
  assert.deepEqual(await list('metadata[team]=blue'), [one]);
  assert.deepEqual(await list('metadata[team]=red'), [both]);
});

test('the metadata filter finds keys and values of any characters', async () => {
  const odd = ['ä ö', 'a&b=c', '100%', '+', '#?/', 'a[b]', ']', 'true', '1', '\'--"', '🙂', 'a.b', ' '];
  for (const text of odd) {
    const metadata = JSON.parse(`{${JSON.stringify(text)}: ${JSON.stringify(`=${text}`)}, "odd": "1"}`);
    const id = await server.newSession({ metadata });
    const query = `metadata[${encodeURIComponent(text)}]=${encodeURIComponent(`=${text}`)}`;
    for (const written of [query, query.replace('[', '%5B').replace(/\]=/, '%5D=')]) {
      const { status, body } = await server.call('GET', `/sessions?${written}`);
      assert.equal(status, 200, written);
      assert.deepEqual(idsOf([body]), [id], written);
    }
  }
});

test('wrong queries of a list are refused with their place', async () => {
  for (const [query, place] of [
    ['limit=0', '/limit'],
    ['limit=101', '/limit'],
    ['limit=many', '/limit'],
    ['limit=1.5', '/limit'],
    ['limit=1&limit=2', '/limit'],
    ['order=up', '/order'],
    ['after=x', '/after'],
    ['colour=red', '/colour'],
    ['metadata=x', '/metadata'],
    [`metadata[${'k'.repeat(65)}]=v`, '/metadata'],
    ['metadata[k]=1&metadata[k]=2', '/metadata'],
  ] as const) {
    const { status, body } = await server.call('GET', `/sessions?${query}`);
    assert.equal(status, 400, query);
    assert.equal(body.error.code, 'invalid_request');
    const problem = body.error.details.problems.find((one: any) => one.path.startsWith(place));
    assert.equal(problem?.in, 'querystring', `${query}: ${JSON.stringify(body.error.details.problems)}`);
  }
});
