import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { isError, keyOf, type OneSession, OWNER, openSession, reached } from '../../test/one-session.ts';
import { finish, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { NO_LIMITS } from '../conversation/client.ts';
import { AppError } from '../errors.ts';
import { createInProcessLimiter } from '../limits/in-process.ts';
import { tokenBuckets } from './token-charge.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

const oneAtOnce = { allowance: { ...NO_LIMITS, concurrentTurns: 1 } };

/** A turn that runs until the test ends it, in a session of its own. */
async function running(turns: ReturnType<OneSession['turnsWith']>) {
  const { session: other } = await session.sessions.create(OWNER, {});
  const { live } = await turns.start(session.request('long', { ...oneAtOnce, sessionId: other.id }));
  await reached(live, 'message.delta');
  return { live, sessionId: other.id };
}

describe('turns of a client that run at the same time', () => {
  it('are as many as it may have, in all its sessions, and others as soon as one is over', async () => {
    const end = Promise.withResolvers<void>();
    const turns = session.turnsWith(scriptedProvider('p', ['wait', { until: end.promise }], ['two']));
    const { live } = await running(turns);
    await assert.rejects(turns.start(session.request('now', oneAtOnce)), (error) => {
      assert.ok(isError('rate_limited')(error));
      assert.deepEqual((error as AppError).details, { retry_after: 1, limit: 'concurrent_turns' });
      return true;
    });
    assert.deepEqual(await session.allTurns(), [], 'nothing was stored of it');
    const another = session.request('now', { allowance: { ...NO_LIMITS, concurrentTurns: 2 } });
    assert.equal((await (await turns.start(another)).live.ended).turn.status, 'completed');
    end.resolve();
    await live.ended;
    assert.equal((await session.run(turns, 'again', oneAtOnce)).turn.status, 'completed');
  });

  it('are counted for each client by itself', async () => {
    const end = Promise.withResolvers<void>();
    const turns = session.turnsWith(scriptedProvider('p', ['wait', { until: end.promise }], ['two']));
    const { live } = await running(turns);
    const { session: theirs } = await session.sessions.create('somebody else', {});
    const request = { ...oneAtOnce, owner: 'somebody else', sessionId: theirs.id };
    assert.equal((await session.run(turns, 'hello', request)).turn.status, 'completed');
    end.resolve();
    await live.ended;
  });

  it('can be interrupted by the client that has no other left', async () => {
    const turns = session.turnsWith(
      scriptedProvider('p', ['wait', { until: new Promise(() => {}) }], ['two']),
    );
    const { live, sessionId } = await running(turns);
    const request = session.request('no, this', { ...oneAtOnce, sessionId, onBusy: 'interrupt' });
    const next = await turns.start(request);
    assert.equal((await live.ended).turn.status, 'cancelled');
    assert.equal((await next.live.ended).turn.status, 'completed');
  });

  it('do not keep a request that was done before from being answered', async () => {
    const end = Promise.withResolvers<void>();
    const turns = session.turnsWith(
      scriptedProvider('p', ['one'], ['wait', { until: end.promise }], ['never asked']),
    );
    const key = keyOf('k');
    const first = await session.run(turns, 'hello', { ...oneAtOnce, key });
    const { live } = await running(turns);
    const again = await turns.start(session.request('hello', { ...oneAtOnce, key }));
    assert.deepEqual([again.replayed, again.live.id], [true, first.turn.id]);
    await assert.rejects(
      turns.start(session.request('hello', { ...oneAtOnce, key: keyOf('new') })),
      isError('rate_limited'),
    );
    end.resolve();
    await live.ended;
  });

  it('give their place back where the store fails', async () => {
    let isOut = true;
    const store: OneSession['store'] = {
      ...session.store,
      beginTurn: (begin) =>
        isOut ? Promise.reject(new AppError('store_unavailable')) : session.store.beginTurn(begin),
    };
    const turns = session.turnsWith(scriptedProvider('p', ['one']), { store });
    await assert.rejects(turns.start(session.request('hello', oneAtOnce)), isError('store_unavailable'));
    isOut = false;
    assert.equal((await session.run(turns, 'hello', oneAtOnce)).turn.status, 'completed');
  });

  it('are over for their clients when another server would let the next one in', async () => {
    const isFree = Promise.withResolvers<void>();
    const slots = { take: async () => ({ release: () => isFree.promise }) };
    const turns = session.turnsWith(scriptedProvider('p', ['one'], ['two']), { slots });
    const { live } = await turns.start(session.request('hello', oneAtOnce));
    let isOver = false;
    void live.ended.then(() => {
      isOver = true;
    });
    // It is stored, and the session is free: the next one goes through all the steps of a turn.
    await session.run(turns, 'of another client', {});
    assert.equal(isOver, false);
    isFree.resolve();
    assert.equal((await live.ended).turn.status, 'completed');
  });

  it('leave the session free where the slots cannot be asked', async () => {
    let isOut = true;
    const free = { take: async () => ({ release: async () => undefined }) };
    const slots = {
      take: () => (isOut ? Promise.reject(new AppError('store_unavailable')) : free.take()),
    };
    const turns = session.turnsWith(scriptedProvider('p', ['one']), { slots });
    await assert.rejects(turns.start(session.request('hello', oneAtOnce)), isError('store_unavailable'));
    isOut = false;
    assert.equal((await session.run(turns, 'hello', oneAtOnce)).turn.status, 'completed');
  });
});

describe('the tokens of a client', () => {
  const allowance = { ...NO_LIMITS, tokensPerDay: 2000 };
  const used = (input: number, output: number): Step => ({
    ...finish('p-model'),
    type: 'finish',
    reason: 'stop',
    model: 'p-model',
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + output,
    },
  });

  it('are those of its turns; a turn that would take more than is left fails and changes nothing', async () => {
    const limiter = createInProcessLimiter();
    const left = async () => (await limiter.take(tokenBuckets(OWNER, allowance, 0))).buckets[0]?.remaining;
    const provider = scriptedProvider('p', ['one', used(20, 80)], ['two', used(30, 1200)], ['not asked']);
    const turns = session.turnsWith(provider, { limiter });
    await session.run(turns, 'hello', { allowance });
    assert.equal(await left(), 1900);
    await session.run(turns, 'go on', { allowance });
    assert.equal(await left(), 670);
    const { turn } = await session.run(turns, 'and on', { allowance });
    assert.deepEqual(
      [turn.status, turn.error?.code, turn.error?.details?.['limit'], turn.attempts],
      ['failed', 'rate_limited', 'tokens_per_day', []],
    );
    assert.equal(await left(), 670);
    assert.equal(provider.prompts.length, 2);
    assert.deepEqual(await session.conversation(), ['hello', 'one', 'go on', 'two']);
    // A smaller answer still fits.
    const small = await session.run(turns, 'in short', { allowance, options: { max_tokens: 50 } });
    assert.equal(small.turn.status, 'completed');
  });

  it('come back in full where the turn failed before a model had anything to do', async () => {
    const limiter = createInProcessLimiter();
    const turns = session.turnsWith(scriptedProvider('p', [{ fail: 'bad_request' }]), { limiter });
    const { turn } = await session.run(turns, 'hello', { allowance });
    assert.equal(turn.status, 'failed');
    const { buckets } = await limiter.take(tokenBuckets(OWNER, allowance, 0));
    assert.equal(buckets[0]?.remaining, 2000);
  });
});
