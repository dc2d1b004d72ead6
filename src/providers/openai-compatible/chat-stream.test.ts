import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ProviderError, type ProviderEvent, type ProviderFailure } from '../provider.ts';
import { createChatStream } from './chat-stream.ts';

const context = { model: 'asked', status: 200, redact: (text: string) => text, tellsFrames: false };

interface Reading {
  events: ProviderEvent[];
  state: 'open' | 'complete' | ProviderFailure;
}

/** What is read of these chunks, with the end of the body after them. */
function read(...chunks: (string | Uint8Array)[]): Reading {
  const reader = createChatStream(context);
  for (const chunk of chunks) reader.push(Buffer.from(chunk as string));
  reader.end();
  const { state } = reader;
  const events = [...reader.take()];
  assert.deepEqual(reader.take(), []);
  return { events, state: state instanceof ProviderError ? state.kind : state };
}

const data = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
const delta = (value: object | null, finish_reason: unknown = null) =>
  data({ choices: [{ index: 0, delta: value, finish_reason }] });
const text = (content: string) => delta({ content });
const stop = delta({}, 'stop');
const done = 'data: [DONE]\n\n';
const finish = (rest: Partial<Extract<ProviderEvent, { type: 'finish' }>> = {}): ProviderEvent => ({
  type: 'finish',
  reason: 'stop',
  usage: null,
  model: 'asked',
  ...rest,
});
const words = (...pieces: string[]): ProviderEvent[] =>
  pieces.map((piece) => ({ type: 'text-delta', text: piece }));
const usage = { prompt_tokens: 3, completion_tokens: 2, completion_tokens_details: { reasoning_tokens: 1 } };
const readUsage = {
  input_tokens: 3,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 2,
  output_tokens_details: { reasoning_tokens: 1 },
  total_tokens: 5,
};

describe('the end of a stream', () => {
  const whole: Reading = { events: [...words('hi'), finish()], state: 'complete' };

  test('[DONE] completes it, also without a finish reason', () => {
    assert.deepEqual(read(text('hi'), stop, done), whole);
    assert.deepEqual(read(text('hi'), done), whole);
  });

  test('a clean end after a finish reason completes it', () => {
    assert.deepEqual(read(text('hi'), stop), whole);
    assert.deepEqual(read(text('hi'), stop.trimEnd()), whole);
    assert.deepEqual(read(text('hi'), 'data: [DONE]'), whole);
  });

  test('nothing is read after [DONE]', () => {
    assert.deepEqual(read(text('hi'), stop, done + text('more'), text('and more')), whole);
  });

  test('a clean end with neither is an interruption, after the events so far', () => {
    const cut: Reading = { events: words('hi'), state: 'interrupted' };
    assert.deepEqual(read(text('hi')), cut);
    assert.deepEqual(read(text('hi'), delta({ content: '' }, '')), cut);
  });

  test('a stream without any choice is no answer', () => {
    for (const body of [
      '',
      done,
      ': comment\n\n',
      data({ choices: [] }) + done,
      data({ choices: null }) + done,
    ]) {
      assert.deepEqual(read(body), { events: [], state: 'invalid_answer' });
    }
  });
});

describe('deltas', () => {
  test('reasoning comes under either name, once', () => {
    const both = delta({ reasoning_content: 'b', reasoning: 'b' });
    const { events } = read(
      delta({ reasoning_content: 'a' }),
      both,
      delta({ reasoning: 'c', content: null }),
      done,
    );
    const expected = ['a', 'b', 'c'].map((piece) => ({ type: 'reasoning-delta', text: piece }));
    assert.deepEqual(events, [...expected, finish()]);
  });

  test('refusals are deltas of their own', () => {
    const { events } = read(delta({ refusal: 'No' }), delta({ refusal: '.' }), stop);
    const expected = ['No', '.'].map((piece) => ({ type: 'refusal-delta', refusal: piece }));
    assert.deepEqual(
      events.slice(0, -1),
      expected.map(({ type, refusal }) => ({ type, text: refusal })),
    );
  });

  test('null and empty content make no event', () => {
    const { events } = read(delta({ role: 'assistant', content: null }), text(''), delta(null), stop);
    assert.deepEqual(events, [finish()]);
  });

  test('other choices than the first are not read', () => {
    const other = data({ choices: [{ index: 1, delta: { content: 'other' }, finish_reason: 'length' }] });
    assert.deepEqual(read(text('hi'), other, stop).events, [...words('hi'), finish()]);
  });

  test('the model is the one that the provider names', () => {
    const named = data({ model: 'real', choices: [{ delta: { content: 'hi' } }] });
    assert.deepEqual(read(named, stop).events.at(-1), finish({ model: 'real' }));
  });
});

describe('usage', () => {
  test('it may come late, with the finish reason, on every event, or never', () => {
    const last = data({ choices: [{ delta: {}, finish_reason: 'stop' }], usage });
    const each = (content: string, tokens: number) =>
      data({ choices: [{ delta: { content } }], usage: { ...usage, completion_tokens: tokens } });
    const expected = finish({ usage: readUsage });
    assert.deepEqual(read(text('a'), stop, data({ choices: [], usage }), done).events.at(-1), expected);
    assert.deepEqual(read(text('a'), last, done).events.at(-1), expected);
    assert.deepEqual(read(each('a', 1), each('b', 2), stop, done).events.at(-1), expected);
    assert.deepEqual(
      read(data({ choices: [{ delta: {} }], usage: null }), stop, done).events.at(-1),
      finish(),
    );
    const empty = data({ choices: [], usage: {} });
    assert.deepEqual(read(text('a'), stop, empty, done).events.at(-1), finish());
    assert.deepEqual(read(text('a'), last, empty, done).events.at(-1), expected);
  });
});

describe('finish reasons', () => {
  test('error is a failure', () => {
    assert.equal(read(delta({}, 'error'), done).state, 'invalid_answer');
    assert.equal(read(text('a'), delta({}, 'error'), done).state, 'interrupted');
  });

  test('calls that end with stop end with tool_calls', () => {
    const calls = delta({ tool_calls: [{ index: 0, id: 'c', function: { name: 'f', arguments: '{}' } }] });
    assert.deepEqual(read(calls, stop).events.at(-1), finish({ reason: 'tool_calls' }));
    assert.deepEqual(read(calls, delta({}, 'length')).events.at(-1), finish({ reason: 'length' }));
  });
});

describe('tool calls', () => {
  const piece = (...tool_calls: object[]) => delta({ tool_calls });
  const calls = (...chunks: string[]) => read(...chunks, delta({}, 'tool_calls'), done).events.slice(0, -1);
  const made = (callId: string, name: string, args: string) => ({
    type: 'tool-call',
    callId,
    name,
    arguments: args,
  });

  test('pieces are joined by index, in the order of their beginning', () => {
    const joined = calls(
      piece({ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '' } }),
      piece({ index: 0, function: { arguments: '{"x"' } }),
      piece(
        { index: 1, id: 'b', function: { name: 'g', arguments: '{' } },
        { index: 0, function: { arguments: ':1}' } },
      ),
      piece({ index: 1, function: { arguments: '}' } }),
    );
    assert.deepEqual(joined, [made('a', 'f', '{"x":1}'), made('b', 'g', '{}')]);
  });

  test('a repeated id or name is the same call', () => {
    const again = { index: 0, id: 'a', function: { name: 'f', arguments: '1' } };
    assert.deepEqual(calls(piece(again), piece(again)), [made('a', 'f', '11')]);
  });

  test('another id without a name continues the call', () => {
    const first = { index: 0, id: 'a', function: { name: 'f', arguments: '1' } };
    assert.deepEqual(calls(piece(first), piece({ index: 0, id: 'z', function: { arguments: '2' } })), [
      made('a', 'f', '12'),
    ]);
  });

  test('whole calls under one index, or without any, are told apart by id', () => {
    for (const index of [0, undefined]) {
      const call = (id: string) => piece({ index, id, function: { name: 'f', arguments: '{}' } });
      assert.deepEqual(calls(call('a'), call('b')), [made('a', 'f', '{}'), made('b', 'f', '{}')]);
    }
  });

  test('an id or a name may come after the first piece', () => {
    const pieces = [{ arguments: '1' }, { name: 'f' }, { arguments: '2' }].map((rest) => ({
      index: 0,
      function: rest,
    }));
    const late = piece(...pieces, { index: 0, id: 'a' });
    assert.deepEqual(calls(late), [made('a', 'f', '12')]);
  });

  test('a call without an id gets one', () => {
    const [call] = calls(piece({ index: 0, function: { name: 'f', arguments: '{}' } }));
    assert.ok(call?.type === 'tool-call');
    assert.match(call.callId, /^call_[0-9a-f]{32}$/);
  });

  test('the older function_call is a call', () => {
    const [call] = calls(
      delta({ function_call: { name: 'f', arguments: '{' } }),
      delta({ function_call: { arguments: '}' } }),
    );
    assert.ok(call?.type === 'tool-call');
    assert.deepEqual([call.name, call.arguments], ['f', '{}']);
  });

  test('arguments that are not text are written as JSON', () => {
    const [call] = calls(piece({ index: 0, id: 'a', function: { name: 'f', arguments: { x: 1 } } }));
    assert.deepEqual(call, made('a', 'f', '{"x":1}'));
  });

  test('calls of an interrupted stream are not given out', () => {
    assert.deepEqual(read(piece({ index: 0, id: 'a', function: { name: 'f', arguments: '{' } })).events, []);
  });

  test('what is held back is bounded', () => {
    const large = piece({ index: 0, function: { name: 'f', arguments: 'x'.repeat(1024 * 1024) } });
    const last = delta(
      { tool_calls: [{ index: 0, function: { arguments: 'x'.repeat(1024 * 1024) } }] },
      'error',
    );
    assert.equal(read(text('a'), large, large, large, last, stop).state, 'invalid_answer');
  });
});

describe('what is wrong', () => {
  test('one malformed event is skipped and counted', () => {
    for (const bad of ['data: {"choices":\n\n', 'data: 3\n\n', 'data: null\n\n', 'data: []\n\n']) {
      const { events, state } = read(text('a'), bad, text('b'), stop);
      assert.deepEqual([events, state], [[...words('a', 'b'), finish({ malformedEvents: 1 })], 'complete']);
    }
  });

  test('with a second malformed event text is being lost', () => {
    const bad = 'data: {"choices":\n\n';
    assert.deepEqual(read(text('a'), bad, text('b'), bad, text('c'), stop), {
      events: words('a', 'b'),
      state: 'interrupted',
    });
  });

  test('a first event that is malformed makes no answer', () => {
    assert.equal(read('data: <html>\n\n', text('a'), stop).state, 'invalid_answer');
  });

  test('an error object is classified by its code, and by whether the answer had begun', () => {
    for (const [error, before, after] of [
      [{ code: 429 }, 'rate_limited', 'rate_limited'],
      [{ code: 'context_length_exceeded' }, 'context_length_exceeded', 'context_length_exceeded'],
      [{ code: 401 }, 'unauthorized', 'interrupted'],
      [{ code: 502 }, 'invalid_answer', 'interrupted'],
      [{ message: 'no code' }, 'invalid_answer', 'interrupted'],
      ['only words', 'invalid_answer', 'interrupted'],
    ] as const) {
      assert.equal(read(data({ error }), done).state, before);
      assert.deepEqual(read(text('a'), data({ error, choices: [] }), text('b')).events, words('a'));
      assert.equal(read(text('a'), data({ error }), stop, done).state, after);
      assert.equal(read(text('a'), data({ choices: [{ error, delta: {} }] }), stop, done).state, after);
    }
  });

  test('a null error is none', () => {
    assert.equal(read(data({ error: null, choices: [{ delta: { content: 'a' } }] }), stop).state, 'complete');
  });

  test('an event that never ends is given up', () => {
    const reader = createChatStream(context);
    const megabyte = Buffer.alloc(1024 * 1024, 'x');
    reader.push(Buffer.from('data: '));
    for (let count = 0; count < 4; count += 1) {
      assert.equal(reader.state, 'open');
      reader.push(megabyte);
    }
    assert.ok(reader.state instanceof ProviderError && reader.state.kind === 'invalid_answer');
    reader.push(megabyte);
    reader.end();
  });

  test('no JSON whatever makes it throw', () => {
    const odd = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>([null], [3], [{}], {}));
    const call = fc.record({ index: odd, id: odd, function: odd }, { requiredKeys: [] });
    const message = fc.record(
      {
        content: odd,
        refusal: odd,
        reasoning: odd,
        tool_calls: fc.oneof(odd, fc.array(fc.oneof(odd, call))),
        function_call: odd,
      },
      { requiredKeys: [] },
    );
    const choice = fc.record(
      { index: odd, delta: fc.oneof(odd, message), finish_reason: odd, error: odd },
      { requiredKeys: [] },
    );
    const event = fc.record(
      { choices: fc.oneof(odd, fc.array(choice)), usage: odd, model: odd, error: odd },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.array(event), (events) => assert.notEqual(read(...events.map(data)).state, 'open')),
    );
  });
});

describe('any split of the bytes', () => {
  const content = fc.string({ unit: 'binary', minLength: 1, maxLength: 6 });
  const frame = fc.oneof(
    {
      weight: 4,
      arbitrary: content.map((value) => JSON.stringify({ choices: [{ delta: { content: value } }] })),
    },
    content.map((value) => JSON.stringify({ choices: [{ delta: { reasoning: value } }] })),
    fc.tuple(fc.nat(1), content).map(([index, args]) =>
      JSON.stringify({
        choices: [
          { delta: { tool_calls: [{ index, id: `c${index}`, function: { name: 'f', arguments: args } }] } },
        ],
      }),
    ),
    fc.constant(JSON.stringify({ choices: [], usage })),
    fc.constant('{"malformed":'),
  );
  const field = fc.oneof(
    { weight: 3, arbitrary: frame.map((value) => ['data: ', value, true] as const) },
    frame.map((value) => ['data:', value, true] as const),
    content.map((value) => [':', value.replaceAll(/[\r\n]/g, ' '), false] as const),
    fc.constant(['event: ', 'message', false] as const),
  );
  const body = fc
    .array(fc.tuple(field, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 12 })
    .chain((fields) =>
      fc
        .constantFrom('', stop, done, stop + done, stop.replaceAll('\n', '\r\n'))
        .map(
          (end) =>
            fields.map(([[name, value, ends], line]) => name + value + line + (ends ? line : '')).join('') +
            end,
        ),
    );

  test('gives the same events as no split', () => {
    fc.assert(
      fc.property(body, fc.array(fc.nat({ max: 2000 })), (stream, cuts) => {
        const bytes = Buffer.from(stream);
        const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
        const chunks = [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length));
        assert.deepEqual(read(...chunks), read(bytes));
      }),
      { numRuns: 300 },
    );
  });

  test('gives the same events as single bytes', () => {
    fc.assert(
      fc.property(body, (stream) => {
        const bytes = Buffer.from(stream);
        assert.deepEqual(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))), read(bytes));
      }),
    );
  });

  test('keeps every text as it was sent', () => {
    const line = fc.constantFrom('\n', '\r\n');
    fc.assert(
      fc.property(fc.array(fc.tuple(content, line, line)), (pieces) => {
        const stream = pieces.map(
          ([piece, comment, end]) => `: wait${comment}${comment}${text(piece).trimEnd()}${end}${end}`,
        );
        const bytes = Buffer.from(stream.join('') + stop);
        const expected = pieces.map(([piece]) => Buffer.from(piece).toString());
        assert.deepEqual(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))).events, [
          ...words(...expected),
          finish(),
        ]);
      }),
    );
  });
});
