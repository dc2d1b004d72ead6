/** Sessions, turns and items for the store's tests, each with ids of its own. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { newId, newItemId } from '../conversation/id.ts';
import type { McpCallItem, MessageItem, ReasoningItem } from '../conversation/item.ts';
import type { RequestKey } from '../conversation/request-key.ts';
import type { Session } from '../conversation/session.ts';
import type { ServedBy, Turn, TurnError, TurnOutcome } from '../conversation/turn.ts';
import type { BeginOutcome, Reach, Store, TurnBegin } from './store.ts';

/** Opens a new, empty store. What it leaves behind is removed with `context.after`. */
export type OpenStore = (context: TestContext) => Promise<Store>;

export const OWNER = 'client-1';
/** Who answers in `sampleOutcome`. */
export const SERVED: ServedBy = { provider: 'openai', model: 'gpt' };
export const WHOLE_PATH: Reach = { places: 1_000_000, defaultPlaces: 1, taken: 0 };
export const RESTARTED: TurnError = {
  code: 'server_restarted',
  message: 'It stopped.',
  details: { why: 'kill' },
};

export function sampleSession(change: Partial<Session> = {}): Session {
  return {
    id: newId(),
    owner: OWNER,
    title: 'A title',
    provider: 'openai',
    model: null,
    fallbackProviders: ['demo'],
    memoryLimit: null,
    maxContextTokens: 4000,
    instructions: 'Be brief.',
    tools: ['files.read_*'],
    metadata: {},
    ttlSeconds: null,
    headTurnId: null,
    servedBy: null,
    createdAt: 1000,
    updatedAt: 1000,
    ...change,
  };
}

export function userMessage(text = 'Hello'): MessageItem {
  const content = [{ type: 'input_text' as const, text }];
  return { type: 'message', id: newItemId('msg'), role: 'user', status: 'completed', content };
}

export function answerMessage(text = 'Hello to you'): MessageItem {
  const content = [{ type: 'output_text' as const, text, annotations: [], logprobs: [] }];
  return { type: 'message', id: newItemId('msg'), role: 'assistant', status: 'completed', content };
}

/** An item without a place. */
export function reasoning(): ReasoningItem {
  const content = [{ type: 'reasoning_text' as const, text: 'Hm.' }];
  return { type: 'reasoning', id: newItemId('rs'), summary: [], content };
}

/** A call that is about to be made. */
export function sampleCall(change: Partial<McpCallItem> = {}): McpCallItem {
  return {
    type: 'mcp_call',
    id: newItemId('mcp'),
    call_id: 'call-1',
    server_label: 'files',
    name: 'read',
    function_name: 'files__read',
    arguments: '{"path":"é"}',
    output: null,
    error: 'The turn was ended.',
    status: 'incomplete',
    duration_ms: 0,
    step: 1,
    ...change,
  };
}

export function sampleOutcome(change: Partial<TurnOutcome> = {}): TurnOutcome {
  return {
    status: 'completed',
    output: [answerMessage()],
    provider: 'openai',
    model: 'gpt',
    providerSource: 'session',
    finishReason: 'stop',
    attempts: [
      {
        provider: 'openai',
        model: 'gpt',
        status: 'completed',
        error: null,
        startedAt: 2001,
        firstTokenMilliseconds: 3,
        milliseconds: 9,
        usage: null,
      },
    ],
    usage: {
      input_tokens: 5,
      input_tokens_details: { cached_tokens: 1 },
      output_tokens: 7,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 12,
      cost: 0.25,
    },
    error: null,
    seenPlaces: 4,
    trace: [
      { kind: 'message', lengths: [5] },
      { kind: 'restart', reason: 'stalled', message: 'Hello', reasoning: '' },
      { kind: 'message', lengths: [6, 6] },
    ],
    completedAt: 3000,
    ...change,
  };
}

/** Ended turns, oldest first, each with a message and an answer. */
export function sampleTurns(count: number): Turn[] {
  const turns: Turn[] = [];
  for (let index = 0; index < count; index += 1) {
    turns.push({
      ...sampleOutcome(),
      id: newId(),
      sessionId: '',
      parentId: turns.at(-1)?.id ?? null,
      input: [userMessage(`Message ${index}`)],
      createdAt: 2000 + index,
    });
  }
  return turns;
}

export function sampleBegin(session: Session, change: Partial<TurnBegin> = {}): TurnBegin {
  return {
    owner: session.owner,
    sessionId: session.id,
    turnId: newId(),
    parentTurnId: undefined,
    input: [userMessage()],
    createdAt: 2000,
    reach: WHOLE_PATH,
    key: null,
    mayBegin: true,
    // Over at once: whatever is left running was left by somebody who died.
    leaseMilliseconds: 0,
    line: null,
    ...change,
  };
}

/** A key of its own, which expires at 100,000. */
export function sampleKey(change: Partial<RequestKey> = {}): RequestKey {
  return { value: newId(), fingerprint: 'f1', expiresAt: 100_000, ...change };
}

export type Begun = Extract<BeginOutcome, { kind: 'begun' }>;

/** Begins a turn that must be allowed to begin. */
export async function begin(
  store: Store,
  session: Session,
  change: Partial<TurnBegin> = {},
): Promise<Begun & { turnId: string }> {
  const request = sampleBegin(session, change);
  const outcome = await store.beginTurn(request);
  assert.ok(outcome.kind === 'begun', `the turn could not begin: ${outcome.kind}`);
  return { ...outcome, turnId: request.turnId };
}

/** A whole turn; returns its id. */
export async function runTurn(
  store: Store,
  session: Session,
  change: Partial<TurnBegin> & { outcome?: Partial<TurnOutcome> } = {},
): Promise<string> {
  const { outcome, ...request } = change;
  const { turnId, fence } = await begin(store, session, request);
  const held = await store.commitTurn({
    sessionId: session.id,
    turnId,
    fence,
    outcome: sampleOutcome(outcome),
  });
  assert.equal(held, true);
  return turnId;
}

export async function createdSession(store: Store, change: Partial<Session> = {}): Promise<Session> {
  const session = sampleSession(change);
  await store.createSession(session);
  return session;
}

export function ids(elements: readonly { id: string }[]): string[] {
  return elements.map((element) => element.id);
}

/** Asserts that the promise rejects with an `AppError` of this code. */
export async function rejectsWith(promise: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(promise, { name: 'AppError', code });
}

/** Sweeps until there is nothing more; returns the number of sessions removed. */
export async function sweepAll(store: Store, now: number, idleBefore: number | null = null): Promise<number> {
  for (let sessions = 0; ; ) {
    const swept = await store.sweep(now, idleBefore);
    sessions += swept.sessions;
    if (!swept.more) return sessions;
  }
}

/** Walks a list to its end, page by page. */
export async function allPages<Element>(
  read: (after: string | null) => Promise<{ data: Element[]; hasMore: boolean } | null>,
  idOf: (element: Element) => string,
): Promise<Element[]> {
  const all: Element[] = [];
  for (let after: string | null = null; ; ) {
    const page = await read(after);
    assert.ok(page);
    all.push(...page.data);
    if (!page.hasMore) return all;
    after = idOf(page.data.at(-1)!);
  }
}

/** A store that is closed at the end of the block. */
export async function opened(open: OpenStore, context: TestContext) {
  const store = await open(context);
  return { ...store, [Symbol.asyncDispose]: () => store.close() };
}
