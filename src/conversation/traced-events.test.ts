/** The promise of the trace: what is made again from a turn's record is what was seen while it ran. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../errors.ts';
import type { RouteEvent } from '../routing/route.ts';
import { type Answer, createAnswer } from '../turns/answer.ts';
import { outcomeOf } from '../turns/outcome.ts';
import type { EndedTurn, TurnEvent } from './event.ts';
import { tracedEvents } from './traced-events.ts';
import type { Turn } from './turn.ts';

const text = fc.oneof(
  fc.string({ maxLength: 8, unit: 'grapheme' }),
  fc.string({ maxLength: 8, unit: 'binary' }),
  // Models cut characters in two: halves of a surrogate pair, a letter and its accent.
  fc.constantFrom('\ud83d', '\ude00', 'e', '\u0301', '', '\r\n', '\u0000'),
);

const piece: fc.Arbitrary<RouteEvent> = fc.oneof(
  { weight: 5, arbitrary: text.map((text) => ({ type: 'text-delta' as const, text })) },
  { weight: 2, arbitrary: text.map((text) => ({ type: 'reasoning-delta' as const, text })) },
  { weight: 1, arbitrary: text.map((text) => ({ type: 'refusal-delta' as const, text })) },
  { weight: 1, arbitrary: fc.constant({ type: 'restart' as const, reason: 'interrupted' }) },
  {
    weight: 1,
    arbitrary: text.map((text) => ({
      type: 'tool-call' as const,
      callId: 'c',
      name: 'look',
      arguments: text,
    })),
  },
);

const end = fc.oneof(
  fc.constantFrom('stop' as const, 'length' as const, 'tool_calls' as const, 'content_filter' as const),
  fc.constantFrom(new AppError('turn_cancelled'), new AppError('provider_error')),
);

describe('the events of a turn that is over', () => {
  it('are those that its followers saw, under the same numbers, whatever happened in it', () => {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), end, (pieces, end) => {
        const answer = createAnswer('01a2151a-bd0b-7003-8551-bf7aa071b156');
        answer.add({ type: 'attempt-started', provider: 'p', model: 'm', source: 'default' });
        const shown = pieces.flatMap((event) => {
          answer.add(event);
          return shownAs(event, answer);
        });
        const failure = end instanceof AppError ? end : null;
        if (!(end instanceof AppError)) answer.add({ type: 'finish', reason: end, usage: null, model: 'm' });
        const ended = stored({ turn: { ...begun, ...outcomeOf(answer, [], failure) }, seen: [] });
        const events = tracedEvents(ended);
        assert.deepEqual(events.slice(1, -1), shown);
        assert.deepEqual(events[0], { type: 'turn.started', turn: ended.turn });
        const type = ended.turn.error === null ? 'turn.completed' : 'turn.failed';
        assert.deepEqual(events.at(-1), { type, ended });
      }),
      { numRuns: 500 },
    );
  });

  it('are the first and the last one where nobody knows how the answer came', () => {
    const turn: Turn = { ...begun, status: 'failed', error: { code: 'server_restarted', message: 'gone' } };
    const types = tracedEvents({ turn, seen: [] }).map(({ type }) => type);
    assert.deepEqual(types, ['turn.started', 'turn.failed']);
  });

  it('keep what was said before a restart, which the answer does not have', () => {
    const answer = createAnswer('01a2151a-bd0b-7003-8551-bf7aa071b156');
    const script: RouteEvent[] = [
      { type: 'reasoning-delta', text: 'hm' },
      { type: 'text-delta', text: 'wro' },
      { type: 'text-delta', text: 'ng' },
      { type: 'restart', reason: 'timeout' },
      { type: 'text-delta', text: 'right' },
      { type: 'finish', reason: 'stop', usage: null, model: 'm' },
    ];
    for (const event of script) answer.add(event);
    const outcome = outcomeOf(answer, [], null);
    assert.deepEqual(outcome.trace, [
      { kind: 'reasoning', lengths: [2] },
      { kind: 'message', lengths: [3, 2] },
      { kind: 'restart', reason: 'timeout', message: 'wrong', reasoning: 'hm' },
      { kind: 'message', lengths: [5] },
    ]);
    assert.equal(outcome.output.length, 1);
    const events = tracedEvents({ turn: { ...begun, ...outcome }, seen: [] });
    assert.deepEqual(
      events.slice(1, -1),
      script.flatMap((event) => shownAs(event, answer)),
    );
  });
});

const begun: Turn = {
  id: 't',
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

/** What a follower of the running turn sees of an event. */
function shownAs(event: RouteEvent, answer: Answer): TurnEvent[] {
  switch (event.type) {
    case 'refusal-delta':
      return [{ type: 'message.delta', text: event.text, isRefusal: true }];
    case 'tool-call':
      return [{ type: 'tool.requested', call: answer.lastRequested()! }];
    case 'text-delta':
      return [{ type: 'message.delta', text: event.text }];
    case 'reasoning-delta':
      return [{ type: 'reasoning.delta', text: event.text }];
    case 'restart':
      return [{ type: 'message.restart', reason: event.reason }];
    default:
      return [];
  }
}

/** What comes back from a store, all of which write JSON. */
function stored(ended: EndedTurn): EndedTurn {
  return JSON.parse(JSON.stringify(ended)) as EndedTurn;
}
