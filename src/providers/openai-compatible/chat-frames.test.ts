/** The frames that an answer was read from, told of beside its events. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ProviderError, type ProviderEvent } from '../provider.ts';
import { createChatStream } from './chat-stream.ts';

const context = { model: 'asked', status: 200, redact: (text: string) => text };

function read(frames: readonly string[], tellsFrames: boolean) {
  const reader = createChatStream({ ...context, tellsFrames });
  const events: ProviderEvent[] = [];
  for (const frame of frames) {
    reader.push(Buffer.from(`data: ${frame}\n\n`));
    events.push(...reader.take());
  }
  reader.end();
  events.push(...reader.take());
  return { events, failed: reader.state instanceof ProviderError };
}

const choice = (delta: object, reason: string | null = null) => ({
  choices: [{ index: 0, delta, finish_reason: reason }],
});
const call = fc.record({
  index: fc.nat({ max: 1 }),
  id: fc.constantFrom('c1', 'c2', null),
  function: fc.record({ name: fc.constantFrom('look', null), arguments: fc.string({ maxLength: 3 }) }),
});
const answer = fc.oneof(
  { weight: 4, arbitrary: fc.string().map((content) => choice({ content })) },
  fc.string().map((reasoning) => choice({ reasoning, content: 'x' })),
  fc.array(call, { maxLength: 2 }).map((calls) => choice({ tool_calls: calls })),
  fc.constantFrom<object[]>(
    choice({ role: 'assistant' }),
    choice({}, 'stop'),
    choice({ content: 'last' }, 'length'),
    { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } },
    { choices: [] },
    { error: { message: 'no' } },
    { ...choice({ content: 'lost' }), error: { message: 'no' } },
    choice({ content: 'lost too' }, 'error'),
  ),
);
const frame = fc.oneof(
  { weight: 20, arbitrary: answer.map((value) => JSON.stringify(value)) },
  fc.constantFrom('{', '[DONE]'),
);

/** What the events of these frames alone say, without their end. */
const saidIn = (frames: readonly string[]) =>
  read([...frames, JSON.stringify(choice({}, 'stop')), '[DONE]'], false).events.slice(0, -1);
const withoutIds = (events: readonly ProviderEvent[]) =>
  events.map((event) => (event.type === 'tool-call' ? { ...event, callId: '' } : event));

test('frames are told once and in order, with exactly the events that are read from them', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
      const plain = read(frames, false);
      const { events, failed } = read(frames, true);
      assert.equal(failed, plain.failed);
      const told = events.flatMap((event) => (event.type === 'frame' ? [event.frame.data] : []));
      const said = withoutIds(events.filter(({ type }) => type !== 'frame' && type !== 'finish'));
      assert.deepEqual(said, withoutIds(saidIn(told)));
      const readable = frames.filter((one) => one !== '{' && one !== '[DONE]');
      assert.deepEqual(told, readable.slice(0, told.length));
      if (failed) return;
      const isPlain = ({ type }: ProviderEvent) => type !== 'frame';
      assert.deepEqual(withoutIds(events.filter(isPlain)), withoutIds(plain.events));
    }),
    { numRuns: 2000 },
  );
});

test('every event stands behind the frame that it was read from', () => {
  const words = ['one', 'two', 'three'].map((content) => JSON.stringify(choice({ content })));
  const { events } = read([...words, JSON.stringify(choice({}, 'stop'))], true);
  assert.deepEqual(
    events.map((event) => ('frame' in event ? [event.frame.data, event.frame.ends] : event.type)),
    [
      ...words.flatMap((data) => [[data, false], 'text-delta']),
      [JSON.stringify(choice({}, 'stop')), true],
      'finish',
    ],
  );
});

test('frames that lead to nothing are not held for ever', () => {
  const empty = JSON.stringify({ ...choice({}), padding: 'x'.repeat(100_000) });
  assert.equal(read(Array<string>(50).fill(empty), true).failed, true);
  assert.equal(
    read([...Array<string>(50).fill(empty), JSON.stringify(choice({}, 'stop'))], false).failed,
    false,
  );
});

test('a frame that shows something else than text is told at once', () => {
  const frames = ['{"id":"a1","transcript":"Hel"}', '{"data":"AAAA"}'].map((audio) =>
    JSON.stringify(choice({ role: 'assistant', content: null, audio: JSON.parse(audio) })),
  );
  const reader = createChatStream({ ...context, tellsFrames: true });
  for (const frame of frames) {
    reader.push(Buffer.from(`data: ${frame}\n\n`));
    assert.deepEqual(reader.take(), [
      { type: 'frame', frame: { data: frame, ends: false, isUsage: false, showsMore: true } },
    ]);
  }
});

test('what goes along with text does not keep another from going on with it', () => {
  const delta = { content: 'a', annotations: [{ type: 'url_citation' }], reasoning_details: [{ text: 'b' }] };
  const { events } = read([JSON.stringify(choice(delta)), JSON.stringify(choice({}, 'stop'))], true);
  const frames = events.flatMap((event) => (event.type === 'frame' ? [event.frame.showsMore] : []));
  assert.deepEqual(frames, [false, false]);
});
