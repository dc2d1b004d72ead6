/** Requests that are wrong as HTTP, as JSON or in their path: what they are told, and that none makes a 500. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { Answer } from './client.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { type RawAnswer, sendBytes, sendRequest } from './raw-http.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ ADMIN_TOKEN: 'admin' });
});
beforeEach(() => server.double.reset());
after(() => server.close());

const everyMethod: readonly string[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];
const MIB = 1024 * 1024;
const jsonType = { 'content-type': 'application/json' };

const post = (
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = jsonType,
) => server.callRaw('POST', path, { body, headers });

function assertError({ status, headers, body }: Answer | RawAnswer, expected: number, code: string): void {
  assert.deepEqual([status, body.error?.code], [expected, code], JSON.stringify(body));
  assert.equal(body.request_id, headers.get('x-request-id'));
  assert.match(body.request_id, /^[0-9a-f-]{36}$/);
}

/** A message as JSON, exactly so many bytes long. */
function messageOfBytes(bytes: number): string {
  const empty = JSON.stringify({ content: '' }).length;
  return JSON.stringify({ content: 'x'.repeat(bytes - empty) });
}

test('a body of 4 MiB passes, one byte more is refused', async () => {
  const id = await server.newSession();
  const path = `/sessions/${id}/messages`;
  const fits = await post(path, messageOfBytes(4 * MIB));
  assert.equal(fits.status, 200);
  assert.equal(fits.body.history[0].content.length, 4 * MIB - JSON.stringify({ content: '' }).length);
  assertError(await post(path, messageOfBytes(4 * MIB + 1)), 413, 'body_too_large');
  assertError(await post(path, messageOfBytes(6 * MIB)), 413, 'body_too_large');
});

test('a body of unknown length is refused as soon as it is too long', async () => {
  const id = await server.newSession();
  const chunk = `${(MIB).toString(16)}\r\n${' '.repeat(MIB)}\r\n`;
  const answer = await sendRequest(
    server.url,
    `POST /sessions/${id}/messages`,
    'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n',
    chunk.repeat(4) + '1\r\n \r\n',
  );
  assertError(answer, 413, 'body_too_large');
});

test('what is not JSON is refused', async () => {
  const id = await server.newSession();
  for (const text of [
    '{',
    '{"content": "x"',
    "{'content': 'x'}",
    'content=x',
    '{"content": NaN}',
    ' ',
    '\u0000',
  ]) {
    assertError(await post(`/sessions/${id}/messages`, text), 400, 'invalid_json');
  }
  assertError(await post('/sessions', new Uint8Array([0xff, 0xfe, 0x7b, 0x7d])), 400, 'invalid_json');
  assert.equal(server.double.requests.length, 0);
});

test('a missing body is refused where one is needed, and no obstacle where none is', async () => {
  const id = await server.newSession();
  for (const headers of [{}, jsonType]) {
    assertError(
      await server.callRaw('POST', `/sessions/${id}/messages`, { headers }),
      400,
      'invalid_request',
    );
    assertError(await server.callRaw('PATCH', `/sessions/${id}`, { headers }), 400, 'invalid_request');
    assert.equal((await server.callRaw('POST', '/sessions', { headers })).status, 201);
    assert.equal((await server.callRaw('POST', `/sessions/${id}/fork`, { headers })).status, 201);
    const other = await server.newSession();
    assert.equal((await server.callRaw('DELETE', `/sessions/${other}`, { headers })).status, 204);
  }
});

test('JSON that is no object is refused with its place', async () => {
  const id = await server.newSession();
  for (const text of ['null', '[]', '"x"', '5', 'true']) {
    const answer = await post(`/sessions/${id}/messages`, text);
    assertError(answer, 400, 'invalid_request');
    const [problem] = answer.body.error.details.problems;
    assert.deepEqual([problem.in, problem.path], ['body', '']);
  }
});

test('another content type is refused', async () => {
  const body = JSON.stringify({ content: 'x' });
  const id = await server.newSession();
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/jsonp',
    'json',
    '/',
    ',',
  ]) {
    assertError(
      await post(`/sessions/${id}/messages`, body, { 'content-type': type }),
      400,
      'invalid_content_type',
    );
  }
  const none = await sendRequest(
    server.url,
    `POST /sessions/${id}/messages`,
    `Content-Length: ${body.length}\r\n`,
    body,
  );
  assertError(none, 400, 'invalid_content_type');
  for (const type of [
    'application/json; charset=utf-8',
    'APPLICATION/JSON',
    'application/json;charset="UTF-8"',
  ]) {
    const answer = await post(`/sessions/${id}/messages`, body, { 'content-type': type });
    assert.equal(answer.status, 200, type);
  }
});

test('deep nesting is refused, or carried', async () => {
  const id = await server.newSession();
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  const options = (depth: number) => `{"content": "x", "options": {"deep": ${nested(depth)}}}`;
  for (const text of [nested(10_000), options(10_000), `{"a":`.repeat(10_000) + '1' + '}'.repeat(10_000)]) {
    assertError(await post(`/sessions/${id}/messages`, text), 400, 'invalid_request');
  }
  const fits = await post(`/sessions/${id}/messages`, options(50));
  assert.equal(fits.status, 200);
  assert.equal(JSON.stringify(server.double.last.body['deep']), nested(50));
});

test('keys that reach into prototypes are refused, and reach nothing', async () => {
  const id = await server.newSession();
  for (const text of [
    '{"content": "x", "__proto__": {"stream": true}}',
    '{"content": "x", "options": {"__proto__": {"polluted": true}}}',
    '{"content": "x", "options": {"constructor": {"prototype": {"polluted": true}}}}',
    '{"content": "x", "metadata": {"__proto__": "x"}}',
  ]) {
    const { status } = await post(`/sessions/${id}/messages`, text);
    assert.equal(status, 400, text);
  }
  assert.equal((await server.send(id, 'x', { options: {} })).status, 200);
  assert.equal('polluted' in server.double.last.body, false);
});

test('odd texts and numbers are carried or refused, never a fault of the server', async () => {
  const id = await server.newSession();
  const path = `/sessions/${id}/messages`;
  for (const content of ['\\ud800', '\\udc00\\ud800', 'a\\u0000b', '\\ufffe\\uffff', '\\ud83d\\ude42']) {
    const { status } = await post(path, `{"content": "${content}"}`);
    assert.equal(status, 200);
    const { content: asked } = server.double.last.body.messages.at(-1) ?? {};
    assert.equal(asked, JSON.parse(`"${content}"`), 'unchanged');
  }
  for (const metadata of ['{"\\ud800": "a", "\\ud801": "b"}', '{"k": "\\udc00"}']) {
    assertError(await post('/sessions', `{"metadata": ${metadata}}`), 400, 'invalid_request');
  }
  // What stores keep as it is, and not as JSON: not all of them could.
  const admin = { ...jsonType, 'x-admin-token': 'admin' };
  for (const [kept, text] of [
    ['/sessions', '{"model": "\\ud83d"}'],
    ['/admin/bypass', '{"ip": "192.0.2.1", "note": "half of \\ud83d"}'],
    ['/admin/clients', '{"name": "\\ude42"}'],
    ['/admin/clients', '{"name": "shop", "note": "\\ude42\\ud83d"}'],
    ['/admin/providers/openai/stop', '{"note": "\\ud83d"}'],
  ] as const) {
    assertError(await post(kept, text, admin), 400, 'invalid_request');
  }
  const whole = await post('/admin/bypass', '{"ip": "192.0.2.1", "note": "\\ud83d\\ude42"}', admin);
  assert.equal(whole.body.note, '\u{1f642}');
  const zero = await post('/sessions', '{"metadata": {"a\\u0000b": "1", "a\\u0000c": "2\\u0000", "a": "3"}}');
  assert.equal(zero.status, 201);
  const found = await server.call('GET', '/sessions?metadata[a%00c]=2%00');
  assert.deepEqual(
    found.body.data.map((session: any) => session.id),
    [zero.body.id],
  );
  for (const number of ['1e400', '-1e400', '1e308', '-1', '0', '1.5', '9007199254740993', '1e-400']) {
    for (const field of ['memory_limit', 'max_context_tokens']) {
      const { status } = await post('/sessions', `{"${field}": ${number}}`);
      assert.ok(status === 400 || (status === 201 && Number(number) >= 1), `${field}: ${number} → ${status}`);
    }
    const options = `{"content": "x", "options": {"seed": ${number}}}`;
    assert.equal((await post(path, options)).status, 200);
  }
});

test('an unknown path is 404', async () => {
  for (const path of [
    '/',
    '/nothing',
    '/sessions/x/nothing',
    '/v2',
    '/sessions/../../etc/passwd',
    '/health/',
  ]) {
    assertError(await server.callRaw('GET', path), 404, 'route_not_found');
  }
});

test('ids of any form that name nothing are 404', async () => {
  const session = await server.newSession();
  const ids = [
    'x',
    '0',
    '-1',
    'null',
    '__proto__',
    'constructor',
    '%00',
    '%27%20OR%201=1--',
    '🙂',
    'a'.repeat(5000),
  ];
  for (const id of [...ids, session.toUpperCase(), ` ${session}`, '00000000-0000-0000-0000-000000000000']) {
    for (const [method, path, body] of [
      ['GET', ''],
      ['PATCH', '', '{}'],
      ['DELETE', ''],
      ['GET', '/messages'],
      ['POST', '/messages', '{"content": "x"}'],
      ['GET', '/window'],
      ['POST', '/fork', '{}'],
      ['GET', '/turns'],
      ['GET', `/turns/${session}`],
    ] as const) {
      const init = body === undefined ? {} : { body, headers: jsonType };
      const name = id.includes('%') ? id : encodeURIComponent(id);
      assertError(await server.callRaw(method, `/sessions/${name}${path}`, init), 404, 'session_not_found');
    }
  }
});

test('another method is 405, and Allow lists those that work', async () => {
  const documented = Object.entries(server.document.paths).map(
    ([path, operations]) => [path, Object.keys(operations).map((method) => method.toUpperCase())] as const,
  );
  const all = [...documented, ['/openapi.json', ['GET']] as const];
  for (const [template, methods] of all) {
    const path = template.replaceAll(/\{\w+\}/g, 'x');
    const allowed: readonly string[] = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
    for (const method of everyMethod) {
      if (allowed.includes(method)) continue;
      const answer = await sendRequest(server.url, `${method} ${path}`, 'X-Admin-Token: admin\r\n');
      const isOpenAI = path.startsWith('/v1/');
      if (isOpenAI) assert.deepEqual([answer.status, answer.body.error.code], [405, 'method_not_allowed']);
      else assertError(answer, 405, 'method_not_allowed');
      const allow = answer.headers.get('allow')?.split(', ') ?? [];
      assert.deepEqual(allow.toSorted(), allowed.toSorted(), `${method} ${path}`);
    }
  }
});

test('bad percent-encoding is refused with its place', async () => {
  for (const path of [
    '/%zz',
    '/sessions/%',
    '/sessions/%ff',
    '/sessions/%c3%28/messages',
    '/sessions/%ed%a0%80',
  ]) {
    const answer = await sendRequest(server.url, `GET ${path}`);
    assertError(answer, 400, 'invalid_request');
    assert.equal(answer.body.error.details.problems[0].in, 'path');
  }
  for (const query of ['after=%zz', 'metadata[%ff]=%', '%=%', '&&&=', 'metadata[]=x', 'metadata[[[=x']) {
    const { status } = await sendRequest(server.url, `GET /sessions?${query}`);
    assert.ok(status === 200 || status === 400, `${query} → ${status}`);
  }
});

test('headers that are too large are 431', async () => {
  const answer = await sendRequest(server.url, 'GET /health', `X-Large: ${'x'.repeat(20_000)}\r\n`);
  assertError(answer, 431, 'headers_too_large');
  assertError(await sendRequest(server.url, `GET /${'x'.repeat(20_000)}`), 431, 'headers_too_large');
});

test('what is not HTTP is refused, and the server goes on', async () => {
  for (const bytes of [
    'hello\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000garbage\r\n\r\n',
    'GET /health HTTP/9.9\r\nHost: x\r\n\r\n',
    'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n',
    'FETCH /health HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n',
    'POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}',
    'POST /sessions HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}',
  ]) {
    assertError(await sendBytes(server.url, bytes), 400, 'invalid_request');
  }
  assert.equal((await server.call('GET', '/health')).status, 200);
});

test('expectations that the server does not know are passed over', async () => {
  const answer = await sendRequest(server.url, 'GET /health', 'Expect: the-impossible\r\n');
  assert.equal(answer.status, 200);
  assert.ok(answer.headers.has('x-request-id'));
});

test('every answer has an X-Request-ID of its own, where the client sends none that is sane', async () => {
  const id = await server.newSession();
  const ids = new Set<string>();
  for (const [method, path] of [
    ['GET', '/health'],
    ['GET', '/providers'],
    ['GET', `/sessions/${id}`],
    ['GET', '/docs/'],
    ['GET', '/openapi.json'],
    ['GET', '/nothing'],
    ['DELETE', '/health'],
  ] as const) {
    const { headers } = await server.callRaw(method, path, { headers: { 'x-request-id': 'not mine' } });
    ids.add(headers.get('x-request-id') ?? '');
  }
  assert.equal(ids.size, 7);
  assert.ok(!ids.has('not mine') && !ids.has(''));
});

test('the errors answered are counted in GET /health', async () => {
  const before = (await server.call('GET', '/health')).body;
  const { body } = await server.call('GET', '/nothing');
  const after = (await server.call('GET', '/health')).body;
  assert.equal(after.errors.total, before.errors.total + 1);
  assert.equal(after.errors.by_code.route_not_found, (before.errors.by_code.route_not_found ?? 0) + 1);
  assert.deepEqual(
    [after.errors.last.code, after.errors.last.request_id],
    ['route_not_found', body.request_id],
  );
  assert.ok(after.uptime_seconds >= before.uptime_seconds);
});
