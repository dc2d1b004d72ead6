/** Traces: what an operator sees of each request, sent to a collector by the real command. */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { providerErrorMessage } from '../provider-double.ts';
import { type CollectedSpan, treeOf } from '../trace-collector.ts';
import { call, newSession, send, stream } from './client.ts';
import { outputWith } from './parley-process.ts';
import { createGate } from './parley-with-double.ts';
import { startTracedParley } from './traced-parley.ts';

const SEND = 'POST /sessions/:session_id/messages';
const INTERNAL = 1;
const SERVER = 2;
const CLIENT = 3;
const ERROR = { code: 2 };
const UNSET = { code: 0 };

function named(spans: readonly CollectedSpan[], name: string): CollectedSpan[] {
  return spans.filter((span) => span.name === name);
}

function only(spans: readonly CollectedSpan[], name: string): CollectedSpan {
  const [span, ...others] = named(spans, name);
  assert.ok(span, `there is a span ${name}`);
  assert.deepEqual(others, []);
  return span;
}

/** The spans of the only trace with a message sent. */
function sent(spans: readonly CollectedSpan[]): CollectedSpan[] {
  const { traceId } = only(spans, SEND);
  return spans.filter((span) => span.traceId === traceId);
}

function traceparentOf({ traceId, spanId }: CollectedSpan): string {
  return `00-${traceId}-${spanId}-01`;
}

for (const streaming of [false, true]) {
  test(`a turn with a fallback is one tree of spans, ${streaming ? 'streamed' : 'whole'}`, async (context) => {
    const { url, parley, double, spans } = await startTracedParley(context, { OTEL_SERVICE_NAME: 'chat' });
    const sessionId = await newSession(url);
    double.respondOnce({ status: 401 }, { text: ['Hello', ' there'], model: 'model-b-2026' });
    const options = { temperature: 0.5, max_tokens: 100, user: 'somebody' };
    const { headers } = streaming
      ? await stream(url, sessionId, 'Hello', { options })
      : await send(url, sessionId, 'Hello', { options });
    const asked = double.requests.map((request) => request.headers['traceparent']);
    const [turn] = (await call(url, 'GET', `/sessions/${sessionId}/turns`)).body.data;

    const all = await spans();
    const trace = sent(all);
    assert.deepEqual(treeOf(trace), [
      SEND,
      '  store beginTurn',
      '  turn',
      '    chat model-a',
      '    chat model-b',
      '    store commitTurn',
    ]);

    const requested = only(trace, SEND);
    assert.deepEqual([requested.kind, requested.status, requested.parentSpanId], [SERVER, UNSET, undefined]);
    assert.deepEqual(requested.attributes, {
      'http.request.method': 'POST',
      'http.route': '/sessions/:session_id/messages',
      'http.response.status_code': 200,
      'parley.request.id': headers.get('x-request-id'),
    });
    assert.equal(requested.resource['service.name'], 'chat');

    const ran = only(trace, 'turn');
    assert.deepEqual([ran.kind, ran.status], [INTERNAL, UNSET]);
    assert.deepEqual(ran.attributes, {
      'parley.turn.id': turn.id,
      'gen_ai.conversation.id': sessionId,
      'parley.turn.status': 'completed',
      'parley.turn.attempts': 2,
      'parley.turn.provider_source': 'fallback',
    });

    const asking = (provider: string, model: string) => ({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': provider,
      'gen_ai.request.model': model,
      'gen_ai.request.stream': streaming,
      'gen_ai.conversation.id': sessionId,
      'gen_ai.request.temperature': 0.5,
      'gen_ai.request.max_tokens': 100,
    });
    const failed = only(trace, 'chat model-a');
    assert.deepEqual([failed.kind, failed.status], [CLIENT, ERROR]);
    assert.deepEqual(failed.attributes, { ...asking('alpha', 'model-a'), 'error.type': 'unauthorized' });
    const answered = only(trace, 'chat model-b');
    assert.deepEqual([answered.kind, answered.status], [CLIENT, UNSET]);
    const { 'gen_ai.response.time_to_first_chunk': first, ...told } = answered.attributes;
    assert.equal(typeof first, streaming ? 'number' : 'undefined');
    assert.deepEqual(told, {
      ...asking('beta', 'model-b'),
      'gen_ai.response.model': 'model-b-2026',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 11,
      'gen_ai.usage.cache_read.input_tokens': 0,
      'gen_ai.usage.output_tokens': 7,
      'gen_ai.usage.reasoning.output_tokens': 0,
    });
    assert.deepEqual(asked, [traceparentOf(failed), traceparentOf(answered)]);

    const begun = only(trace, 'store beginTurn');
    assert.deepEqual([begun.kind, begun.attributes], [INTERNAL, { 'parley.store.method': 'beginTurn' }]);
    const lines = parley.logLines().filter((line) => line['trace_id'] === requested.traceId);
    assert.deepEqual(new Set(lines.map(({ msg }) => msg)), new Set(['request', 'turn']));
  });
}

test('every request is a trace of its own, named by the pattern of its route', async (context) => {
  const { url, spans } = await startTracedParley(context);
  await newSession(url);
  await call(url, 'GET', '/sessions?metadata[a]=b');
  await call(url, 'GET', '/no/such/path');
  await call(url, 'POST', '/sessions', { nonsense: true });
  await call(url, 'GET', '/sessions/%');
  const all = await spans();
  assert.deepEqual(
    all
      .filter(({ kind }) => kind === SERVER)
      .map(({ name, status, attributes }) => [
        name,
        status.code,
        attributes['http.response.status_code'],
        attributes['parley.error.code'],
      ]),
    [
      ['POST /sessions', 0, 201, undefined],
      ['GET /sessions', 0, 200, undefined],
      ['GET', 0, 404, 'route_not_found'],
      ['POST /sessions', 0, 400, 'invalid_request'],
      ['GET', 0, 400, 'invalid_request'],
    ],
  );
  assert.equal(new Set(all.filter(({ kind }) => kind === SERVER).map(({ traceId }) => traceId)).size, 5);
});

test('a turn that fails says why by its code, in its own span and in that of the request', async (context) => {
  const { url, double, spans } = await startTracedParley(context);
  const sessionId = await newSession(url, { fallback_providers: [] });
  double.respond({ status: 401 });
  assert.equal((await send(url, sessionId, 'Hello')).status, 502);
  const trace = sent(await spans());
  assert.deepEqual(treeOf(trace), [
    SEND,
    '  store beginTurn',
    '  turn',
    '    chat model-a',
    '    store commitTurn',
  ]);
  const errors = [SEND, 'turn', 'chat model-a', 'store commitTurn'].map((name) => {
    const { status, attributes } = only(trace, name);
    return [status, attributes['error.type']];
  });
  assert.deepEqual(errors, [
    [ERROR, 'provider_error'],
    [ERROR, 'provider_error'],
    [ERROR, 'unauthorized'],
    [UNSET, undefined],
  ]);
  assert.equal(only(trace, 'turn').attributes['parley.turn.status'], 'failed');
});

test('a turn goes on in the trace of a request whose client has left', async (context) => {
  const { url, parley, double, spans } = await startTracedParley(context);
  const sessionId = await newSession(url);
  const held = createGate();
  double.respond({ text: 'late', waitBefore: held.opened });
  const left = request(`${url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  });
  left.on('error', () => undefined).end('{"content": "Hello"}');
  await double.arrived(1);
  left.destroy();
  await outputWith(parley, (output) => output.includes('"client_left":true'));
  held.open();
  await outputWith(parley, (output) => output.includes('"msg":"turn"'));
  const trace = sent(await spans());
  assert.deepEqual(treeOf(trace), [
    SEND,
    '  store beginTurn',
    '  turn',
    '    chat model-a',
    '    store commitTurn',
  ]);
  const requested = only(trace, SEND);
  const turn = only(trace, 'turn');
  assert.equal(requested.attributes['parley.request.client_left'], true);
  assert.equal(requested.attributes['http.response.status_code'], undefined);
  assert.equal(turn.attributes['parley.turn.status'], 'completed');
  assert.ok(turn.endedAt >= requested.endedAt, 'the turn is over later');
});

test('a turn that is cancelled is no failure; what it asked was broken off', async (context) => {
  const { url, double, spans } = await startTracedParley(context);
  const sessionId = await newSession(url);
  double.respond({ text: ['Once', ' upon'], hang: true, done: false, finishReason: null, usage: 'never' });
  const answer = send(url, sessionId, 'Hello', { stream: true });
  await double.arrived(1);
  const [turn] = (await call(url, 'GET', `/sessions/${sessionId}/turns`)).body.data;
  await call(url, 'POST', `/sessions/${sessionId}/turns/${turn.id}/cancel`);
  await answer;
  const trace = sent(await spans());
  const { status, attributes } = only(trace, 'turn');
  assert.deepEqual([status, attributes['parley.turn.status']], [UNSET, 'cancelled']);
  const attempt = only(trace, 'chat model-a');
  assert.deepEqual([attempt.status, attempt.attributes['error.type']], [ERROR, 'aborted']);
});

test("a caller's trace is gone on with, and nothing else of what the caller sends", async (context) => {
  const { url, double, spans } = await startTracedParley(context);
  const sessionId = await newSession(url);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  await send(
    url,
    sessionId,
    'Hello',
    {},
    {
      traceparent: `00-${traceId}-b7ad6b7169203331-01`,
      tracestate: 'vendor=opaque',
      baggage: 'user=ada',
    },
  );
  const { headers } = double.last;
  const trace = sent(await spans());
  const requested = only(trace, SEND);
  assert.deepEqual([requested.traceId, requested.parentSpanId], [traceId, 'b7ad6b7169203331']);
  assert.equal(headers['traceparent'], traceparentOf(only(trace, 'chat model-a')));
  assert.equal(headers['tracestate'], 'vendor=opaque');
  assert.equal(headers['baggage'], undefined);
});

test('a caller that does not want its trace kept is heeded, also by providers', async (context) => {
  const { url, double, spans } = await startTracedParley(context);
  const sessionId = await newSession(url);
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  await send(url, sessionId, 'Hello', {}, { traceparent: `00-${traceId}-b7ad6b7169203331-00` });
  assert.match(String(double.last.headers['traceparent']), new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  const all = await spans();
  assert.equal(named(all, 'POST /sessions').length, 1);
  assert.deepEqual(named(all, SEND), []);
});

test('a traceparent that is none begins a trace of its own', async (context) => {
  const { url, spans } = await startTracedParley(context);
  for (const traceparent of ['nonsense', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`, '00-x-y-z']) {
    await call(url, 'GET', '/health', undefined, { traceparent });
  }
  const roots = named(await spans(), 'GET /health');
  assert.equal(roots.length, 3);
  assert.ok(roots.every(({ parentSpanId }) => parentSpanId === undefined));
});

test('OTEL_TRACES_SAMPLER_ARG is the share of traces that are kept', async (context) => {
  const { url, collector, double, spans } = await startTracedParley(context, {
    OTEL_TRACES_SAMPLER_ARG: '0',
  });
  const sessionId = await newSession(url);
  await send(url, sessionId, 'Hello');
  assert.match(String(double.last.headers['traceparent']), /-00$/);
  assert.deepEqual(await spans(), []);
  assert.deepEqual(collector.posts, []);
});

test('what a provider says of its failure is in no span', async (context) => {
  const { url, double, collector, spans } = await startTracedParley(context, {
    OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true',
  });
  const sessionId = await newSession(url);
  double.respondOnce({ status: 400 }, { status: 500 }, { status: 500 });
  await send(url, sessionId, 'Hello');
  await send(url, sessionId, 'Hello');
  assert.ok((await spans()).length > 0);
  for (const { text } of collector.posts) assert.equal(text.includes(providerErrorMessage), false);
});
