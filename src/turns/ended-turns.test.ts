/** A turn that is over looks as it did while it ran, to whoever comes later. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import {
  isError,
  type OneSession,
  OWNER,
  openSession,
  reached,
  readToEnd,
  shownToEnd,
} from '../../test/one-session.ts';
import { never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { newId } from '../conversation/id.ts';
import { inputItem } from '../conversation/message.ts';
import type { FinishReason } from '../conversation/turn.ts';
import { NO_EXCHANGE } from '../replicas/in-process.ts';
import type { Store } from '../stores/store.ts';
import { findElsewhere } from './ended-turns.ts';
import type { LiveTurn, NumberedEvent } from './live-turn.ts';
import { createSessionWatch } from './session-watch.ts';
import type { Turns } from './turns.ts';

const ALONE = {
  exchange: NO_EXCHANGE,
  watch: createSessionWatch(NO_EXCHANGE),
  closed: new AbortController().signal,
};

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

/** Follows a turn to its end and asserts that nobody can tell from its events whether it runs. */
async function assertSameLater(turns: Turns, live: LiveTurn): Promise<void> {
  const seen = await shownToEnd(live);
  const later = await turns.find(OWNER, session.sessionId, live.id);
  assert.notEqual(later, live);
  assert.deepEqual(await later.ended, await live.ended);
  for (const after of [-1, 0, 1, seen.length - 2, seen.length - 1]) {
    assert.deepEqual(await shownToEnd(later, after), seen.slice(after + 1));
  }
}

describe('the events of a turn', () => {
  it('are the same after its end, whatever the providers did', async () => {
    const text = fc.string({ minLength: 1, maxLength: 4 });
    const piece: fc.Arbitrary<Step> = fc.oneof(
      { weight: 4, arbitrary: text },
      { weight: 2, arbitrary: text.map((text): Step => ({ type: 'reasoning-delta', text })) },
      { weight: 1, arbitrary: text.map((text): Step => ({ type: 'refusal-delta', text })) },
    );
    const end: fc.Arbitrary<Step[]> = fc.oneof(
      fc
        .constantFrom<Step>(
          { fail: 'interrupted' },
          { fail: 'timeout', details: { clock: 'idle' } },
          { fail: 'content_filter' },
        )
        .map((failure) => [failure]),
      fc
        .constantFrom<FinishReason>('stop', 'length', 'content_filter')
        .map((reason): Step[] => [{ type: 'finish', reason, usage: null, model: 'm' }]),
      fc.constant<Step[]>([
        { type: 'tool-call', callId: 'c1', name: 'look', arguments: '{}' },
        { type: 'finish', reason: 'tool_calls', usage: null, model: 'm' },
      ]),
    );
    const provider = fc.record({
      pieces: fc.array(piece, { maxLength: 6 }),
      end,
      continuation: fc.constantFrom('none' as const, 'prefill' as const, 'instruct' as const),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(provider, { minLength: 1, maxLength: 3 }), async (providers) => {
        const turns = session.turnsWith(
          providers.map(({ pieces, end, continuation }, index) =>
            scriptedProvider({ name: `p${index}`, continuation }, [...pieces, ...end]),
          ),
        );
        await assertSameLater(turns, (await turns.start(session.request('hello'))).live);
      }),
      { numRuns: 60 },
    );
    const restarts = session.observed.filter(({ turn }) =>
      turn.trace?.some(({ kind }) => kind === 'restart'),
    );
    assert.ok(restarts.length > 0, 'some answers were begun again');
  });

  it('are the same for a turn that was cancelled', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.start(session.request('hello'));
    await reached(live, 'message.delta');
    await turns.cancel(OWNER, session.sessionId, live.id);
    await assertSameLater(turns, live);
  });
});

describe('the history that the last event shows', () => {
  /** A provider that answers for ever. */
  const talkative = () => scriptedProvider('p', ['yes']);

  it('is that of the time of the turn, however the session goes on', async () => {
    const turns = session.turnsWith(talkative());
    const lives: LiveTurn[] = [];
    for (const content of ['1', '2', '3']) {
      const { live } = await turns.start(session.request(content));
      await live.ended;
      lives.push(live);
    }
    await session.sessions.update(OWNER, session.sessionId, { memoryLimit: 1, instructions: null });
    await session.run(turns, '4', { parentTurnId: null });
    for (const [index, live] of lives.entries()) {
      assert.equal((await live.ended).seen.length, index);
      await assertSameLater(turns, live);
    }
  });

  it('is cut as the window was', async () => {
    const turns = session.turnsWith(talkative());
    for (const content of ['1', '2', '3', '4']) await session.run(turns, content);
    for (const [memoryLimit, shown] of [
      [1, 0],
      [3, 1],
      [4, 1],
      [5, 2],
    ] as const) {
      const { live } = await turns.start(session.request('x', { memoryLimit }));
      assert.equal((await live.ended).seen.length, shown, `${memoryLimit} places`);
      await assertSameLater(turns, live);
    }
  });

  it('is that of the branch', async () => {
    const turns = session.turnsWith(talkative());
    const first = await session.run(turns, '1');
    await session.run(turns, '2');
    for (const parentTurnId of [first.turn.id, null]) {
      const { live } = await turns.start(session.request('x', { parentTurnId }));
      assert.equal((await live.ended).seen.length, parentTurnId === null ? 0 : 1);
      await assertSameLater(turns, live);
    }
  });

  it('has the calls that the turn answers, beyond its window', async () => {
    const calling: Step[] = [
      { type: 'tool-call', callId: 'c1', name: 'look', arguments: '{}' },
      { type: 'finish', reason: 'tool_calls', usage: null, model: 'm' },
    ];
    const turns = session.turnsWith(scriptedProvider('p', ['one'], calling, ['done']));
    await session.run(turns, '1');
    await session.run(turns, 'look');
    const input = [inputItem({ role: 'tool', content: 'seen', toolCallId: 'c1' }, 'fco_1')];
    const { live } = await turns.start(session.request('', { input, memoryLimit: 1 }));
    assert.equal((await live.ended).seen.length, 1);
    await assertSameLater(turns, live);
  });
});

describe('a turn that does not run here', () => {
  it('and is not over is waited for a little, as its end may just be being stored', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    const { turn } = await session.run(turns, 'hello');
    let asked = 0;
    const late: Store = {
      ...session.store,
      async getTurn(...asking) {
        asked += 1;
        const found = await session.store.getTurn(...asking);
        return found !== null && asked < 3 ? { ...found, status: 'in_progress' } : found;
      },
    };
    const live = await findElsewhere(
      { owner: OWNER, sessionId: session.sessionId, turnId: turn.id },
      { ...ALONE, store: late },
    );
    assert.deepEqual((await live.ended).turn, turn);
    assert.equal(asked, 3);
  });

  it('and does not end is not waited for', async () => {
    const turnId = newId();
    await session.store.beginTurn({
      owner: OWNER,
      sessionId: session.sessionId,
      turnId,
      parentTurnId: undefined,
      input: [],
      createdAt: Date.now(),
      reach: { places: 1, defaultPlaces: 1, taken: 0 },
      key: null,
      mayBegin: true,
      leaseMilliseconds: 0,
      line: null,
    });
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    await assert.rejects(turns.find(OWNER, session.sessionId, turnId), isError('store_unavailable'));
    await assert.rejects(turns.cancel(OWNER, session.sessionId, turnId), isError('store_unavailable'));

    // As a server does that starts again.
    await session.store.failInterrupted({ code: 'server_restarted', message: 'gone' }, Date.now());
    const [last] = await readToEnd(await turns.find(OWNER, session.sessionId, turnId), 0);
    assert.deepEqual(
      [(last as NumberedEvent).number, (last as NumberedEvent).event.type],
      [1, 'turn.failed'],
    );
  });

  it('is gone with its session, deleted or expired', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    await session.run(turns, 'hello');
    const { turn } = await session.run(turns, 'again');
    const deleting: Store = {
      ...session.store,
      async readPath(query) {
        await session.store.deleteSession(OWNER, session.sessionId);
        return session.store.readPath(query);
      },
    };
    const find = (store: Store) =>
      findElsewhere({ owner: OWNER, sessionId: session.sessionId, turnId: turn.id }, { ...ALONE, store });
    const expired: Store = {
      ...session.store,
      async getSession(...asking) {
        const found = await session.store.getSession(...asking);
        return found && { ...found, ttlSeconds: 1, updatedAt: Date.now() - 1000 };
      },
    };
    await assert.rejects(find(expired), isError('session_not_found'));
    await assert.rejects(find(deleting), isError('session_not_found'));
    await assert.rejects(find(session.store), isError('session_not_found'));
  });
});
