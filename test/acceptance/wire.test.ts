/** What providers really send, through the whole server: every variant is the same answer, or the same failure. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, type Script, startProviderDouble } from '../provider-double.ts';
import { scriptedBody } from '../provider-double-script.ts';
import { call, newSession, type StreamEvent, send, stream } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

let double: ProviderDouble;
let parley: ParleyProcess;

before(async () => {
  double = await startProviderDouble();
  parley = await startParley({ OPENAI_BASE_URL: double.url, OPENAI_MODEL: 'm-1', DATABASE_URL: 'memory:' });
});

after(async () => {
  await removeParley(parley);
  await double.close();
});

beforeEach(() => double.reset());

const pieces = ['Grüße', ', ', '世界', ' 👋🏽', '!'];
const usage = { input: 11, output: 7 };

const chunk = (delta: object, finish_reason: string | null = null) =>
  `data: ${JSON.stringify({ model: 'm-1', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;

/** The bytes of a good stream. */
function streamed(script: Script): Buffer {
  const { pieces: frames } = scriptedBody(script, { model: 'm-1', stream: true });
  return Buffer.concat(frames.map((frame) => Buffer.from(frame as string)));
}

function bytesOneByOne(bytes: Buffer): Uint8Array[] {
  return Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
}

/** Streams a message; the deltas joined must be what is stored. */
async function streamTurn(script: Script): Promise<{ events: StreamEvent[]; text: string; last: any }> {
  double.respond(script);
  const sessionId = await newSession(parley.url);
  const { status, events } = await stream(parley.url, sessionId, 'Hello');
  assert.equal(status, 200);
  const last = events.at(-1);
  assert.equal(last?.event, 'turn.completed', JSON.stringify(last?.data));
  const text = events.filter(({ event }) => event === 'message.delta').map(({ data }) => data.text);
  const stored = await call(parley.url, 'GET', `/sessions/${sessionId}/messages`);
  assert.equal(stored.body.data[1].content ?? '', text.join(''));
  return { events, text: text.join(''), last: last?.data };
}

const variants: Record<string, Script> = {
  'plain events': { text: pieces },
  'CRLF line ends': { text: pieces, lineEnd: '\r\n' },
  'no [DONE]': { text: pieces, done: false },
  'bytes cut anywhere': { raw: bytesOneByOne(streamed({ text: pieces })) },
  'CRLF cut anywhere': { raw: bytesOneByOne(streamed({ text: pieces, lineEnd: '\r\n' })) },
  'comments while waiting': {
    raw: [': OPENROUTER PROCESSING\n\n', ':\n', streamed({ text: pieces }), ': bye\n\n'],
  },
  'event names, ids and a byte order mark': {
    raw: ['\uFEFF', streamed({ text: pieces }).toString().replaceAll('data:', 'event: x\nid: 1\ndata:')],
  },
  'no space after the colon': { raw: [streamed({ text: pieces }).toString().replaceAll('data: ', 'data:')] },
  'the last event without its empty line': {
    raw: [streamed({ text: pieces, done: false }).toString().trimEnd()],
  },
  'one malformed event': {
    raw: [chunk({ role: 'assistant' }), 'data: {oops\n\n', streamed({ text: pieces })],
  },
  'JSON instead of a stream': {
    json: {
      model: 'm-1',
      choices: [
        { index: 0, message: { role: 'assistant', content: pieces.join('') }, finish_reason: 'stop' },
      ],
      usage: { prompt_tokens: 11, completion_tokens: 7 },
    },
  },
  'usage with the finish reason': { text: pieces, usage: 'early' },
  'empty choices before the text': {
    raw: ['data: {"choices": [], "prompt_filter_results": []}\n\n', streamed({ text: pieces })],
  },
};

for (const [name, script] of Object.entries(variants)) {
  test(`a stream with ${name} is the answer`, async () => {
    const { text, last } = await streamTurn(script);
    assert.equal(text, pieces.join(''));
    assert.equal(last.message.content, text);
    assert.equal(last.finish_reason, 'stop');
    assert.deepEqual({ input: last.usage.input_tokens, output: last.usage.output_tokens }, usage);
  });
}

test('usage that never comes is null', async () => {
  const { last } = await streamTurn({ text: pieces, usage: 'never' });
  assert.equal(last.usage, null);
});

test("usage keeps cached and reasoning tokens and OpenRouter's cost", async () => {
  const { last } = await streamTurn({
    text: 'ok',
    usageCounts: {
      prompt_tokens: 5,
      completion_tokens: 4,
      total_tokens: 9,
      prompt_tokens_details: { cached_tokens: 3 },
      completion_tokens_details: { reasoning_tokens: 2 },
      cost: 0.25,
    },
  });
  assert.deepEqual(last.usage, {
    input_tokens: 5,
    input_tokens_details: { cached_tokens: 3 },
    output_tokens: 4,
    output_tokens_details: { reasoning_tokens: 2 },
    total_tokens: 9,
    cost: 0.25,
  });
});

for (const reasoningField of ['reasoning_content', 'reasoning'] as const) {
  test(`${reasoningField} arrives as deltas of its own, before the text and not in it`, async () => {
    const { events, last } = await streamTurn({
      reasoning: ['Let me ', 'think.'],
      reasoningField,
      text: ['4', '2'],
    });
    assert.deepEqual(events.map(({ event, data }) => [event, data.text]).slice(1, -1), [
      ['reasoning.delta', 'Let me '],
      ['reasoning.delta', 'think.'],
      ['message.delta', '4'],
      ['message.delta', '2'],
    ]);
    assert.equal(last.message.content, '42');
    const turn = await call(parley.url, 'GET', `/sessions/${last.session_id}/turns/${last.turn_id}`);
    assert.deepEqual(
      turn.body.output.map(({ type, content }: any) => [type, content[0].text]),
      [
        ['reasoning', 'Let me think.'],
        ['message', '42'],
      ],
    );
  });
}

test('a refusal is shown as the answer and kept as a refusal', async () => {
  const { text, last } = await (async () => {
    double.respond({ refusal: ['I will ', 'not.'] });
    const sessionId = await newSession(parley.url);
    const { events } = await stream(parley.url, sessionId, 'Hello');
    const deltas = events.filter(({ event }) => event === 'message.delta').map(({ data }) => data.text);
    return { text: deltas.join(''), last: events.at(-1)?.data };
  })();
  assert.equal(text, 'I will not.');
  assert.deepEqual(last.message.content, [{ type: 'refusal', refusal: 'I will not.' }]);
});

test('calls in pieces come back joined, streamed or not, and a following tool message answers them', async () => {
  const toolCalls = [
    { id: 'call_a', name: 'weather', arguments: ['{"city"', ': "Lyon"', '}'] },
    { id: 'call_b', name: 'time', arguments: '{}' },
  ];
  const expected = [
    { id: 'call_a', type: 'function', function: { name: 'weather', arguments: '{"city": "Lyon"}' } },
    { id: 'call_b', type: 'function', function: { name: 'time', arguments: '{}' } },
  ];
  for (const streaming of [true, false]) {
    double.respondOnce({ toolCalls });
    const sessionId = await newSession(parley.url);
    const answer = streaming
      ? (await stream(parley.url, sessionId, 'Hello')).events.at(-1)?.data
      : (await send(parley.url, sessionId, 'Hello')).body;
    assert.equal(answer.finish_reason, 'tool_calls');
    assert.deepEqual(answer.message.tool_calls, expected);
    assert.equal(answer.status, 'completed');

    await send(parley.url, sessionId, 'Rain', { role: 'tool', tool_call_id: 'call_a' });
    double.respondOnce({ text: 'It rains at noon.' });
    const { body } = await send(parley.url, sessionId, 'Noon', { role: 'tool', tool_call_id: 'call_b' });
    assert.equal(body.message.content, 'It rains at noon.');
    assert.deepEqual(double.last.body.messages, [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: null, tool_calls: expected },
      { role: 'tool', tool_call_id: 'call_a', content: 'Rain' },
      { role: 'tool', tool_call_id: 'call_b', content: 'Noon' },
    ]);
  }
});

for (const streaming of [true, false]) {
  test(`finish reason length is an incomplete answer, ${streaming ? 'streamed' : 'whole'}`, async () => {
    double.respond({ text: 'Once upon a', finishReason: 'length' });
    const sessionId = await newSession(parley.url);
    const answer = streaming
      ? (await stream(parley.url, sessionId, 'Tell')).events.at(-1)?.data
      : (await send(parley.url, sessionId, 'Tell')).body;
    assert.equal(answer.status, 'incomplete');
    assert.equal(answer.finish_reason, 'length');
    assert.equal(answer.message.content, 'Once upon a');
    const { body } = await call(parley.url, 'GET', `/sessions/${sessionId}/turns/${answer.turn_id}`);
    assert.equal(body.status, 'incomplete');
    assert.equal((await call(parley.url, 'GET', `/sessions/${sessionId}/messages`)).body.data.length, 2);
  });
}

test('an answer that a filter cut short is incomplete, one that it left empty is refused', async () => {
  const sessionId = await newSession(parley.url);
  double.respondOnce({ text: 'It began', finishReason: 'content_filter' });
  const cut = await send(parley.url, sessionId, 'Hello');
  assert.deepEqual([cut.body.status, cut.body.finish_reason], ['incomplete', 'content_filter']);
  double.respondOnce({ text: '', finishReason: 'content_filter' });
  const refused = await send(parley.url, sessionId, 'Hello');
  assert.equal(refused.status, 400);
  assert.equal(refused.body.error.code, 'content_filtered');
});

const failures: Record<string, Script> = {
  'an error in the body': { json: { error: { code: 502, message: 'upstream is gone' } } },
  'an error in the first event': { text: [], error: { code: 500, message: 'no' } },
  'finish reason error': { text: [], finishReason: 'error' },
  HTML: { html: '<html><body>Welcome to the captive portal</body></html>' },
  'invalid JSON': { raw: ['{"choices": [{'], contentType: 'application/json' },
  'invalid events': { raw: ['data: <html>\n\n'], contentType: 'text/event-stream' },
  'no choices': { json: { choices: [] } },
  'an empty body': { raw: [] },
  'only [DONE]': { raw: ['data: [DONE]\n\n'], contentType: 'text/event-stream' },
  'a redirect': { status: 302, headers: { location: 'http://127.0.0.1:9/elsewhere' } },
};

for (const [name, script] of Object.entries(failures)) {
  test(`a success with ${name} is a failure of the provider, streaming or not`, async () => {
    double.respond(script);
    const sessionId = await newSession(parley.url);
    for (const streaming of [false, true]) {
      const { status, body } = await send(parley.url, sessionId, 'Hello', { stream: streaming });
      assert.equal(status, 502);
      assert.equal(body.error.code, 'provider_error');
      assert.equal(body.error.details.attempts[0].error.kind, 'invalid_answer');
    }
    assert.equal((await call(parley.url, 'GET', `/sessions/${sessionId}/messages`)).body.data.length, 0);
  });
}

const endings: Record<string, Script> = {
  'an error after the first token': { text: ['Once ', 'upon'], error: { code: 502, message: 'gone' } },
  'no finish reason': { text: ['Once ', 'upon'], finishReason: null, done: false },
  'a second malformed event': {
    raw: [
      chunk({ content: 'Once ' }),
      chunk({ content: 'upon' }),
      'data: {a\n\n',
      'data: {b\n\n',
      'data: {c\n\n',
    ],
  },
};

for (const [name, script] of Object.entries(endings)) {
  test(`a stream that ends with ${name} is never a whole answer`, async () => {
    double.respond(script);
    const sessionId = await newSession(parley.url);
    const { events } = await stream(parley.url, sessionId, 'Tell');
    assert.deepEqual(
      events.map(({ event }) => event),
      ['turn.started', 'message.delta', 'message.delta', 'turn.failed'],
    );
    assert.equal(events.at(-1)?.data.error.code, 'provider_error');
    assert.equal((await call(parley.url, 'GET', `/sessions/${sessionId}/messages`)).body.data.length, 0);
  });
}
