/**
 * A stream cut at every byte: the client gets the whole answer or an honest failure, never a truncated success.
 * One stream of reasoning, text and a tool call, broken off at each of its positions, by a cut connection and by
 * a clean end, for a target alone and for each kind of rescue.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { RecordedRequest, Script } from '../provider-double.ts';
import { outputText } from './honesty.ts';
import { type Cast, openStage, reasoningOf, type Stage, type Told, textOf } from './stage.ts';

/** Sessions at once: enough to keep two cores busy. */
const AT_ONCE = 24;

const THOUGHTS = ['Let me', ' see. '];
const TEXT = ['Größe: ', '12 m² 😀', ' in all.'];
const WHOLE = TEXT.join('');
const OTHER = 'It has twelve square metres.';
const CALL = { id: 'call_1', type: 'function', function: { name: 'area', arguments: '{"m": [3, 4]}' } };

const delta = (fields: object) => `data: ${JSON.stringify({ choices: [{ delta: fields }] })}\n\n`;
const callPiece = (call: object) => delta({ tool_calls: [call] });

/** The stream's end: the call in pieces, the reason, and the mark. */
const ending = [
  callPiece({ index: 0, id: CALL.id, function: { name: CALL.function.name, arguments: '{"m"' } }),
  callPiece({ index: 0, function: { arguments: ': [3, 4]}' } }),
  'data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}\n\n',
  'data: [DONE]\n\n',
];
const frames = [
  ...THOUGHTS.map((reasoning) => delta({ reasoning })),
  ...TEXT.map((content) => delta({ content })),
  ...ending,
];
const stream = Buffer.from(frames.join(''));

/**
 * How much of the stream must have come for a token to be there, and for the reason of its end to be. Where the
 * stream ends cleanly, an event counts without the empty line after it.
 */
const firstToken = Buffer.byteLength(frames[0]?.trimEnd() ?? '');
const reasonKnown = stream.length - Buffer.byteLength(frames.at(-1) ?? '');

type End = 'cut' | 'clean';

function broken(position: number, end: End): Script {
  const contentType = 'text/event-stream';
  return end === 'clean'
    ? { raw: [stream.subarray(0, position)], contentType }
    : { raw: [stream], cut: { afterBytes: position }, contentType };
}

/** Goes on with what it is given, and answers anew where it is given nothing. */
function goOn({ body }: RecordedRequest): Script {
  const given = body.messages.findLast(({ role }) => role === 'assistant')?.content;
  if (given === undefined) return { raw: frames };
  assert.ok(
    typeof given === 'string' && WHOLE.startsWith(given),
    `asked to go on with ${JSON.stringify(given)}`,
  );
  return { raw: [delta({ content: WHOLE.slice(given.length) }), ...ending] };
}

interface Setting {
  name: string;
  cast: (script: Script) => Cast;
  /** What an answer may say. */
  answers: readonly string[];
  /** Whether a stream that breaks off after its first token can be rescued. */
  rescued: boolean;
}

/** Breaks off the first time; what it is asked again, it answers as `then` does. */
function once(script: Script, then: (request: RecordedRequest) => Script) {
  let asked = 0;
  return (request: RecordedRequest) => {
    asked += 1;
    return asked === 1 ? script : then(request);
  };
}

const anew = () => ({ raw: frames });

const settings: readonly Setting[] = [
  {
    name: 'alone',
    cast: (script) => ({ alpha: once(script, anew) }),
    answers: [WHOLE],
    rescued: false,
  },
  {
    name: 'alone, able to go on',
    cast: (script) => ({ 'alpha-prefill': once(script, goOn) }),
    answers: [WHOLE],
    rescued: true,
  },
  {
    name: 'before a target that goes on',
    cast: (script) => ({ alpha: script, 'beta-prefill': goOn }),
    answers: [WHOLE],
    rescued: true,
  },
  {
    name: 'before a target that says the same',
    cast: (script) => ({ alpha: script, beta: anew }),
    answers: [WHOLE],
    rescued: true,
  },
  {
    name: 'before a target that says something else',
    cast: (script) => ({ alpha: script, beta: { raw: [delta({ content: OTHER }), ...ending] } }),
    answers: [WHOLE, OTHER],
    rescued: true,
  },
];

let stage: Stage;

before(async () => {
  stage = await openStage({ env: { LOG_LEVEL: 'error' } });
});

after(() => stage.close());

for (const setting of settings) {
  describe(`a stream of ${stream.length} bytes, ${setting.name},`, () => {
    for (const end of ['cut', 'clean'] as const) {
      it(`${end === 'cut' ? 'cut off' : 'ended'} after each of them`, async () => {
        const positions = Array.from({ length: stream.length + 1 }, (_, position) => position);
        await inParallel(positions, (position) => checkBreak(setting, position, end));
      });
    }
  });
}

async function checkBreak(setting: Setting, position: number, end: End): Promise<void> {
  const scene = await stage.scene(setting.cast(broken(position, end)));
  const told = await scene.ask(true);
  const place = `byte ${position}: ${JSON.stringify(told.body).slice(0, 500)}`;
  if (told.body.error === undefined) {
    assertWhole(told, setting.answers, place);
    return;
  }
  assert.ok(!setting.rescued && position >= firstToken, `it could have been rescued: ${place}`);
  assert.ok(end === 'cut' || position < reasonKnown, `it was whole: ${place}`);
  assert.equal(told.body.error.code, 'provider_error', place);
  assert.equal(told.events.at(-1)?.event, 'turn.failed', place);
  assert.ok(WHOLE.startsWith(textOf(told)), place);
  const turn = await scene.turn(told);
  assert.equal(turn.status, 'failed', place);
  assert.equal(outputText(turn), textOf(told), place);
  assert.deepEqual(await scene.conversation(), [], place);
}

function assertWhole(told: Told, answers: readonly string[], place: string): void {
  const { status, message, finish_reason } = told.body;
  assert.equal(told.events.at(-1)?.event, 'turn.completed', place);
  assert.deepEqual([status, finish_reason], ['completed', 'tool_calls'], place);
  assert.ok(answers.includes(message.content), place);
  assert.equal(textOf(told), message.content, place);
  assert.deepEqual(message.tool_calls, [CALL], place);
}

const words = fc.array(fc.constantFrom('a', 'ab', ' ', 'é', '😀', 'abc abc abc abc '), { maxLength: 6 });

/** A stream of any words, broken off anywhere, and who is there to rescue it with which words. */
const anyBreak = fc.record({
  thoughts: words,
  text: words,
  other: words,
  cut: fc.nat(1200),
  end: fc.constantFrom<End>('cut', 'clean'),
  rescuer: fc.constantFrom('beta', 'beta-prefill', 'beta-instruct', null),
});
type AnyBreak = typeof anyBreak extends fc.Arbitrary<infer Value> ? Value : never;

it('whatever is streamed and wherever it breaks off, the client has what the server keeps', async () => {
  // Several at once, as some wait before they try again.
  const breaks = fc.array(anyBreak, { minLength: 1, maxLength: AT_ONCE });
  const property = fc.asyncProperty(breaks, async (some) => {
    await Promise.all(some.map(checkAnyBreak));
  });
  await fc.assert(property, { numRuns: 20 });
});

async function checkAnyBreak({ thoughts, text, other, cut, end, rescuer }: AnyBreak): Promise<void> {
  const reasoning = thoughts.map((reasoning) => delta({ reasoning }));
  const said = text.map((content) => delta({ content }));
  const whole = Buffer.from([...reasoning, ...said, ...ending].join(''));
  const position = cut % whole.length;
  const script: Script =
    end === 'cut' ? { raw: [whole], cut: { afterBytes: position } } : { raw: [whole.subarray(0, position)] };
  const help: Script = { text: other, toolCalls: [{ id: CALL.id, ...CALL.function }] };
  const scene = await stage.scene({ alpha: script, ...(rescuer === null ? {} : { [rescuer]: help }) });
  const told = await scene.ask(true);
  if (told.body.error === undefined) {
    assert.equal(told.body.message.content ?? '', textOf(told));
    assert.deepEqual(told.body.message.tool_calls, [CALL]);
  } else {
    assert.equal(rescuer, null, JSON.stringify(told.body));
    assert.deepEqual(await scene.conversation(), []);
  }
  const turn = await scene.turn(told);
  assert.equal(outputText(turn), textOf(told));
  assert.equal(thoughtsOf(turn), reasoningOf(told));
}

/** The reasoning that a turn's record keeps. */
function thoughtsOf(turn: any): string {
  const items: any[] = turn.output.filter(({ type }: any) => type === 'reasoning');
  return items.flatMap(({ content }) => content.map(({ text }: any) => text)).join('');
}

/** Runs the task for all values, so many at once; rejects with the first failure. */
async function inParallel<Value>(values: readonly Value[], task: (value: Value) => Promise<void>) {
  const queue = values.values();
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (const value of queue) await task(value);
  });
  await Promise.all(workers);
}
