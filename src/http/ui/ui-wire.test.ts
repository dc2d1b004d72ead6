/** The stream as its own reader understands it, held against the conversation as it is shown afterwards. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from 'ai';
import fc from 'fast-check';
import { newId } from '../../conversation/id.ts';
import type { ApprovalRequestItem, Item, McpCallItem } from '../../conversation/item.ts';
import { tracedEvents } from '../../conversation/traced-events.ts';
import type { Turn } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import { createAnswer } from '../../turns/answer.ts';
import { outcomeOf } from '../../turns/outcome.ts';
import type { UiChunk } from './ui-chunk.ts';
import { uiMessagesOf } from './ui-message.ts';
import { chunksOfParts } from './ui-parts.ts';
import { type UiWireOptions, uiWire } from './ui-wire.ts';

type Happening = Parameters<ReturnType<typeof createAnswer>['add']>[0];

const OWN_MESSAGE: UiWireOptions = { messageId: null, decided: [], before: [] };
const ID = '01a2151a-bd0b-7003-8551-bf7aa071b156';

/** A turn in which that happened; `next` is where the model was asked again. */
function turnOf(happenings: readonly (Happening | 'next')[], change: Partial<Turn> = {}): Turn {
  const answer = createAnswer(ID);
  for (const one of happenings) {
    if (one === 'next') answer.nextStep();
    else answer.add(one);
  }
  const error = change.error ? new AppError(change.error.code) : null;
  return { ...begun, ...outcomeOf(answer, [], error), ...change };
}

const begun: Turn = {
  id: ID,
  sessionId: 's',
  parentId: null,
  status: 'in_progress',
  input: [],
  output: [],
  provider: null,
  model: null,
  providerSource: null,
  finishReason: null,
  attempts: [],
  usage: null,
  error: null,
  seenPlaces: 0,
  trace: null,
  createdAt: 1,
  completedAt: null,
};

function chunksOf(turn: Turn, options = OWN_MESSAGE): UiChunk[] {
  const wire = uiWire(options);
  const events = tracedEvents({ turn, seen: [] });
  const text = events.map((event, number) => wire.frame({ number, event })).join('') + wire.end();
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  return text
    .split('\n\n')
    .slice(0, -2)
    .map((frame) => JSON.parse(frame.slice('data: '.length)));
}

/** What the reader has in the end; fails where it would. */
async function read(chunks: readonly UiChunk[], message?: UIMessage): Promise<UIMessage> {
  const stream = new ReadableStream<UIMessageChunk>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk as UIMessageChunk);
      controller.close();
    },
  });
  const fail = (error: unknown) => {
    throw error;
  };
  let last = message;
  const given = message === undefined ? {} : { message };
  for await (const state of readUIMessageStream({
    stream,
    onError: fail,
    terminateOnError: true,
    ...given,
  })) {
    last = state;
  }
  assert.ok(last !== undefined);
  return last;
}

/** Fields that are not there are not told apart from those that are undefined; a step in which nothing was said is none. */
function parts(message: { parts: readonly object[] } | undefined): any[] {
  const all: any[] = JSON.parse(JSON.stringify(message?.parts ?? []));
  return all.filter(
    (part, at) => part.type !== 'step-start' || !['step-start', undefined].includes(all[at + 1]?.type),
  );
}

const finish = { type: 'finish', reason: 'stop', usage: null, model: 'm' } as const;
const says = (text: string): Happening => ({ type: 'text-delta', text });

const serverCall = (change: Partial<McpCallItem> = {}): McpCallItem => ({
  type: 'mcp_call',
  id: 'mcp_1',
  call_id: 'c1',
  server_label: 'files',
  name: 'read',
  function_name: 'files__read',
  arguments: '{"path":"a"}',
  output: 'text of a',
  error: null,
  status: 'completed',
  duration_ms: 1,
  step: 1,
  ...change,
});

const made = (call: McpCallItem): Happening[] =>
  (['call-asked', 'call-started', 'call-ended'] as const).map((type) => ({ type, call }));

describe('the UI message stream', () => {
  const text = fc.string({ minLength: 1, maxLength: 8, unit: 'binary' });
  const piece: fc.Arbitrary<Happening> = fc.oneof(
    text.map((one) => ({ type: 'text-delta' as const, text: one })),
    text.map((one) => ({ type: 'reasoning-delta' as const, text: one })),
    text.map((one) => ({ type: 'refusal-delta' as const, text: one })),
    fc.constant({ type: 'restart' as const, reason: 'interrupted' }),
    fc.constantFrom('{"a":1}', '', '{"a":', '"x"').map((given) => ({
      type: 'tool-call' as const,
      callId: 'same',
      name: 'look',
      arguments: given,
    })),
  );

  it('gives the reader the message that is shown afterwards, whatever happened', async () => {
    const reasons = fc.constantFrom('stop' as const, 'length' as const, 'tool_calls' as const);
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 20 }), reasons, async (pieces, reason) => {
        const turn = turnOf([...pieces, { ...finish, reason }]);
        const message = await read(chunksOf(turn));
        assert.equal(message.id, ID);
        assert.deepEqual(parts(message), parts(uiMessagesOf([turn])[0]));
      }),
      { numRuns: 200 },
    );
  });

  it('has the calls of the server in steps, which nobody else runs', async () => {
    const failed = serverCall({
      id: 'mcp_2',
      call_id: 'c2',
      output: null,
      error: 'No such file.',
      arguments: '{',
    });
    const turn = turnOf([
      says('I look.'),
      ...made(serverCall()),
      ...made(failed),
      'next',
      says('It is a.'),
      finish,
    ]);
    const chunks = chunksOf(turn);
    assert.deepEqual(
      chunks.map(({ type }) => type),
      [
        'start',
        'start-step',
        'text-start',
        'text-delta',
        'text-end',
        'tool-input-available',
        'tool-output-available',
        'tool-input-available',
        'tool-output-error',
        'finish-step',
        'start-step',
        'text-start',
        'text-delta',
        'text-end',
        'finish-step',
        'finish',
      ],
    );
    for (const chunk of chunks.filter(({ type }) => type.startsWith('tool-'))) {
      assert.deepEqual([chunk['providerExecuted'], chunk['dynamic']], [true, true]);
    }
    const message = await read(chunks);
    assert.deepEqual(parts(message), parts(uiMessagesOf([turn])[0]));
  });

  it('takes back what a rescue could not go on with, and no call that was made', async () => {
    const again: Happening = { type: 'restart', reason: 'interrupted' };
    const asked: Happening = { type: 'tool-call', callId: 'c', name: 'look', arguments: '{}' };
    const turn = turnOf([
      says('I look.'),
      ...made(serverCall()),
      'next',
      again,
      says('Wrong'),
      asked,
      again,
      says('Right.'),
      finish,
    ]);
    const chunks = chunksOf(turn);
    assert.equal(chunks.filter(({ type }) => type === 'reset-step').length, 1);
    assert.ok(!chunks.some(({ type, toolName }) => type === 'tool-input-available' && toolName === 'look'));
    assert.deepEqual(parts(await read(chunks)), parts(uiMessagesOf([turn])[0]));
  });

  it('goes on with an answer once its calls are decided about', async () => {
    const request = (n: number): ApprovalRequestItem => {
      const { server_label, name, function_name, arguments: args, step } = serverCall();
      const call = { call_id: `c${n}`, server_label, name, function_name, arguments: args, step };
      return { type: 'mcp_approval_request', id: `mcpr_${n}`, ...call };
    };
    const requests = [request(1), request(2)];
    const asking = turnOf([
      says('May I?'),
      ...requests.map((one) => ({ type: 'approval-asked' as const, request: one })),
      finish,
    ]);
    const answer = await read(chunksOf(asking));
    assert.deepEqual(parts(answer), parts(uiMessagesOf([asking])[0]));

    const input: Item[] = requests.map(({ id }, at) => ({
      type: 'mcp_approval_response',
      id: `mcpa_${at}`,
      approval_request_id: id,
      approve: at === 0,
      reason: at === 0 ? null : 'no',
    }));
    const calls = [
      serverCall({ step: 0 }),
      serverCall({
        id: 'mcp_2',
        call_id: 'c2',
        output: null,
        error: 'Not approved.',
        status: 'failed',
        step: 0,
      }),
    ];
    const going = turnOf([...calls.flatMap(made), 'next', says('Done.'), finish], { id: newId(), input });
    const chunks = chunksOf(going, { messageId: ID, decided: requests, before: [] });
    assert.deepEqual(
      chunks.filter(({ type }) => type.startsWith('tool-')).map(({ type, toolCallId }) => [type, toolCallId]),
      [
        ['tool-output-available', 'mcpr_1'],
        ['tool-output-denied', 'mcpr_2'],
      ],
    );
    const decided = uiMessagesOf([asking, { ...going, output: [] }]);
    assert.equal(decided.length, 1);
    const shown = uiMessagesOf([asking, going]);
    const whole = await read(chunks, structuredClone(decided[0]) as UIMessage);
    assert.deepEqual(parts(whole), parts(shown[0]));
    assert.equal(whole.id, ID);

    // Who has nothing of the message has all of it as well.
    const before = chunksOfParts(decided[0]?.parts ?? []);
    const resumed = await read(chunksOf(going, { messageId: ID, decided: requests, before }));
    assert.deepEqual(parts(resumed), parts(shown[0]));
  });

  it('ends as the turn does, and never as if it were whole', () => {
    const half = [says('Half')];
    const last = (turn: Turn) => chunksOf(turn).at(-1);
    const cancelled = turnOf(half, {
      status: 'cancelled',
      error: { code: 'turn_cancelled', message: 'Stopped.' },
    });
    assert.deepEqual(last(cancelled), { type: 'abort', reason: 'Stopped.' });
    const failed = turnOf(half, { status: 'failed', error: { code: 'provider_error', message: 'Nobody.' } });
    assert.deepEqual(last(failed), { type: 'error', errorText: 'Nobody.' });
    const cut = turnOf([...half, { ...finish, reason: 'length' }]);
    assert.equal(last(cut)?.['finishReason'], 'length');

    const wire = uiWire(OWN_MESSAGE);
    wire.frame({ number: 0, event: { type: 'turn.started', turn: begun } });
    assert.match(wire.end(), /^data: \{"type":"error",.*\n\ndata: \[DONE\]\n\n$/);
  });

  it('ends for a reader that has fallen behind', () => {
    const wire = uiWire(OWN_MESSAGE);
    assert.match(wire.expired(), /"type":"error"/);
    assert.equal(wire.frame({ number: 9, event: { type: 'message.delta', text: 'later' } }), '');
    assert.equal(wire.end(), 'data: [DONE]\n\n');
  });
});
