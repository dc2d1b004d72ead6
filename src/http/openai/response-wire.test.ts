/** The promise of the stream: the same frames under the same numbers, whenever and from wherever they are read. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { type OneSession, OWNER, openSession, readToEnd } from '../../../test/one-session.ts';
import { readResponseEvents } from '../../../test/openai-schemas.ts';
import { type Step, scriptedProvider } from '../../../test/scripted-provider.ts';
import { done, text, toolboxOf } from '../../../test/scripted-tools.ts';
import type { NumberedEvent } from '../../turns/live-turn.ts';
import { responseView } from './response-view.ts';
import { responseWire } from './response-wire.ts';

let session: OneSession;
before(async () => {
  session = await openSession();
});
after(() => session.close());

const said = fc.oneof(
  fc.string({ maxLength: 6, unit: 'grapheme' }),
  fc.constantFrom('\ud83d', '\ude00', '', '\r\n\r\n', '\u2028', '\u0000'),
);
const piece: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: said },
  { weight: 2, arbitrary: said.map((text) => ({ type: 'reasoning-delta' as const, text })) },
  { weight: 1, arbitrary: said.map((text) => ({ type: 'refusal-delta' as const, text })) },
);
const called = (name: string, index: number): Step => ({
  type: 'tool-call',
  callId: `c${index}`,
  name,
  arguments: '{"a":1}',
});
/** What a model says at once: words, then calls. */
const step = (names: readonly string[]) =>
  fc
    .tuple(fc.array(piece, { maxLength: 8 }), fc.array(fc.constantFrom(...names), { maxLength: 3 }))
    .map(([words, calls]): Step[] => [
      ...words,
      ...calls.map(called),
      calls.length === 0 ? done : ({ ...(done as object), reason: 'tool_calls' } as Step),
    ]);
const script = fc.tuple(
  fc.array(step(['x__works', 'x__fails']), { maxLength: 3 }),
  step(['own', 'other', 'x__ask_first']),
);
const end = fc.constantFrom<Step[]>(
  [],
  [{ fail: 'unreachable' }],
  [{ ...(done as object), reason: 'length' } as Step],
);

const toolboxes = toolboxOf({
  x__works: async () => text('It worked.'),
  x__fails: async () => ({ ...text('It did not.'), isError: true }),
  x__ask_first: async () => text('Never called.'),
});

function framesOf(events: readonly (NumberedEvent | 'expired')[], after = -1): string {
  const wire = responseWire(after);
  const frames = events.map((one) => (one === 'expired' ? wire.expired() : wire.frame(one)));
  return frames.join('') + wire.end();
}

describe('the stream of a response', () => {
  it('is the same whenever it is read, and comes to what the response is', async () => {
    await fc.assert(
      fc.asyncProperty(script, end, fc.boolean(), async ([steps, last], how, background) => {
        const provider = scriptedProvider('p', ...steps, [...how, ...last]);
        const turns = session.turnsWith(provider, { toolboxes });
        const asked = { model: 'm', ...(background ? { background } : {}) };
        const { live } = await turns.start(session.request('Go', { asked, parentTurnId: null }));
        const seen = await readToEnd(live);
        const { turn } = await live.ended;
        const frames = framesOf(seen);
        const again = await readToEnd(await turns.find(OWNER, session.sessionId, live.id));
        assert.equal(framesOf(again), frames);

        const events = readResponseEvents(frames);
        for (let after = 0; after < events.length; after += 1) {
          assert.deepEqual(readResponseEvents(framesOf(again, after), after + 1), events.slice(after + 1));
        }
        const items = events
          .filter(({ type }) => type === 'response.output_item.done')
          .map(({ item }) => item);
        const view = JSON.parse(JSON.stringify(responseView(turn)));
        assert.deepEqual(items, view.output);
        assert.deepEqual(events.at(-1)?.['response'], view);
      }),
      { numRuns: 150 },
    );
  });

  it('tells who fell behind, and nothing after it', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['a', 'b']));
    const { live } = await turns.start(session.request('Go'));
    const events = await readToEnd(live);
    const wire = responseWire();
    const [first, , last] = events as NumberedEvent[];
    const frames = wire.frame(first!) + wire.expired() + wire.frame(last!) + wire.end();
    const told = readResponseEvents(frames);
    assert.deepEqual([told.at(-1)?.type, told.at(-1)?.['code']], ['error', 'events_expired']);
    assert.equal(wire.over?.(), true);
  });

  it('has all of a response whose pieces nobody knows', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['a', 'b']));
    const { turn } = await session.run(turns, 'Go');
    const lost = { ...turn, trace: null };
    const events = readResponseEvents(
      framesOf([
        { number: 0, event: { type: 'turn.started', turn: lost } },
        { number: 1, event: { type: 'turn.completed', ended: { turn: lost, seen: [] } } },
      ]),
    );
    const deltas = events.filter(({ type }) => type === 'response.output_text.delta');
    assert.deepEqual(
      deltas.map(({ delta }) => delta),
      ['ab'],
    );
  });
});
