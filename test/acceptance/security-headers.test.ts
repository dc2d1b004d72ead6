/** What every answer tells browsers, whoever makes it: routes, errors, streams, the documentation, and no request. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { sendBytes, sendRequest } from './raw-http.ts';

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble();
});
after(() => server.close());

const DATA = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const named = (headers: Headers, names: object) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, headers.get(name)]));

test('answers, errors and streams are data: not to be kept, run, framed or taken in', async () => {
  const id = await server.newSession();
  const answers = {
    'a session': await server.call('GET', `/sessions/${id}`),
    'an answer': await server.send(id, 'Hello'),
    'a stream': await server.send(id, 'Hello', { stream: true }),
    'an unknown path': await server.call('GET', '/nowhere'),
    'another method': await server.call('DELETE', '/health'),
    'a body that is no JSON': await server.callRaw('POST', '/sessions', { body: '{' }),
    'administration without a token': await server.call('GET', '/admin/clients'),
    'metrics as text': await server.callRaw('GET', '/metrics', { headers: { accept: 'text/plain' } }),
    'a path that cannot be read': await sendRequest(server.url, 'GET /%zz'),
    'no Host': await sendBytes(server.url, 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'),
    'a head that is too large': await sendRequest(server.url, `GET /${'x'.repeat(20_000)}`),
    'no HTTP at all': await sendBytes(server.url, 'hello\r\n\r\n'),
  };
  for (const [name, { headers }] of Object.entries(answers)) {
    assert.deepEqual(named(headers, DATA), DATA, name);
    assert.equal(headers.get('strict-transport-security'), null, name);
    assert.equal(headers.get('x-powered-by'), null, name);
  }
});

test('what is the same for everybody may be kept', async () => {
  for (const path of ['/openapi.json', '/docs/', '/docs/js/scalar.js']) {
    const { headers } = await server.callRaw('GET', path);
    assert.equal(headers.get('cache-control'), 'no-cache', path);
    assert.equal(headers.get('x-content-type-options'), 'nosniff', path);
  }
});

test('the page of the documentation may run its own scripts and no others, and ask this server alone', async () => {
  const { headers, body: html } = await server.callRaw('GET', '/docs/');
  const policy = new Map(
    (headers.get('content-security-policy') ?? '').split('; ').map((directive) => {
      const [name = '', ...sources] = directive.split(' ');
      return [name, sources] as const;
    }),
  );
  assert.deepEqual(policy.get('default-src'), ["'none'"]);
  assert.deepEqual(policy.get('connect-src'), ["'self'"]);
  assert.deepEqual(policy.get('frame-ancestors'), ["'none'"]);
  const scripts = policy.get('script-src') ?? [];
  assert.ok(
    scripts.every((source) => source === "'self'" || /^'sha256-[\w+/]+=*'$/.test(source)),
    String(scripts),
  );

  let inline = 0;
  for (const [, attributes = '', code = ''] of String(html).matchAll(/<script\b([^>]*)>([^]*?)<\/script>/g)) {
    const source = /\bsrc="([^"]+)"/.exec(attributes)?.[1];
    if (source !== undefined) {
      assert.equal(new URL(source, `${server.url}/docs/`).origin, server.url);
      continue;
    }
    inline += 1;
    assert.ok(scripts.includes(`'sha256-${createHash('sha256').update(code).digest('base64')}'`), code);
  }
  assert.ok(inline > 0);
  // What the policy does not speak of: handlers in attributes, styles and pictures of elsewhere.
  assert.doesNotMatch(html, /\son\w+\s*=|javascript:/i);
  assert.doesNotMatch(html, /<(?:link|img|iframe|object|embed|base)\b/i);
});
