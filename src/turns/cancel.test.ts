import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  isError,
  type OneSession,
  OWNER,
  openSession,
  reached,
  readToEnd,
  textOf,
} from '../../test/one-session.ts';
import { never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import type { TurnEvent } from '../conversation/event.ts';
import type { Turn } from '../conversation/turn.ts';
import type { Store } from '../stores/store.ts';
import type { Turns } from './turns.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

function cancel(turns: Turns, turnId: string): Promise<Turn> {
  return turns.cancel(OWNER, session.sessionId, turnId);
}

/** Runs a turn up to an event, and cancels it. */
async function cancelAt(turns: Turns, type: TurnEvent['type']): Promise<Turn> {
  const { live } = await turns.start(session.request('hello'));
  await reached(live, type);
  return cancel(turns, live.id);
}

describe('a turn that is cancelled', () => {
  it('keeps the partial text as an incomplete message, and joins the conversation', async () => {
    const provider = scriptedProvider('p', ['part', never], ['two']);
    const turns = session.turnsWith(provider);
    const turn = await cancelAt(turns, 'message.delta');
    assert.equal(turn.status, 'cancelled');
    assert.equal(turn.error?.code, 'turn_cancelled');
    const [message] = turn.output;
    assert.ok(message?.type === 'message' && message.status === 'incomplete');
    assert.equal(textOf(turn.output), 'part');
    assert.deepEqual(await session.store.getTurn(OWNER, session.sessionId, turn.id), turn);

    const next = await session.run(turns, 'go on');
    assert.equal(next.turn.parentId, turn.id);
    assert.deepEqual(await session.conversation(), ['hello', 'part', 'go on', 'two']);
    assert.equal(provider.prompts[1]?.items.length, 3);
  });

  it('before its first words leaves nothing, and the next one follows what was before', async () => {
    const thinking: Step = { type: 'reasoning-delta', text: 'hm' };
    const turns = session.turnsWith(scriptedProvider('p', ['one'], [thinking, never], [never], ['two']));
    const first = await session.run(turns, 'hello');
    const turn = await cancelAt(turns, 'reasoning.delta');
    assert.equal(turn.status, 'cancelled');
    assert.equal(turn.output[0]?.type, 'reasoning');
    assert.deepEqual((await cancelAt(turns, 'turn.started')).output, []);
    assert.deepEqual(await session.conversation(), ['hello', 'one']);
    assert.equal((await session.run(turns, 'again')).turn.parentId, first.turn.id);
  });

  it('with text and a call leaves both, and the model is told that the call has no result', async () => {
    const call: Step = { type: 'tool-call', callId: 'c1', name: 'look', arguments: '{}' };
    const provider = scriptedProvider('p', ['let me see', call, 'so', never], ['two']);
    const turns = session.turnsWith(provider);
    const { live } = await turns.start(session.request('hello'));
    // The second piece of text comes after the call.
    await readUntil(live.id, 'so');
    await cancel(turns, live.id);
    await session.run(turns, 'go on');
    assert.deepEqual(
      provider.prompts[1]?.items.map(({ type }) => type),
      ['message', 'message', 'function_call', 'function_call_output', 'message', 'message'],
    );

    async function readUntil(turnId: string, text: string): Promise<void> {
      const found = await turns.find(OWNER, session.sessionId, turnId);
      let wake = () => {};
      const follower = found.follow(2, () => wake());
      let next = follower.next();
      for (; next === null; next = follower.next()) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      follower.close();
      assert.deepEqual(next, { number: 3, event: { type: 'message.delta', text } });
    }
  });

  it('ends the call to the provider, and lets the next one in', async () => {
    const provider = scriptedProvider('p', ['part', never], ['two']);
    const { stream } = provider;
    const signals: AbortSignal[] = [];
    provider.stream = (prompt, signal) => {
      signals.push(signal);
      return stream(prompt, signal);
    };
    const turns = session.turnsWith(provider);
    const { live } = await turns.start(session.request('hello'));
    const waiting = session.run(turns, 'next');
    await reached(live, 'message.delta');
    await cancel(turns, live.id);
    assert.equal((await waiting).turn.status, 'completed');
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, false],
    );
  });

  it('tells its followers, and later ones the same', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.start(session.request('hello'));
    const following = readToEnd(live);
    await reached(live, 'message.delta');
    await cancel(turns, live.id);
    const seen = await following;
    const last = seen.at(-1);
    assert.ok(typeof last === 'object' && last.event.type === 'turn.failed');
    assert.equal(last.event.ended.turn.error?.code, 'turn_cancelled');
    const later = await turns.find(OWNER, session.sessionId, live.id);
    assert.deepEqual((await readToEnd(later)).slice(1), seen.slice(1));
  });
});

describe('cancelling', () => {
  it('twice, or at once from several sides, is cancelling once', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.start(session.request('hello'));
    await reached(live, 'message.delta');
    const all = await Promise.all([cancel(turns, live.id), cancel(turns, live.id)]);
    all.push(await cancel(turns, live.id));
    for (const turn of all) assert.deepEqual(turn, all[0]);
    assert.equal(session.observed.length, 1);
  });

  it('changes nothing of a turn that is over', async () => {
    const script: Step[] = [{ fail: 'bad_request' }];
    const turns = session.turnsWith(scriptedProvider('p', ['one'], script));
    for (const status of ['completed', 'failed']) {
      const { turn } = await session.run(turns, 'hello');
      assert.equal(turn.status, status);
      assert.deepEqual(await cancel(turns, turn.id), turn);
      assert.deepEqual(await session.store.getTurn(OWNER, session.sessionId, turn.id), turn);
    }
  });

  it('changes nothing of an answer that is whole and is just being stored', async () => {
    const committing = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const slow: Store = {
      ...session.store,
      async commitTurn(commit) {
        committing.resolve();
        await gate.promise;
        return session.store.commitTurn(commit);
      },
    };
    const turns = session.turnsWith(scriptedProvider('p', ['one']), { store: slow });
    const { live } = await turns.start(session.request('hello'));
    await committing.promise;
    const cancelling = cancel(turns, live.id);
    gate.resolve();
    assert.equal((await cancelling).status, 'completed');
    assert.deepEqual(await session.conversation(), ['hello', 'one']);
  });

  it('is the owner’s alone; for others there is no such turn', async () => {
    const { session: other } = await session.sessions.create(OWNER, {});
    const gate = Promise.withResolvers<void>();
    const turns = session.turnsWith(scriptedProvider('p', ['o', { until: gate.promise }, 'ne']));
    const { live } = await turns.start(session.request('hello'));
    const { sessionId } = session;
    await assert.rejects(turns.cancel('stranger', sessionId, live.id), isError('session_not_found'));
    await assert.rejects(turns.cancel(OWNER, other.id, live.id), isError('turn_not_found'));
    await assert.rejects(turns.cancel(OWNER, sessionId, 'nobody'), isError('turn_not_found'));
    await assert.rejects(turns.find('stranger', sessionId, live.id), isError('session_not_found'));
    await assert.rejects(turns.find(OWNER, other.id, live.id), isError('turn_not_found'));
    gate.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
    await assert.rejects(turns.find('stranger', sessionId, live.id), isError('session_not_found'));
  });
});
