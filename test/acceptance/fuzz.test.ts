/** Random requests to every documented route: never a fault of the server, always an answer as documented. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { Operation } from './openapi-document.ts';
import { type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';

/** Fixed, so that a run that failed fails again. */
const SEED = 20_261_122;
/** For each operation, so that each is met with what it takes as well. */
const RUNS = 20;

let server: ParleyWithDouble;
before(async () => {
  server = await startParleyWithDouble({ DATABASE_URL: 'memory:' });
});
after(() => server.close());

interface Call {
  method: string;
  template: string;
  parameters: Record<string, string>;
  query: [string, string][];
  headers: Record<string, string>;
  body: string;
}

const text = fc.string({ unit: 'binary', maxLength: 20 });
const oddText = fc.oneof(
  text,
  fc.constantFrom('', 'null', '%', '../..', '\u0000', '\ud800', "' OR 1=1 --", '__proto__', 'a'.repeat(600)),
);
const value = fc.oneof(
  { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  fc.constantFrom(null, 0, -1, 1, 1e21, 1e-7, Number.MAX_SAFE_INTEGER, true, '', [], {}, 'x'.repeat(2000)),
  oddText,
);

/** What a field of this name may hold, right or wrong. */
const valuesByName: Record<string, fc.Arbitrary<unknown>> = {
  content: fc.oneof(
    text,
    fc.array(
      fc.record(
        {
          type: fc.constantFrom('text', 'image_url', 'file', 'audio'),
          text: oddText,
          image_url: fc.record({
            url: fc.constantFrom('https://example.test/x', 'data:image/png;base64,', 'x'),
          }),
          file: fc.dictionary(fc.constantFrom('file_id', 'file_data', 'filename'), oddText),
        },
        { requiredKeys: ['type'] },
      ),
      { maxLength: 3 },
    ),
  ),
  role: fc.constantFrom('user', 'system', 'developer', 'tool', 'assistant'),
  provider: fc.constantFrom('openai', 'OPENAI ', 'nobody', ''),
  tools: fc.constantFrom('none', null, [], ['files'], ['files.read_*', '*'], ['a.b.c'], 'all'),
  fallback_provider: fc.constantFrom('openai', 'openai/x', '/'),
  fallback_providers: fc.array(fc.constantFrom('openai', 'openai/x', '/', ''), { maxLength: 3 }),
  model: oddText,
  title: oddText,
  ip: fc.constantFrom('10.0.0.1', '10.0.0.0/8', '::1', 'x'),
  note: fc.constantFrom(null, 'n', ''),
  expires_at: fc.constantFrom(null, '2126-01-01T00:00:00Z', 'x'),
  instructions: oddText,
  memory_limit: fc.integer({ min: -2, max: 2000 }),
  max_context_tokens: fc.integer({ min: -2, max: 2000 }),
  metadata: fc.dictionary(oddText, oddText, { maxKeys: 3 }),
  options: fc.dictionary(
    fc.constantFrom('tools', 'stop', 'stream', 'messages', 'stream_options', 'model'),
    value,
  ),
  stream: fc.boolean(),
  tool_call_id: oddText,
  messages: fc.array(
    fc.record(
      {
        id: oddText,
        role: fc.constantFrom('user', 'assistant', 'system', 'tool'),
        parts: fc.array(
          fc.record(
            {
              type: fc.constantFrom('text', 'file', 'tool-look', 'dynamic-tool', 'step-start'),
              text: oddText,
              url: fc.constantFrom('https://example.test/x', 'data:image/png;base64,', 'x'),
              mediaType: fc.constantFrom('image/png', 'text/plain', 'x'),
              state: fc.constantFrom('output-available', 'output-error', 'approval-responded'),
              output: value,
              approval: fc.record({ id: oddText, approved: fc.boolean() }),
            },
            { requiredKeys: ['type'] },
          ),
          { maxLength: 3 },
        ),
      },
      { requiredKeys: ['role', 'parts'] },
    ),
    { maxLength: 3 },
  ),
  trigger: fc.constantFrom('submit-message', 'regenerate-message', 'resume-stream'),
  messageId: oddText,
  input: fc.oneof(
    text,
    fc.array(
      fc.record(
        {
          type: fc.constantFrom(
            'message',
            'function_call',
            'function_call_output',
            'item_reference',
            'reasoning',
          ),
          role: fc.constantFrom('user', 'assistant', 'system'),
          content: oddText,
          id: oddText,
          call_id: fc.constantFrom('c', 'd'),
          name: oddText,
          arguments: oddText,
          output: oddText,
        },
        { requiredKeys: ['type', 'role', 'content'] },
      ),
      { maxLength: 3 },
    ),
  ),
  conversation: fc.constantFrom(null, 'conv_1', { id: `conv_${'0'.repeat(32)}` }),
  previous_response_id: fc.constantFrom(null, 'resp_1', `resp_${'0'.repeat(64)}`),
  text: fc.constantFrom({ format: { type: 'json_object' } }, { format: {} }, { verbosity: 'low' }),
  tool_choice: fc.constantFrom('auto', 'required', { type: 'function', name: 'f' }),
  max_output_tokens: fc.integer({ min: -1, max: 100 }),
  background: fc.boolean(),
  store: fc.boolean(),
};

function body(fields: readonly string[]): fc.Arbitrary<string> {
  const known = Object.fromEntries(
    fields.map((name) => [name, fc.oneof({ weight: 4, arbitrary: valuesByName[name] ?? value }, value)]),
  );
  const records = fc.record(known, { requiredKeys: [] });
  return fc.oneof(
    { weight: 6, arbitrary: records.map((one) => JSON.stringify(one)) },
    { weight: 2, arbitrary: value.map((one) => JSON.stringify(one)) },
    {
      weight: 1,
      arbitrary: fc.tuple(records, text).map(([one, more]) => JSON.stringify({ ...one, [more]: 1 })),
    },
    { weight: 1, arbitrary: fc.json().map((json) => json.slice(0, -1)) },
    { weight: 1, arbitrary: text },
  );
}

function callOf(template: string, method: string, operation: Operation): fc.Arbitrary<Call> {
  const named = (where: string) =>
    (operation.parameters ?? []).filter((parameter) => parameter.in === where).map(({ name }) => name);
  const id = fc.oneof({ weight: 4, arbitrary: fc.constant('known') }, oddText);
  const queryName = fc.oneof(
    fc.constantFrom('limit', 'after', 'order', 'metadata[a]', 'metadata', ...named('query')),
    oddText,
    oddText.map((key) => `metadata[${key}]`),
  );
  const queryValue = fc.oneof(
    fc.constantFrom(
      '1',
      '100',
      'asc',
      'desc',
      '0',
      '-5',
      '2026-11-25',
      'day,model',
      'completed',
      '2000-01-01T00:00:00Z',
    ),
    oddText,
  );
  const schema = operation.requestBody?.content['application/json']?.schema;
  return fc.record({
    method: fc.constant(method.toUpperCase()),
    template: fc.constant(template),
    parameters: fc.record(Object.fromEntries(named('path').map((name) => [name, id]))),
    query: fc.array(fc.tuple(queryName, queryValue), { maxLength: method === 'get' ? 4 : 1 }),
    headers: fc.record(
      {
        'content-type': fc.constantFrom('application/json', 'application/json', 'text/plain', 'x'),
        'x-provider': fc.constantFrom('openai', 'nobody', '', 'x'.repeat(100)),
        accept: fc.constantFrom('*/*', 'text/event-stream', 'nonsense'),
      },
      { requiredKeys: ['content-type'] },
    ),
    body:
      schema === undefined
        ? text
        : body('properties' in schema ? Object.keys(schema.properties as object) : []),
  });
}

/** A path segment or query part; half surrogate pairs cannot be written in a URL. */
const encode = (one: string) => encodeURIComponent(one.toWellFormed());

/** Arbitrary calls of the document's operations, those of the administration or the others. */
function callsOf({ document }: ParleyWithDouble, kind: 'api' | 'admin'): fc.Arbitrary<Call>[] {
  return Object.entries(document.paths)
    .filter(([template]) => template.startsWith('/admin') === (kind === 'admin'))
    .flatMap(([template, operations]) =>
      Object.entries(operations).map(([method, operation]) => callOf(template, method, operation)),
    );
}

test('random requests never make a 5xx, and are answered as documented', { timeout: 120_000 }, async (t) => {
  const calls = callsOf(server, 'api');
  assert.ok(calls.length > 10);
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(fc.oneof(...calls), async (call) => {
      const sessionId = await server.newSession();
      const { turn_id: turnId, message } = await server.converse(sessionId, 'x');
      const known: Record<string, string> = {
        session_id: sessionId,
        turn_id: turnId,
        message_id: message.id,
        completion_id: `chatcmpl-${(sessionId + turnId).replaceAll('-', '')}`,
        response_id: `resp_${(sessionId + turnId).replaceAll('-', '')}`,
        conversation_id: `conv_${sessionId.replaceAll('-', '')}`,
        item_id: message.id,
      };
      const path = call.template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        const given = call.parameters[name] ?? '';
        return given === 'known' ? (known[name] ?? '') : encode(given);
      });
      const query = call.query.map(([name, text]) => `${encode(name)}=${encode(text)}`).join('&');
      const hasBody = call.method !== 'GET' && call.method !== 'DELETE';
      const answer = await server.callRaw(call.method, query === '' ? path : `${path}?${query}`, {
        headers: call.headers,
        ...(hasBody ? { body: call.body } : {}),
      });
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      assert.ok(answer.status < 500, `${answer.status}: ${JSON.stringify(answer.body)}`);
    }),
    { seed: SEED, numRuns: RUNS * calls.length },
  );
  t.diagnostic(`statuses: ${JSON.stringify([...statuses])}`);
  // If all were refused at the door, nothing was tried.
  for (const status of [200, 201, 204, 400, 404]) assert.ok(statuses.has(status), `no answer was ${status}`);
});

test('nor do random requests of the administration', { timeout: 120_000 }, async (t) => {
  // With a key of its own the server is closed, whatever clients are made.
  const closed = await startParleyWithDouble({ ADMIN_TOKEN: 'admin', API_KEYS: 'ada:key-of-ada' });
  t.after(() => closed.close());
  const token = { 'x-admin-token': 'admin' };
  const ada = { 'x-api-key': 'key-of-ada' };
  const calls = callsOf(closed, 'admin');
  assert.ok(calls.length > 10);
  const statuses = new Set<number>();
  /** With ids that are there, and past the token. */
  const tried = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.oneof(...calls), async (call) => {
      const { body: client } = await closed.call('POST', '/admin/clients', { name: 'one' }, token);
      const { body: session } = await closed.call('POST', '/sessions', {}, ada);
      const content = { content: 'x' };
      const { body: sent } = await closed.call('POST', `/sessions/${session.id}/messages`, content, ada);
      const known: Record<string, string> = {
        client_id: client.id,
        key_id: client.key.id,
        ip: '10.0.0.1',
        session_id: session.id,
        turn_id: sent.turn_id,
        message_id: sent.message.id,
      };
      const path = call.template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        const given = call.parameters[name] ?? '';
        return given === 'known' ? (known[name] ?? '') : encode(given);
      });
      const query = call.query.map(([name, text]) => `${encode(name)}=${encode(text)}`).join('&');
      const hasBody = call.method !== 'GET' && call.method !== 'DELETE';
      const answer = await closed.callRaw(call.method, query === '' ? path : `${path}?${query}`, {
        headers: { ...call.headers, ...token },
        ...(hasBody ? { body: call.body } : {}),
      });
      statuses.add(answer.status);
      const isKnown = Object.values(call.parameters).every((given) => given === 'known');
      if (isKnown && answer.status !== 401) tried.add(`${call.method} ${call.template}`);
      assert.ok(answer.status < 500, `${answer.status}: ${JSON.stringify(answer.body)}`);
    }),
    { seed: SEED, numRuns: RUNS * calls.length },
  );
  for (const status of [200, 201, 204, 400, 404]) assert.ok(statuses.has(status), `no answer was ${status}`);
  for (const [template, operations] of Object.entries(closed.document.paths)) {
    if (!template.startsWith('/admin')) continue;
    for (const method of Object.keys(operations)) {
      assert.ok(tried.has(`${method.toUpperCase()} ${template}`), `${method} ${template} was not tried`);
    }
  }
});
