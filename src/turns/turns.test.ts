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
import { finish, never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { Store } from '../stores/store.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

describe('a turn', () => {
  it('is part of the conversation once it is completed, and the next one sees it', async () => {
    const provider = scriptedProvider('p', ['one'], ['two']);
    const turns = session.turnsWith(provider);
    const first = await session.run(turns, 'hello');
    const second = await session.run(turns, 'again');
    assert.equal(first.turn.status, 'completed');
    assert.equal(second.turn.parentId, first.turn.id);
    assert.deepEqual(await session.conversation(), ['hello', 'one', 'again', 'two']);
    assert.deepEqual(
      provider.prompts.map(({ items, instructions }) => [items.length, instructions]),
      [
        [1, 'Be kind.'],
        [3, 'Be kind.'],
      ],
    );
    assert.deepEqual(await session.store.getTurn(OWNER, session.sessionId, second.turn.id), second.turn);
    assert.deepEqual(
      session.observed.map(({ turn, owner }) => [turn.id, owner]),
      [first, second].map(({ turn }) => [turn.id, OWNER]),
    );
  });

  it('is stored with its input before the provider is asked', async () => {
    const provider = scriptedProvider('p', ['one']);
    const { stream } = provider;
    let stored: Turn | null = null;
    provider.stream = async function* (prompt, signal) {
      const page = await session.store.listTurns(OWNER, session.sessionId, {
        limit: 1,
        after: null,
        order: 'desc',
      });
      stored = page?.data[0] ?? null;
      yield* stream(prompt, signal);
    };
    await session.run(session.turnsWith(provider), 'hello');
    assert.equal((stored as Turn | null)?.status, 'in_progress');
    assert.equal((stored as Turn | null)?.input.length, 1);
  });

  it('that fails keeps its error and what there was, and leaves the session as it was', async () => {
    const provider = scriptedProvider('p', ['one'], ['par', 'tial', { fail: 'interrupted' }], ['three']);
    const turns = session.turnsWith(provider);
    await session.run(turns, 'hello');
    const failed = await session.run(turns, 'break');
    assert.equal(failed.turn.status, 'failed');
    assert.equal(failed.turn.error?.code, 'provider_error');
    const [partial] = failed.turn.output;
    assert.ok(partial?.type === 'message' && partial.status === 'incomplete');
    assert.deepEqual(
      partial.content.map((part) => 'text' in part && part.text),
      ['partial'],
    );
    await session.run(turns, 'go on');
    assert.deepEqual(await session.conversation(), ['hello', 'one', 'go on', 'three']);
  });

  it('numbers its events and ends with what was stored', async () => {
    const turns = session.turnsWith(
      scriptedProvider('p', [{ type: 'reasoning-delta', text: 'hm' }, 'a', 'b']),
    );
    const { live } = await turns.start(session.request('hello'));
    const events = (await readToEnd(live)).filter((one) => one !== 'expired');
    const read = events.map(({ number, event }) => [number, event.type]);
    assert.deepEqual(read, [
      [0, 'turn.started'],
      [1, 'reasoning.delta'],
      [2, 'message.delta'],
      [3, 'message.delta'],
      [4, 'turn.completed'],
    ]);
    const last = events.at(-1)?.event;
    assert.ok(last?.type === 'turn.completed');
    assert.deepEqual(await session.store.getTurn(OWNER, session.sessionId, live.id), last.ended.turn);
  });

  it('that the model could not end is incomplete, and part of the conversation', async () => {
    const cut: Step[] = ['half', { type: 'finish', reason: 'length', usage: null, model: 'm' }];
    const { turn } = await session.run(session.turnsWith(scriptedProvider('p', cut)), 'hello');
    assert.equal(turn.status, 'incomplete');
    assert.equal(turn.finishReason, 'length');
    assert.deepEqual(await session.conversation(), ['hello', 'half']);
  });

  it('whose answer a filter took away has failed; one cut short by it is incomplete', async () => {
    const filtered: Step = { type: 'finish', reason: 'content_filter', usage: null, model: 'm' };
    const turns = session.turnsWith(scriptedProvider('p', [filtered], ['half', filtered]));
    assert.equal((await session.run(turns, 'hello')).turn.error?.code, 'content_filtered');
    assert.equal((await session.run(turns, 'hello')).turn.status, 'incomplete');
  });

  it('keeps the alternation where the model says nothing', async () => {
    await session.run(session.turnsWith(scriptedProvider('p', [finish('m')])), 'hello');
    assert.deepEqual(await session.conversation(), ['hello', '']);
  });
});

describe('turns of one session', () => {
  it('run one after another, each seeing the answer of the one before', async () => {
    const gate = Promise.withResolvers<void>();
    const provider = scriptedProvider('p', ['o', { until: gate.promise }, 'ne'], ['two'], ['three']);
    const turns = session.turnsWith(provider);
    const { live } = await turns.start(session.request('1'));
    const others = ['2', '3'].map((content) => session.run(turns, content));
    await reached(live, 'message.delta');
    assert.equal(provider.prompts.length, 1);
    assert.deepEqual(await session.conversation(), [], 'half a turn is no part of the conversation');
    gate.resolve();
    await Promise.all(others);
    assert.deepEqual(await session.conversation(), ['1', 'one', '2', 'two', '3', 'three']);
  });

  it('are refused where the session is missing or somebody else has it, and the line moves on', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    const strange = [{ sessionId: 'nobody' }, { sessionId: 'nobody' }, { owner: 'stranger' }];
    await Promise.all(
      strange.map((some) =>
        assert.rejects(turns.start(session.request('x', some)), isError('session_not_found')),
      ),
    );
    await assert.rejects(
      turns.start(session.request('x', { owner: 'stranger', onBusy: 'reject' })),
      isError('session_not_found'),
    );
  });

  it('may not ask for more memory than the server allows', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    await assert.rejects(turns.start(session.request('x', { memoryLimit: 101 })), isError('invalid_request'));
  });

  it('that could not begin, for whatever reason, leave the session free', async () => {
    const broken: Store = {
      ...session.store,
      beginTurn: () => {
        broken.beginTurn = session.store.beginTurn;
        return Promise.reject(new AppError('store_unavailable'));
      },
    };
    const turns = session.turnsWith(scriptedProvider('p', ['one']), { store: broken });
    await assert.rejects(turns.start(session.request('x')), isError('store_unavailable'));
    assert.equal((await session.run(turns, 'y', { onBusy: 'reject' })).turn.status, 'completed');
  });

  it('end when the session is deleted, and what waits behind them finds it gone', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.start(session.request('hello'));
    const waiting = turns.start(session.request('again'));
    await reached(live, 'message.delta');
    await session.sessions.delete(OWNER, session.sessionId);
    turns.abandon(session.sessionId);
    assert.equal((await live.ended).turn.error?.code, 'session_not_found');
    await assert.rejects(waiting, isError('session_not_found'));
    await assert.rejects(turns.find(OWNER, session.sessionId, live.id), isError('session_not_found'));
  });
});

describe('what is behind a failure', () => {
  it('is told to the observer and not on the turn', async () => {
    const broken = scriptedProvider('p');
    broken.stream = () => {
      throw new TypeError('a bug');
    };
    const { turn } = await session.run(session.turnsWith(broken), 'hello');
    assert.equal(turn.error?.code, 'internal_error');
    assert.doesNotMatch(JSON.stringify(turn), /a bug/);
    assert.match(String(session.observed[0]?.cause), /a bug/);
  });
});

describe('draining', () => {
  it('waits for running turns and lets no more begin', async () => {
    const gate = Promise.withResolvers<void>();
    const turns = session.turnsWith(scriptedProvider('p', [{ until: gate.promise }, 'one']));
    const { live } = await turns.start(session.request('hello'));
    const waiting = turns.start(session.request('too late'));
    const drained = turns.drain(60_000);
    await assert.rejects(waiting, isError('server_shutting_down'));
    await assert.rejects(turns.start(session.request('later')), isError('server_shutting_down'));
    gate.resolve();
    await drained;
    const stored = await session.store.getTurn(OWNER, session.sessionId, live.id);
    assert.equal(stored?.status, 'completed');
  });

  it('fails what is not over in time, and stores it with what there was', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.start(session.request('hello'));
    await reached(live, 'message.delta');
    await turns.drain(0);
    const stored = await session.store.getTurn(OWNER, session.sessionId, live.id);
    assert.equal(stored?.error?.code, 'server_shutting_down');
    assert.equal(textOf(stored?.output ?? []), 'part');
    assert.deepEqual(await session.conversation(), []);
  });

  it('waits also for a turn that the store is about to begin, and ends it when there is no time left', async () => {
    const gate = Promise.withResolvers<void>();
    const slow: Store = {
      ...session.store,
      async beginTurn(begin) {
        await gate.promise;
        return session.store.beginTurn(begin);
      },
    };
    const provider = scriptedProvider('p', ['one']);
    const turns = session.turnsWith(provider, { store: slow });
    const started = turns.start(session.request('hello'));
    const drained = turns.drain(0);
    // A timer of the same length that is set later also fires later.
    await new Promise((resolve) => setTimeout(resolve, 0));
    gate.resolve();
    await drained;
    assert.equal(session.observed.length, 1, 'the turn was waited for');
    const { turn } = await (await started).live.ended;
    assert.equal(turn.error?.code, 'server_shutting_down');
    assert.equal(provider.prompts.length, 0);
    const stored = await session.store.getTurn(OWNER, session.sessionId, turn.id);
    assert.equal(stored?.status, 'failed');
  });
});
