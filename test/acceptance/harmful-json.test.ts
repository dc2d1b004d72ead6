/** JSON that is meant to do harm, through the whole server: refused in clear words or carried as it is, and soon over. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
beforeEach(() => server.double.reset());
after(() => server.close());

const BYTES = 4_000_000;

/** As many of them, with commas between, as a body has room for. */
function full(element: (index: number) => string): string {
  const elements: string[] = [];
  for (let bytes = 0, index = 0; bytes < BYTES; index += 1) {
    elements.push(element(index));
    bytes += (elements[index] ?? '').length + 1;
  }
  return elements.join(',');
}

const nested = (open: string, depth: number, close: string, inside = '') =>
  open.repeat(depth) + inside + close.repeat(depth);

const post = (path: string, body: string) =>
  server.callRaw('POST', path, { body, headers: { 'content-type': 'application/json' } });

// Each of them would hold the server for minutes if it took the square of its length.
test('bodies of 4 MiB that are all depth, keys or elements are refused with a place', {
  timeout: 60_000,
}, async () => {
  const messages = `/sessions/${await server.newSession()}/messages`;
  const harmful: Record<string, [path: string, body: string]> = {
    'lists in lists': ['/sessions', nested('[', 2_000_000, ']')],
    'lists in lists in options': [
      messages,
      `{"content": "x", "options": {"a": ${nested('[', 1_900_000, ']')}}}`,
    ],
    'objects in objects': [messages, nested('{"a":', 600_000, '}', '1')],
    'unknown fields': ['/sessions', `{${full((index) => `"k${index}": 1`)}}`],
    'one unknown field again and again': ['/sessions', `{${full(() => '"k": 1')}}`],
    'fields with numbers for names': ['/sessions', `{${full((index) => `"${index * 7919}": 1`)}}`],
    'metadata of many keys': ['/sessions', `{"metadata": {${full((index) => `"k${index}": "v"`)}}}`],
    'metadata of the wrong type': ['/sessions', `{"metadata": {${full((index) => `"k${index}": 1`)}}}`],
    'parts of a message': [messages, `{"content": [${full(() => '{"type": "text", "text": "x"}')}]}`],
    'parts that are none': [messages, `{"content": [${full(() => '1')}]}`],
    'empty lists in options': [messages, `{"content": "x", "options": {"a": [${full(() => '[]')}]}}`],
    'keys of prototypes': [messages, `{"content": "x", "options": {${full(() => '"__proto__": {}')}}}`],
    'a key of a prototype far below': [
      messages,
      `{"content": "x", "options": ${nested('{"a":', 500_000, '}', '{"__proto__": 1}')}}`,
    ],
  };
  for (const [name, [path, body]] of Object.entries(harmful)) {
    const answer = await post(path, body);
    assert.deepEqual([answer.status, answer.body.error.code], [400, 'invalid_request'], name);
    const { problems } = answer.body.error.details;
    assert.ok(problems.length > 0 && problems.length <= 20, `${name}: ${problems.length}`);
    assert.equal(problems[0].in, 'body', name);
  }
  assert.equal(server.double.requests.length, 0);
  assert.equal((await server.call('GET', '/health')).status, 200);
});

test('what is there again and again is there as it was said last', async () => {
  const { status, body } = await post(
    '/sessions',
    `{${full((index) => `"title": "t${index % 10}"`)}, "title": "last"}`,
  );
  assert.deepEqual([status, body.title], [201, 'last']);
});

test('names that mean something to objects are names like any others, stored and passed on as they are', async () => {
  const names = [
    'constructor',
    'prototype',
    'toString',
    'valueOf',
    'hasOwnProperty',
    'toJSON',
    'then',
    'length',
    '0',
  ];
  const metadata = Object.fromEntries(names.map((name) => [name, `is ${name}`]));
  const made = await server.call('POST', '/sessions', { metadata });
  assert.equal(made.status, 201);
  const read = await server.call('GET', `/sessions/${made.body.id}`);
  assert.deepEqual(read.body.metadata, metadata);
  for (const name of names) {
    const { body } = await server.call('GET', `/sessions?metadata[${name}]=is%20${name}`);
    assert.deepEqual(
      body.data.map((session: any) => session.id),
      [made.body.id],
      name,
    );
  }
  const options = { parley: { ...metadata, deeper: [{ ...metadata }] } };
  const answer = await server.send(made.body.id, 'Hello', { options, metadata });
  assert.equal(answer.status, 200);
  assert.deepEqual(server.double.last.body['parley'], options.parley);
  assert.deepEqual(answer.body.history[0].metadata, metadata);
});

test('queries reach no prototype either', async () => {
  const id = await server.newSession({ metadata: { a: '1' } });
  for (const query of [
    '__proto__[a]=1',
    '__proto__=1',
    'constructor[prototype]=1',
    'toString=1',
    'metadata=x&metadata[a]=1',
  ]) {
    const answer = await server.call('GET', `/sessions?${query}`);
    assert.deepEqual([answer.status, answer.body.error.code], [400, 'invalid_request'], query);
  }
  const none = await server.call('GET', '/sessions?metadata[__proto__]=x');
  assert.deepEqual(none.body.data, []);
  // Nothing is read from what they would have changed.
  const one = await server.call('GET', '/sessions?metadata[a]=1');
  assert.deepEqual(
    one.body.data.map((session: any) => session.id),
    [id],
  );
});
