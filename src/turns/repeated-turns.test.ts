/** Requests with a key: done once, however often they are sent. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  isError,
  keyOf,
  type OneSession,
  OWNER,
  openSession,
  reached,
  readToEnd,
  textOf,
} from '../../test/one-session.ts';
import { never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import type { OnBusy } from './turn-request.ts';
import type { StartedTurn, Turns } from './turns.ts';

let session: OneSession;
let gate: PromiseWithResolvers<void>;
/** An answer that comes when the gate opens. */
let slow: Step[];

beforeEach(async () => {
  session = await openSession();
  gate = Promise.withResolvers();
  slow = ['sl', { until: gate.promise }, 'ow'];
});
afterEach(() => session.close());

type Sending = Parameters<OneSession['request']>[1];

function send(turns: Turns, key: string, some: Sending = {}, signal?: AbortSignal): Promise<StartedTurn> {
  return turns.start(session.request('hello', { key: keyOf(key), ...some }), signal);
}

/** Starts a turn without a key and waits until its answer has begun. */
async function occupy(turns: Turns): Promise<StartedTurn> {
  const started = await turns.start(session.request('first'));
  await reached(started.live, 'message.delta');
  return started;
}

describe('a request that is sent again', () => {
  it('joins its turn while that runs', async () => {
    const provider = scriptedProvider('p', slow);
    const turns = session.turnsWith(provider);
    const first = await send(turns, 'k');
    await reached(first.live, 'message.delta');
    const second = await send(turns, 'k', { onBusy: 'reject' });
    const third = await send(turns, 'k', { onBusy: 'interrupt' });
    assert.deepEqual([first.replayed, second.replayed, third.replayed], [false, true, true]);
    gate.resolve();
    const events = await readToEnd(first.live);
    assert.deepEqual(await readToEnd(second.live), events);
    assert.deepEqual(await readToEnd(third.live), events);
    assert.equal(provider.prompts.length, 1);
    assert.deepEqual(await session.conversation(), ['hello', 'slow']);
  });

  it('joins it also while that has not begun, in whatever order they were sent', async () => {
    const provider = scriptedProvider('p', slow, ['one']);
    const turns = session.turnsWith(provider);
    await occupy(turns);
    const waiting = ['k', 'other', 'k', 'k'].map((key) => send(turns, key));
    gate.resolve();
    const started = await Promise.all(waiting);
    const ids = started.map(({ live }) => live.id);
    assert.deepEqual(ids, [ids[0], ids[1], ids[0], ids[0]]);
    assert.notEqual(ids[0], ids[1]);
    assert.deepEqual(
      started.map(({ replayed }) => replayed),
      [false, false, true, true],
    );
    await Promise.all(started.map(({ live }) => live.ended));
    assert.equal((await session.allTurns()).length, 3);
  });

  it('gets the same events when the turn is over, and the model is not asked', async () => {
    const provider = scriptedProvider('p', ['o', 'ne'], ['two']);
    const turns = session.turnsWith(provider);
    const first = await send(turns, 'k');
    const { turn } = await first.live.ended;
    await session.run(turns, 'something else');
    const again = await send(turns, 'k');
    assert.equal(again.replayed, true);
    assert.deepEqual((await again.live.ended).turn, turn);
    assert.deepEqual((await readToEnd(again.live)).slice(1), (await readToEnd(first.live)).slice(1));
    assert.equal(provider.prompts.length, 2);
    assert.equal(session.observed.length, 2);
  });

  it('does not run again what was cut short or cancelled, and gets the partial text', async () => {
    const cut: Step = { type: 'finish', reason: 'length', usage: null, model: 'm' };
    const provider = scriptedProvider('p', ['half', cut], ['part', never], ['three']);
    const turns = session.turnsWith(provider);
    const incomplete = await (await send(turns, 'cut')).live.ended;
    const { live } = await send(turns, 'stop');
    await reached(live, 'message.delta');
    const cancelled = await turns.cancel(OWNER, session.sessionId, live.id);
    assert.equal(cancelled.status, 'cancelled');
    assert.deepEqual((await (await send(turns, 'cut')).live.ended).turn, incomplete.turn);
    const again = await send(turns, 'stop');
    assert.deepEqual((await again.live.ended).turn, cancelled);
    assert.equal(textOf(cancelled.output), 'part');
    assert.equal(provider.prompts.length, 2);
  });

  it('runs as a new turn if the turn has failed, from the moment that this is known', async () => {
    const provider = scriptedProvider('p', [{ fail: 'bad_request' }], ['fine']);
    const turns = session.turnsWith(provider);
    const failed = await send(turns, 'k');
    assert.equal((await failed.live.ended).turn.status, 'failed');
    const again = await send(turns, 'k');
    assert.equal(again.replayed, false);
    assert.notEqual(again.live.id, failed.live.id);
    assert.equal((await again.live.ended).turn.status, 'completed');
    const replayed = await send(turns, 'k');
    assert.deepEqual([replayed.live.id, replayed.replayed], [again.live.id, true]);
    assert.deepEqual(await session.conversation(), ['hello', 'fine']);
  });

  it('runs again once, however many try', async () => {
    const provider = scriptedProvider('p', [{ fail: 'bad_request' }], ['fine']);
    const turns = session.turnsWith(provider);
    await (await send(turns, 'k')).live.ended;
    const many = await Promise.all(Array.from({ length: 5 }, () => send(turns, 'k')));
    assert.equal(new Set(many.map(({ live }) => live.id)).size, 1);
    assert.equal(many.filter(({ replayed }) => !replayed).length, 1);
    await many[0]?.live.ended;
    assert.equal(provider.prompts.length, 2);
  });

  it('runs again when its key has expired', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one'], ['two']));
    const key = { ...keyOf('k'), expiresAt: Date.now() - 1 };
    await (await send(turns, 'k', { key })).live.ended;
    const again = await send(turns, 'k');
    assert.equal(again.replayed, false);
    await again.live.ended;
    assert.deepEqual(await session.conversation(), ['hello', 'one', 'hello', 'two']);
  });
});

describe('another request under the same key', () => {
  it('is refused while the first waits, while it runs, and when it is over', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow, ['one', { until: gate.promise }]));
    const refused = () =>
      assert.rejects(
        send(turns, 'k', { key: keyOf('k', 'another body') }),
        isError('idempotency_key_reused'),
      );
    await occupy(turns);
    const waiting = send(turns, 'k');
    await refused();
    gate.resolve();
    const { live } = await waiting;
    await refused();
    await live.ended;
    await refused();
    assert.equal((await session.allTurns()).length, 2);
  });

  it('is refused also where the session is busy, and disturbs nobody', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one'], slow));
    await (await send(turns, 'k')).live.ended;
    const { live } = await occupy(turns);
    for (const onBusy of ['queue', 'reject', 'interrupt'] satisfies OnBusy[]) {
      await assert.rejects(
        send(turns, 'k', { key: keyOf('k', 'another body'), onBusy }),
        isError('idempotency_key_reused'),
      );
    }
    gate.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
  });
});

describe('the same key', () => {
  it('is another one in another session', async () => {
    const { session: other } = await session.sessions.create(OWNER, {});
    const turns = session.turnsWith(scriptedProvider('p', slow, ['one']));
    const here = await send(turns, 'k');
    await reached(here.live, 'message.delta');
    const there = await send(turns, 'k', { sessionId: other.id, key: keyOf('k', 'another body') });
    assert.deepEqual([there.replayed, textOf((await there.live.ended).turn.output)], [false, 'one']);
    gate.resolve();
    await here.live.ended;
  });

  it('tells another owner nothing, while the turn runs and when it is over', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow));
    const { live } = await send(turns, 'k');
    const strange = async () => {
      for (const fingerprint of ['a body', 'another body']) {
        for (const onBusy of ['queue', 'reject', 'interrupt'] satisfies OnBusy[]) {
          const some = { owner: 'stranger', key: keyOf('k', fingerprint), onBusy };
          await assert.rejects(send(turns, 'k', some), isError('session_not_found'));
        }
      }
    };
    await strange();
    gate.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
    await strange();
  });
});

describe('where the session is busy', () => {
  it('a key whose turn is over is replayed at once, and disturbs nobody', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one'], slow), { queueMax: 0 });
    const done = await send(turns, 'k');
    await done.live.ended;
    const { live } = await occupy(turns);
    for (const onBusy of ['queue', 'reject', 'interrupt'] satisfies OnBusy[]) {
      const again = await send(turns, 'k', { onBusy });
      assert.deepEqual([again.live.id, again.replayed], [done.live.id, true]);
    }
    gate.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
  });

  it('a new key waits, is refused or interrupts like no key at all', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never], ['two']));
    const { live } = await occupy(turns);
    await assert.rejects(send(turns, 'k', { onBusy: 'reject' }), isError('session_busy'));
    const waiting = send(turns, 'waits');
    const interrupting = await send(turns, 'k', { onBusy: 'interrupt' });
    assert.equal((await live.ended).turn.status, 'cancelled');
    assert.equal((await interrupting.live.ended).turn.status, 'completed');
    assert.equal((await (await waiting).live.ended).turn.parentId, interrupting.live.id);
  });

  it('who has joined one that left before its turn came takes its place', async () => {
    const provider = scriptedProvider('p', slow, ['one']);
    const turns = session.turnsWith(provider);
    await occupy(turns);
    const gone = new AbortController();
    const first = send(turns, 'k', {}, gone.signal);
    const alsoGone = send(turns, 'k', {}, gone.signal);
    const others = [send(turns, 'k'), send(turns, 'k')];
    gone.abort();
    await assert.rejects(first, isError('turn_cancelled'));
    await assert.rejects(alsoGone, isError('turn_cancelled'));
    gate.resolve();
    const started = await Promise.all(others);
    assert.equal(started[0]?.live.id, started[1]?.live.id);
    assert.equal((await started[0]!.live.ended).turn.status, 'completed');
    assert.equal(provider.prompts.length, 2);
  });
});

describe('a request that could not begin', () => {
  it('leaves its key unused', async () => {
    const turns = session.turnsWith(scriptedProvider('p', slow, ['one']), { queueMax: 0 });
    const { live } = await occupy(turns);
    await assert.rejects(send(turns, 'k', { onBusy: 'reject' }), isError('session_busy'));
    await assert.rejects(send(turns, 'k'), isError('session_queue_full'));
    gate.resolve();
    await live.ended;
    await assert.rejects(send(turns, 'k', { parentTurnId: 'nobody' }), isError('turn_not_found'));
    const { replayed } = await send(turns, 'k', { key: keyOf('k', 'another body') });
    assert.equal(replayed, false);
  });
});

describe('on a store that other servers share', () => {
  it('a key goes to the body whose turn has begun elsewhere, and not to the one that came first here', async () => {
    const { store } = session;
    const elsewhere = session.turnsWith(scriptedProvider('p', ['one']));
    const asked = Promise.withResolvers<void>();
    const shared: typeof store = {
      ...store,
      isShared: true,
      async beginTurn(begin) {
        asked.resolve();
        await gate.promise;
        return store.beginTurn(begin);
      },
    };
    const here = session.turnsWith(scriptedProvider('p'), { store: shared });
    const first = send(here, 'k', { key: keyOf('k', 'another body') });
    await asked.promise;
    const second = send(here, 'k');
    const { live } = await send(elsewhere, 'k');
    gate.resolve();
    await assert.rejects(first, isError('idempotency_key_reused'));
    const { live: same, replayed } = await second;
    assert.deepEqual([same.id, replayed], [live.id, true]);
    await assert.rejects(
      send(here, 'k', { key: keyOf('k', 'another body') }),
      isError('idempotency_key_reused'),
    );
    await live.ended;
  });

  for (const [what, fingerprint] of [
    ['is a replay', 'a body'],
    ['is refused', 'another body'],
  ] as const) {
    it(`who has waited and ${what} after all leaves the line`, async () => {
      const { store } = session;
      const elsewhere = session.turnsWith(scriptedProvider('p', slow, ['one']));
      await occupy(elsewhere);
      const waits = Promise.withResolvers<string>();
      const over = Promise.withResolvers<void>();
      let asked = false;
      const left: string[] = [];
      const shared: typeof store = {
        ...store,
        isShared: true,
        async beginTurn(begin) {
          if (asked) await over.promise;
          asked = true;
          const outcome = await store.beginTurn(begin);
          if (outcome.kind === 'busy') waits.resolve(begin.turnId);
          return outcome;
        },
        leaveLine: async (_session, turnId) => void left.push(turnId),
      };
      const here = session.turnsWith(scriptedProvider('p'), { store: shared });
      const waiting = send(here, 'k', { key: keyOf('k', fingerprint) });
      waiting.catch(() => undefined);
      const turnId = await waits.promise;
      gate.resolve();
      await (await send(elsewhere, 'k')).live.ended;
      over.resolve();
      await Promise.allSettled([waiting]);
      assert.deepEqual(left, [turnId]);
    });
  }
});
