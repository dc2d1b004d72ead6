/** The OpenAPI document and its page: complete, well-formed, true of the server, and without outside assets. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Compile } from 'typebox/compile';
import { startMcpDouble } from '../mcp-double.ts';
import type { Operation } from './openapi-document.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

/** What the native API offers, beside the document and its page. */
const OPERATIONS = [
  'GET /health',
  'GET /ready',
  'GET /metrics',
  'GET /providers',
  'POST /sessions',
  'GET /sessions',
  'GET /sessions/{session_id}',
  'PATCH /sessions/{session_id}',
  'DELETE /sessions/{session_id}/messages/{message_id}',
  'DELETE /sessions/{session_id}',
  'POST /sessions/{session_id}/fork',
  'GET /sessions/{session_id}/window',
  'GET /tools',
  'POST /sessions/{session_id}/messages',
  'GET /sessions/{session_id}/messages',
  'GET /sessions/{session_id}/turns',
  'GET /sessions/{session_id}/turns/{turn_id}',
  'GET /sessions/{session_id}/turns/{turn_id}/events',
  'POST /sessions/{session_id}/turns/{turn_id}/approvals',
  'POST /sessions/{session_id}/turns/{turn_id}/inputs',
  'POST /sessions/{session_id}/turns/{turn_id}/cancel',
  'POST /ui/{session_id}/chat',
  'GET /ui/{session_id}/chat/stream',
  'GET /ui/{session_id}/chat/{chat_id}/stream',
  'GET /ui/{session_id}/messages',
  'GET /v1/models',
  'GET /v1/models/{model}',
  'POST /v1/chat/completions',
  'GET /v1/chat/completions',
  'GET /v1/chat/completions/{completion_id}',
  'POST /v1/chat/completions/{completion_id}',
  'DELETE /v1/chat/completions/{completion_id}',
  'GET /v1/chat/completions/{completion_id}/messages',
  'POST /v1/conversations',
  'GET /v1/conversations',
  'GET /v1/conversations/{conversation_id}',
  'POST /v1/conversations/{conversation_id}',
  'POST /v1/conversations/{conversation_id}/items',
  'GET /v1/conversations/{conversation_id}/items',
  'GET /v1/conversations/{conversation_id}/items/{item_id}',
  'DELETE /v1/conversations/{conversation_id}/items/{item_id}',
  'DELETE /v1/conversations/{conversation_id}',
  'POST /v1/responses',
  'POST /v1/responses/input_tokens',
  'POST /v1/responses/compact',
  'GET /v1/responses',
  'GET /v1/responses/{response_id}',
  'DELETE /v1/responses/{response_id}',
  'POST /v1/responses/{response_id}/cancel',
  'GET /v1/responses/{response_id}/input_items',
  'GET /admin/bypass',
  'POST /admin/bypass',
  'DELETE /admin/bypass/{ip}',
  'GET /admin/clients',
  'POST /admin/clients',
  'PATCH /admin/clients/{client_id}',
  'DELETE /admin/clients/{client_id}',
  'GET /admin/clients/{client_id}/keys',
  'POST /admin/clients/{client_id}/keys',
  'POST /admin/keys/{key_id}/rotate',
  'DELETE /admin/keys/{key_id}',
  'GET /admin/sessions',
  'GET /admin/sessions/{session_id}',
  'GET /admin/sessions/{session_id}/messages',
  'DELETE /admin/sessions/{session_id}',
  'DELETE /admin/sessions',
  'GET /admin/turns',
  'GET /admin/turns/{turn_id}',
  'GET /admin/usage',
  'GET /admin/providers',
  'POST /admin/providers/{provider}/stop',
  'POST /admin/providers/{provider}/start',
  'POST /admin/providers/{provider}/reset',
  'GET /admin/tools',
  'POST /admin/tools/{server}/{tool}/accept',
  'DELETE /admin/tools/{server}/{tool}',
  'GET /admin/config',
  'GET /admin/audit',
];

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
after(() => server.close());

function operations(): { name: string; path: string; operation: Operation }[] {
  return Object.entries(server.document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );
}

/** Every object of the document that is a schema's, with where it stands. */
function schemas(): { place: string; schema: any }[] {
  return operations().flatMap(({ name, operation }) => [
    ...(operation.parameters ?? []).map(({ name: parameter, schema }) => ({
      place: `${name} ${parameter}`,
      schema,
    })),
    ...contents(`${name} body`, operation.requestBody?.content),
    ...Object.entries(operation.responses).flatMap(([status, response]) =>
      contents(`${name} ${status}`, response.content),
    ),
  ]);
}

const contents = (place: string, content: Record<string, { schema: object }> = {}) =>
  Object.entries(content).map(([type, { schema }]) => ({ place: `${place} ${type}`, schema }));

test('the document is OpenAPI 3.1 and names the server and its version', () => {
  const { document } = server;
  assert.match(document.openapi, /^3\.1\.\d+$/);
  assert.equal(document.info.title, 'Parley');
  assert.match(document.info.version, /^\d+\.\d+\.\d+$/);
});

test('the document has every operation of the API, and no other', () => {
  assert.deepEqual(
    operations()
      .map(({ name }) => name)
      .toSorted(),
    OPERATIONS.toSorted(),
  );
});

test("docs/openai.md has every endpoint of OpenAI's, and none that is not there", async () => {
  const page = await readFile(new URL('../../docs/openai.md', import.meta.url), 'utf8');
  const inTables = [...page.matchAll(/^\| (`[A-Z]+ .*?) \| supported/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([A-Z]+ [^`]+)`/g)].map(([, name = '']) => name),
  );
  const nameless = (name: string) => name.replaceAll(/\{\w+\}/g, '{}');
  const inDocument = OPERATIONS.filter((name) => name.includes(' /v1/'));
  assert.deepEqual(inTables.map(nameless).toSorted(), inDocument.map(nameless).toSorted());
});

test('every operation has an id of its own, a summary, a declared tag and its parameters', () => {
  const declared = new Set((server.document['tags'] as { name: string }[]).map((tag) => tag.name));
  const ids = new Set<string>();
  for (const { name, path, operation } of operations()) {
    assert.match(operation.operationId ?? '', /^[a-z][A-Za-z]+$/, name);
    assert.ok(!ids.has(operation.operationId ?? ''), `${name}: id twice`);
    ids.add(operation.operationId ?? '');
    assert.ok(operation.summary, name);
    assert.ok(operation.tags?.length && operation.tags.every((tag) => declared.has(tag)), name);
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    assert.deepEqual(
      inPath.map((parameter) => [parameter.name, parameter.required]),
      [...path.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => [parameter, true]),
      name,
    );
    for (const status of Object.keys(operation.responses)) assert.match(status, /^[1-5](\d\d|XX)$/);
    for (const { description } of Object.values(operation.responses)) assert.ok(description, name);
    const success = Object.keys(operation.responses).filter((status) => status.startsWith('2'));
    // A stream may also have nothing left to send.
    assert.equal(success.length, /^GET .*\/(events|stream)$/.test(name) ? 2 : 1, name);
  }
});

test('the errors of every operation that can err are documented', () => {
  for (const { name, operation } of operations()) {
    if (!/sessions|v1/.test(name)) continue;
    for (const status of ['4XX', '5XX']) {
      assert.ok(operation.responses[status]?.content?.['application/json'], `${name} ${status}`);
    }
  }
});

test('every schema is one, and every reference leads somewhere', () => {
  const all = schemas();
  assert.ok(all.length > 30);
  for (const { place, schema } of all) {
    Compile(schema);
    walk(schema, (part) => {
      assert.ok(!('nullable' in part), `${place}: "nullable" is not a word of 3.1`);
      if (typeof part['$ref'] === 'string') assert.notEqual(resolved(part['$ref']), undefined, part['$ref']);
      const types = new Set(['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']);
      if (typeof part['type'] === 'string') assert.ok(types.has(part['type']), `${place}: ${part['type']}`);
    });
  }
});

function walk(value: unknown, visit: (part: Record<string, unknown>) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) visit(value as Record<string, unknown>);
  for (const inner of Object.values(value)) walk(inner, visit);
}

function resolved(reference: string): unknown {
  return reference
    .replace(/^#\//, '')
    .split('/')
    .reduce<any>((part, key) => part?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], server.document);
}

test('requests are documented as strict as they are', () => {
  for (const { name, operation } of operations()) {
    const schema = operation.requestBody?.content['application/json']?.schema as any;
    // What OpenAI's clients send is looked at field by field, and refused in its own words.
    if (/^(POST|PATCH) (?!\/v1\/)/.test(name)) assert.equal(schema?.additionalProperties, false, name);
  }
});

test('the metadata filter is documented as it is written', () => {
  const list = server.document.paths['/sessions']?.['get'];
  const metadata = list?.parameters?.find(({ name }) => name === 'metadata');
  assert.deepEqual([metadata?.in, metadata?.style, metadata?.explode], ['query', 'deepObject', true]);
});

/** Without a server of tools no call waits for anything; other tests have some that do. */
const OF_CALLS: Record<string, number> = {
  'POST /sessions/{session_id}/turns/{turn_id}/approvals': 400,
  'POST /sessions/{session_id}/turns/{turn_id}/inputs': 404,
};

test('every operation answers, and as documented', async () => {
  const sessionId = await server.newSession({ provider: 'openai', metadata: { k: 'v' }, memory_limit: 5 });
  const { turn_id: turnId, message } = await server.converse(sessionId, 'Hello');
  server.double.respondOnce({ toolCalls: [{ id: 'c', name: 'f', arguments: '{}' }], reasoning: 'Hm.' });
  await server.send(sessionId, [{ type: 'image_url', image_url: { url: 'https://example.test/a.png' } }]);
  server.double.respondOnce({ refusal: 'I will not.', usageCounts: { prompt_tokens: 1, cost: 0.002 } });
  await server.send(sessionId, 'Do it', { metadata: { m: '1' } });
  server.double.respondOnce({ status: 404 });
  await server.send(sessionId, 'fail');
  const { body: response } = await server.call('POST', '/v1/responses', { input: 'x' });
  const items = [{ role: 'user', content: 'x' }];
  const stored = { messages: items, store: true };
  const { body: completion } = await server.call('POST', '/v1/chat/completions', stored);
  const { body: conversation } = await server.call('POST', '/v1/conversations', { items });
  const { body: listed } = await server.call('GET', `/v1/conversations/${conversation.id}/items`);
  const bodies: Record<string, object> = {
    'POST /sessions': {},
    'POST /v1/chat/completions': { messages: [{ role: 'user', content: 'x' }] },
    'POST /v1/chat/completions/{completion_id}': { metadata: { a: 'b' } },
    'POST /v1/conversations': { items: [{ role: 'user', content: 'x' }] },
    'POST /v1/conversations/{conversation_id}': { metadata: { a: 'b' } },
    'POST /v1/conversations/{conversation_id}/items': { items: [{ role: 'user', content: 'x' }] },
    'POST /v1/responses': { input: 'x' },
    'POST /v1/responses/input_tokens': { input: 'x' },
    'POST /v1/responses/compact': { input: 'x' },
    'PATCH /sessions/{session_id}': { title: 'x' },
    'POST /sessions/{session_id}/fork': { turn_id: turnId },
    'POST /sessions/{session_id}/messages': { content: 'x' },
    'POST /sessions/{session_id}/turns/{turn_id}/approvals': {
      approvals: [{ approval_request_id: 'mcpr_1', approve: true }],
    },
    'POST /sessions/{session_id}/turns/{turn_id}/inputs': { request_id: 'r', action: 'decline' },
    'POST /ui/{session_id}/chat': { messages: [{ role: 'user', parts: [{ type: 'text', text: 'x' }] }] },
  };
  for (const name of deletingLast(OPERATIONS.filter((operation) => !operation.includes(' /admin/')))) {
    const [method = '', template = ''] = name.split(' ');
    const ids = { session_id: sessionId, turn_id: turnId, message_id: message.id };
    const ofOpenAI = {
      completion_id: completion.id,
      response_id: response.id,
      conversation_id: conversation.id,
      item_id: listed.data[0].id,
    };
    const known: Record<string, string> = { ...ids, ...ofOpenAI, model: 'double-model' };
    const path = template.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => known[parameter] ?? '');
    // The client throws where the answer is not as documented.
    const { status } = await server.call(method, path, bodies[name]);
    assert.ok(OF_CALLS[name] === status || (status >= 200 && status < 300), `${name} → ${status}`);
  }
});

function deletingLast(operations: readonly string[]): string[] {
  return operations.toSorted((a, b) => Number(a.startsWith('DELETE')) - Number(b.startsWith('DELETE')));
}

test('every operation of the administration answers, and as documented', async (context) => {
  const mcp = await startMcpDouble('stateless');
  const administered = await startParleyWithDouble({ ADMIN_TOKEN: 'admin', MCP_SERVER_URL: mcp.url });
  context.after(async () => {
    await administered.close();
    await mcp.close();
  });
  const token = { 'x-admin-token': 'admin' };
  await administered.call('GET', '/tools');
  const seen = await administered.call('GET', '/admin/tools', undefined, token);
  const sessionId = await administered.newSession({ metadata: { k: 'v' } });
  const { turn_id: turnId } = await administered.converse(sessionId, 'Hello');
  const made = await administered.call('POST', '/admin/clients', { name: 'one', limits: { rps: 2 } }, token);
  const known: Record<string, string> = {
    client_id: made.body.id,
    key_id: made.body.key.id,
    ip: '10.0.0.1',
    session_id: sessionId,
    turn_id: turnId,
    provider: 'openai',
    server: 'mcp',
    tool: seen.body.data[0].name,
  };
  const queries: Record<string, string> = { 'DELETE /admin/sessions': '?owner=open' };
  const bodies: Record<string, object> = {
    'POST /admin/bypass': { ip: '10.0.0.1', note: 'n', expires_at: '2126-01-01T00:00:00Z' },
    'POST /admin/clients': { name: 'two', note: 'n', expires_at: null },
    'PATCH /admin/clients/{client_id}': { name: 'three', limits: { burst: 3, rps: null } },
    'POST /admin/keys/{key_id}/rotate': { grace_seconds: 60 },
    'POST /admin/providers/{provider}/stop': { note: 'n' },
    'POST /admin/providers/{provider}/reset': { model: 'double-model' },
    'POST /admin/tools/{server}/{tool}/accept': { fingerprint: seen.body.data[0].accepted.fingerprint },
  };
  const ofKeysBeforeClients = (name: string) => (name.startsWith('DELETE /admin/clients') ? 1 : 0);
  const names = deletingLast(OPERATIONS.filter((operation) => operation.includes(' /admin/')));
  for (const name of names.toSorted((a, b) => ofKeysBeforeClients(a) - ofKeysBeforeClients(b))) {
    const [method = '', template = ''] = name.split(' ');
    const path = template.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => known[parameter] ?? '');
    const query = queries[name] ?? '';
    const { status } = await administered.call(method, path + query, bodies[name], token);
    assert.ok(status >= 200 && status < 300, `${name} → ${status}`);
  }
});

test('a streamed answer is documented', async () => {
  const id = await server.newSession();
  const { status, headers } = await server.send(id, 'Hello', { stream: true });
  assert.equal(status, 200);
  assert.match(headers.get('content-type') ?? '', /^text\/event-stream/);
});

test('the page at /docs shows the document without any outside asset', async () => {
  const redirect = await server.callRaw('GET', '/docs');
  const page = await server.callRaw('GET', '/docs/');
  assert.ok(page.status === 200 && [200, 301, 302].includes(redirect.status));
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
  const html: string = page.body;
  assert.ok(html.includes('/openapi.json'), 'it reads the document');

  const loaded = [
    ...html.matchAll(/<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)\s*=\s*["']([^"']+)/gi),
  ]
    .map(([, address]) => address ?? '')
    .filter((address) => !address.startsWith('data:'));
  assert.ok(loaded.length > 0, 'the page has a script');
  for (const address of loaded) {
    const url = new URL(address, `${server.url}/docs/`);
    assert.equal(url.origin, server.url, `${address} is outside`);
    const asset = await server.callRaw('GET', url.pathname);
    assert.equal(asset.status, 200, address);
    assert.ok(asset.body.length > 100, address);
  }
  // What the page itself says, without the document's links: no font, no style, no script of elsewhere.
  assert.doesNotMatch(html, /@import|url\(\s*["']?https?:|importScripts|src\s*=\s*["']https?:/i);
  const settings = /"?withDefaultFonts"?\s*:\s*(\w+)/.exec(html)?.[1];
  assert.equal(settings, 'false', 'the fonts of elsewhere are off');
  assert.match(html, /"?telemetry"?\s*:\s*false/, 'telemetry is off');
});
