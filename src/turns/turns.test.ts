import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  finish,
  never,
  type ScriptedProvider,
  type Step,
  scriptedProvider,
} from '../../test/scripted-provider.ts';
import type { EndedTurn } from '../conversation/event.ts';
import type { Item } from '../conversation/item.ts';
import { inputItem } from '../conversation/message.ts';
import type { Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { ProviderEvent } from '../providers/provider.ts';
import { createTargetSelection } from '../routing/targets.ts';
import { createSessions, type Sessions } from '../sessions/sessions.ts';
import { openStore } from '../stores/open-store.ts';
import type { Store } from '../stores/store.ts';
import type { TurnRequest } from './run-turn.ts';
import { createTurns, type Turns } from './turns.ts';

const OWNER = 'owner';
const memory = { defaultPlaces: 50, maxPlaces: 100 };

let store: Store;
let sessions: Sessions;
let sessionId: string;
let observed: Turn[];
let causes: unknown[];
let itemNumber = 0;

beforeEach(async () => {
  store = await openStore('memory:');
  sessions = createSessions({ store, memory, checkProviders: () => undefined, modelOf: () => null });
  ({ id: sessionId } = await sessions.create(OWNER, { instructions: 'Be kind.' }));
  observed = [];
  causes = [];
});
afterEach(() => store.close());

function turnsWith(provider: ScriptedProvider, some: { store?: Store; queueMax?: number } = {}): Turns {
  const providers = { all: [provider], default: provider, get: () => provider, close: async () => undefined };
  return createTurns({
    store,
    targets: createTargetSelection(providers, []),
    memory,
    clocks: { firstTokenMilliseconds: 60_000, idleMilliseconds: 60_000 },
    logBytes: 1_000_000,
    queueMax: 10,
    observe: (turn, cause) => {
      observed.push(turn);
      causes.push(cause);
    },
    ...some,
  });
}

function request(content: string, some: Partial<TurnRequest> = {}): TurnRequest {
  itemNumber += 1;
  return {
    owner: OWNER,
    sessionId,
    input: [inputItem({ role: 'user', content }, `msg_${itemNumber}`)],
    provider: null,
    model: null,
    memoryLimit: null,
    options: {},
    stream: true,
    ...some,
  };
}

function result(callId: string): Item {
  itemNumber += 1;
  return inputItem({ role: 'tool', content: `result of ${callId}`, toolCallId: callId }, `fco_${itemNumber}`);
}

const call = (callId: string): ProviderEvent => ({
  type: 'tool-call',
  callId,
  name: 'look',
  arguments: '{}',
});
const calling = (...callIds: string[]): Step[] => [
  ...callIds.map(call),
  { type: 'finish', reason: 'tool_calls', usage: null, model: 'm' },
];

async function run(turns: Turns, ...given: Parameters<typeof request>): Promise<EndedTurn> {
  const live = await turns.start(request(...given));
  return live.ended;
}

async function conversation(): Promise<unknown[]> {
  const page = await store.listItems(OWNER, sessionId, { limit: 100, after: null, order: 'asc' });
  return (page?.data ?? []).map(({ item }) =>
    item.type === 'message'
      ? item.content.map((part) => ('text' in part ? part.text : part.type)).join('')
      : item.type,
  );
}

describe('a turn', () => {
  it('is part of the conversation once it is completed, and the next one sees it', async () => {
    const provider = scriptedProvider('p', ['one'], ['two']);
    const turns = turnsWith(provider);
    const first = await run(turns, 'hello');
    const second = await run(turns, 'again');
    assert.equal(first.turn.status, 'completed');
    assert.equal(second.turn.parentId, first.turn.id);
    assert.deepEqual(await conversation(), ['hello', 'one', 'again', 'two']);
    assert.deepEqual(
      provider.prompts.map(({ items, instructions }) => [items.length, instructions]),
      [
        [1, 'Be kind.'],
        [3, 'Be kind.'],
      ],
    );
    assert.deepEqual(await store.getTurn(OWNER, sessionId, second.turn.id), second.turn);
    assert.deepEqual(
      observed.map(({ id }) => id),
      [first.turn.id, second.turn.id],
    );
  });

  it('is stored with its input before the provider is asked', async () => {
    const provider = scriptedProvider('p', ['one']);
    const { stream } = provider;
    let stored: Turn | null = null;
    provider.stream = async function* (prompt, signal) {
      const page = await store.listTurns(OWNER, sessionId, { limit: 1, after: null, order: 'desc' });
      stored = page?.data[0] ?? null;
      yield* stream(prompt, signal);
    };
    await run(turnsWith(provider), 'hello');
    assert.equal((stored as Turn | null)?.status, 'in_progress');
    assert.equal((stored as Turn | null)?.input.length, 1);
  });

  it('that fails keeps its error and what there was, and leaves the session as it was', async () => {
    const provider = scriptedProvider('p', ['one'], ['par', 'tial', { fail: 'interrupted' }], ['three']);
    const turns = turnsWith(provider);
    await run(turns, 'hello');
    const failed = await run(turns, 'break');
    assert.equal(failed.turn.status, 'failed');
    assert.equal(failed.turn.error?.code, 'provider_error');
    const [partial] = failed.turn.output;
    assert.ok(partial?.type === 'message' && partial.status === 'incomplete');
    assert.deepEqual(
      partial.content.map((part) => 'text' in part && part.text),
      ['partial'],
    );
    await run(turns, 'go on');
    assert.deepEqual(await conversation(), ['hello', 'one', 'go on', 'three']);
  });

  it('numbers its events and ends with what was stored', async () => {
    const turns = turnsWith(scriptedProvider('p', [{ type: 'reasoning-delta', text: 'hm' }, 'a', 'b']));
    const live = await turns.start(request('hello'));
    await live.ended;
    const follower = live.follow(-1, () => undefined);
    const read: unknown[] = [];
    for (let next = follower.next(); next !== null && next !== 'expired'; next = follower.next()) {
      read.push([next.number, next.event.type]);
    }
    assert.deepEqual(read, [
      [0, 'turn.started'],
      [1, 'reasoning.delta'],
      [2, 'message.delta'],
      [3, 'message.delta'],
      [4, 'turn.completed'],
    ]);
  });

  it('that the model could not end is incomplete, and part of the conversation', async () => {
    const cut: Step[] = ['half', { type: 'finish', reason: 'length', usage: null, model: 'm' }];
    const { turn } = await run(turnsWith(scriptedProvider('p', cut)), 'hello');
    assert.equal(turn.status, 'incomplete');
    assert.equal(turn.finishReason, 'length');
    assert.deepEqual(await conversation(), ['hello', 'half']);
  });

  it('whose answer a filter took away has failed; one cut short by it is incomplete', async () => {
    const filtered: Step = { type: 'finish', reason: 'content_filter', usage: null, model: 'm' };
    const turns = turnsWith(scriptedProvider('p', [filtered], ['half', filtered]));
    assert.equal((await run(turns, 'hello')).turn.error?.code, 'content_filtered');
    assert.equal((await run(turns, 'hello')).turn.status, 'incomplete');
  });

  it('keeps the alternation where the model says nothing', async () => {
    await run(turnsWith(scriptedProvider('p', [finish('m')])), 'hello');
    assert.deepEqual(await conversation(), ['hello', '']);
  });
});

describe('turns of one session', () => {
  it('run one after another, each seeing the answer of the one before', async () => {
    const gate = Promise.withResolvers<void>();
    const provider = scriptedProvider('p', [{ until: gate.promise }, 'one'], ['two'], ['three']);
    const turns = turnsWith(provider);
    const running = ['1', '2', '3'].map((content) => run(turns, content));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(provider.prompts.length, 1);
    gate.resolve();
    await Promise.all(running);
    assert.deepEqual(await conversation(), ['1', 'one', '2', 'two', '3', 'three']);
  });

  it('are refused where the session is missing, and the next one is let in', async () => {
    const turns = turnsWith(scriptedProvider('p', ['one']));
    await assert.rejects(turns.start(request('x', { sessionId: 'nobody' })), isError('session_not_found'));
    await assert.rejects(turns.start(request('x', { sessionId: 'nobody' })), isError('session_not_found'));
    await assert.rejects(turns.start(request('x', { owner: 'stranger' })), isError('session_not_found'));
  });

  it('may not ask for more memory than the server allows', async () => {
    const turns = turnsWith(scriptedProvider('p', ['one']));
    await assert.rejects(turns.start(request('x', { memoryLimit: 101 })), isError('invalid_request'));
  });
});

describe('tool calls of the caller', () => {
  it('are answered in the next turn, and the model sees call and result', async () => {
    const provider = scriptedProvider('p', calling('c1'), ['done']);
    const turns = turnsWith(provider);
    const { turn } = await run(turns, 'look');
    assert.equal(turn.finishReason, 'tool_calls');
    await run(turns, '', { input: [result('c1')] });
    assert.deepEqual(
      provider.prompts[1]?.items.map(({ type }) => type),
      ['message', 'function_call', 'function_call_output'],
    );
    assert.deepEqual(await conversation(), ['look', 'function_call', 'function_call_output', 'done']);
  });

  it('are all answered before the model is asked again', async () => {
    const provider = scriptedProvider('p', calling('c1', 'c2'), ['done']);
    const turns = turnsWith(provider);
    await run(turns, 'look');
    const waiting = await run(turns, '', { input: [result('c2')] });
    assert.equal(waiting.turn.status, 'completed');
    assert.deepEqual(waiting.turn.output, []);
    assert.equal(provider.prompts.length, 1);
    await run(turns, '', { input: [result('c1')] });
    assert.equal(provider.prompts.length, 2);
    assert.equal(provider.prompts[1]?.items.length, 5);
  });

  it('must be there to be answered', async () => {
    const turns = turnsWith(scriptedProvider('p', calling('c1'), ['done']));
    await run(turns, 'look');
    const unknown = await run(turns, '', { input: [result('c9')] });
    assert.equal(unknown.turn.error?.code, 'tool_call_not_found');
    await run(turns, '', { input: [result('c1')] });
    const twice = await run(turns, '', { input: [result('c1')] });
    assert.equal(twice.turn.error?.code, 'tool_call_not_found');
  });

  it('that are given up get a result that says so', async () => {
    const provider = scriptedProvider('p', calling('c1'), ['fine']);
    const turns = turnsWith(provider);
    await run(turns, 'look');
    await run(turns, 'never mind');
    assert.deepEqual(
      provider.prompts[1]?.items.map(({ type }) => type),
      ['message', 'function_call', 'function_call_output', 'message'],
    );
    assert.deepEqual(await conversation(), ['look', 'function_call', 'never mind', 'fine']);
  });

  it('stay with their results whatever the memory limit', async () => {
    const provider = scriptedProvider('p', ['one'], calling('c1'), ['done']);
    const turns = turnsWith(provider);
    await run(turns, 'hello');
    await run(turns, 'look');
    await run(turns, '', { input: [result('c1')], memoryLimit: 1 });
    assert.deepEqual(
      provider.prompts[2]?.items.map(({ type }) => type),
      ['message', 'function_call', 'function_call_output'],
    );
  });
});

describe('what is behind a failure', () => {
  it('is told to the observer and not on the turn', async () => {
    const broken = scriptedProvider('p');
    broken.stream = () => {
      throw new TypeError('a bug');
    };
    const { turn } = await run(turnsWith(broken), 'hello');
    assert.equal(turn.error?.code, 'internal_error');
    assert.doesNotMatch(JSON.stringify(turn), /a bug/);
    assert.match(String(causes[0]), /a bug/);
  });
});

describe('a store that fails at the end of a turn', () => {
  it('makes the turn a failure for its client, which is stored once the store is back', async () => {
    const broken: Store = {
      ...store,
      commitTurn: (commit) => {
        broken.commitTurn = store.commitTurn;
        assert.equal(commit.outcome.status, 'completed');
        return Promise.reject(new AppError('store_unavailable'));
      },
    };
    const turns = turnsWith(scriptedProvider('p', ['one']), { store: broken });
    const { turn } = await run(turns, 'hello');
    assert.equal(turn.status, 'failed');
    assert.equal(turn.error?.code, 'store_unavailable');
    await recorded(turn.id);
    assert.deepEqual(await conversation(), []);
    const next = await run(turns, 'again');
    assert.equal(next.turn.status, 'completed');
  });

  it('that has given the session to another makes it a failure as well', async () => {
    const gate = Promise.withResolvers<void>();
    const turns = turnsWith(scriptedProvider('p', [{ until: gate.promise }, 'late']));
    const live = await turns.start(request('hello'));
    await store.failInterrupted({ code: 'server_restarted', message: 'gone' }, Date.now());
    gate.resolve();
    const { turn } = await live.ended;
    assert.equal(turn.error?.code, 'turn_superseded');
    assert.equal((await store.getTurn(OWNER, sessionId, turn.id))?.error?.code, 'server_restarted');
  });

  /** Waits until the failure of a turn is in the store. */
  async function recorded(turnId: string): Promise<void> {
    for (;;) {
      const turn = await store.getTurn(OWNER, sessionId, turnId);
      if (turn?.status === 'failed') return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
});

describe('draining', () => {
  it('waits for running turns and lets no more begin', async () => {
    const gate = Promise.withResolvers<void>();
    const turns = turnsWith(scriptedProvider('p', [{ until: gate.promise }, 'one']));
    const running = run(turns, 'hello');
    await new Promise((resolve) => setImmediate(resolve));
    const waiting = turns.start(request('too late'));
    const drained = turns.drain(60_000);
    gate.resolve();
    assert.equal((await running).turn.status, 'completed');
    await assert.rejects(waiting, isError('server_shutting_down'));
    await drained;
    await assert.rejects(turns.start(request('later')), isError('server_shutting_down'));
  });

  it('fails what is not over in time, and stores it', async () => {
    const turns = turnsWith(scriptedProvider('p', ['part', never]));
    const live = await turns.start(request('hello'));
    await turns.drain(10);
    const { turn } = await live.ended;
    assert.equal(turn.error?.code, 'server_shutting_down');
    assert.equal((await store.getTurn(OWNER, sessionId, turn.id))?.status, 'failed');
  });
});

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}
