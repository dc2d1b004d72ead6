/**
 * Turns in a session of their own: the real rooms on a store in memory, in the test's own process, with scripted
 * providers. What happens outside of it, HTTP above all, is no part of it.
 */

import { NO_LIMITS } from '../src/conversation/client.ts';
import type { EndedTurn, TurnEvent } from '../src/conversation/event.ts';
import { type InputMessage, inputItem } from '../src/conversation/message.ts';
import type { RequestKey } from '../src/conversation/request-key.ts';
import type { Turn } from '../src/conversation/turn.ts';
import { AppError, type ErrorCode } from '../src/errors.ts';
import { createInProcessLimiter } from '../src/limits/in-process.ts';
import { createInProcessSlots } from '../src/limits/in-process-slots.ts';
import type { Limiter } from '../src/limits/limiter.ts';
import type { Slots } from '../src/limits/slots.ts';
import type { Provider } from '../src/providers/provider.ts';
import { createProviders } from '../src/providers/registry.ts';
import type { Exchange } from '../src/replicas/exchange.ts';
import { NO_EXCHANGE } from '../src/replicas/in-process.ts';
import { createBreakers } from '../src/routing/breaker.ts';
import { createTargetSelection } from '../src/routing/targets.ts';
import { createSessions, type Sessions } from '../src/sessions/sessions.ts';
import { openStore } from '../src/stores/open-store.ts';
import type { Store } from '../src/stores/store.ts';
import type { Toolboxes } from '../src/tools/toolbox.ts';
import type { LiveTurn, NumberedEvent } from '../src/turns/live-turn.ts';
import type { TurnRequest } from '../src/turns/turn-request.ts';
import { createTurns, type Turns, type TurnsOptions } from '../src/turns/turns.ts';

export const OWNER = 'owner';

/** A store of one server needs no leases. */
const unneeded = () => ({ release: () => undefined });

const MEMORY = { defaultPlaces: 50, maxPlaces: 100 };

export interface OneSession {
  readonly store: Store;
  readonly sessions: Sessions;
  readonly sessionId: string;
  /** The turns that are over, whose they were, and what was behind their errors, in the order of their end. */
  readonly observed: { turn: Turn; owner: string; cause: unknown }[];
  /** @param provider asked first; several are tried in their order */
  turnsWith(provider: Provider | readonly Provider[], some?: SomeOptions): Turns;
  request(content: string, some?: Partial<TurnRequest>): TurnRequest;
  /** Runs a turn to its end. */
  run(turns: Turns, content: string, some?: Partial<TurnRequest>): Promise<EndedTurn>;
  /** The messages of the conversation; of an item without text its type. */
  conversation(): Promise<string[]>;
  /** All turns of the session, whatever became of them. */
  allTurns(): Promise<Turn[]>;
  close(): Promise<void>;
}

interface SomeOptions {
  limiter?: Limiter;
  slots?: Slots;
  store?: Store;
  exchange?: Exchange;
  toolboxes?: Pick<Toolboxes, 'open'>;
  toolStepsMax?: number;
  turnMilliseconds?: number;
  queueMax?: number;
  logBytes?: number;
  around?: NonNullable<TurnsOptions['around']>;
}

/** @param opened the session's store, which is closed with it; without it one in memory */
export async function openSession(opened?: Store): Promise<OneSession> {
  const store = opened ?? (await openStore('memory:'));
  const sessions = createSessions({
    store,
    memory: MEMORY,
    checkProviders: () => undefined,
    modelOf: () => null,
  });
  const { session } = await sessions.create(OWNER, { instructions: 'Be kind.' });
  const sessionId = session.id;
  const observed: OneSession['observed'] = [];
  let messages = 0;
  return {
    store,
    sessions,
    sessionId,
    observed,
    turnsWith,
    request,
    run,
    conversation,
    allTurns,
    close: () => store.close(),
  };

  function turnsWith(
    provider: Provider | readonly Provider[],
    { turnMilliseconds = 60_000, ...some }: SomeOptions = {},
  ): Turns {
    const providers = createProviders('name' in provider ? [provider] : provider, null);
    return createTurns({
      store,
      targets: createTargetSelection({
        providers,
        fallbacks: providers.all.slice(1).map(({ name }) => name),
        routes: [],
        isInService: () => true,
        isHealthy: () => true,
        random: () => 0,
      }),
      memory: MEMORY,
      limiter: createInProcessLimiter(),
      toolboxes: { open: async () => ({ functions: [], find: () => undefined, instructions: null }) },
      toolStepsMax: 8,
      slots: createInProcessSlots(),
      leases: { milliseconds: 10_000, keep: unneeded, stand: unneeded },
      exchange: NO_EXCHANGE,
      conditions: {
        firstTokenMilliseconds: 60_000,
        idleMilliseconds: 60_000,
        turnMilliseconds,
        answerMaxBytes: 1_000_000,
        breakers: createBreakers({ onChange: () => undefined }),
        random: () => 0,
      },
      logBytes: 1_000_000,
      queueMax: 10,
      observe: (turn, cause, { owner }) => observed.push({ turn, owner, cause }),
      ...some,
    });
  }

  function request(content: string, some: Partial<TurnRequest> = {}): TurnRequest {
    messages += 1;
    const message: InputMessage = { role: 'user', content };
    return {
      owner: OWNER,
      allowance: NO_LIMITS,
      sessionId,
      input: [inputItem(message, `msg_${messages}`)],
      provider: null,
      model: null,
      memoryLimit: null,
      options: {},
      stream: true,
      parentTurnId: undefined,
      onBusy: 'queue',
      key: null,
      requestId: 'request-1',
      ...some,
    };
  }

  async function run(turns: Turns, content: string, some: Partial<TurnRequest> = {}): Promise<EndedTurn> {
    const { live } = await turns.start(request(content, some));
    return live.ended;
  }

  async function conversation(): Promise<string[]> {
    const page = await store.listItems(OWNER, sessionId, { limit: 100, after: null, order: 'asc' });
    return (page?.data ?? []).map(({ item }) => textOf([item]) ?? item.type);
  }

  async function allTurns(): Promise<Turn[]> {
    return (await sessions.turns(OWNER, sessionId, { limit: 100, after: null, order: 'asc' })).data;
  }
}

/** A key that lasts longer than any test. */
export function keyOf(value: string, fingerprint = 'a body'): RequestKey {
  return { value, fingerprint, expiresAt: Date.now() + 3_600_000 };
}

/** The text of the messages among the items; null if there is no message. */
export function textOf(items: Turn['output']): string | null {
  const parts = items.flatMap((item) => (item.type === 'message' ? item.content : []));
  if (!items.some(({ type }) => type === 'message')) return null;
  return parts.map((part) => ('text' in part ? part.text : part.type)).join('');
}

/** The events after a number, read as they come, up to the end of the turn. */
export async function readToEnd(live: LiveTurn, after = -1): Promise<(NumberedEvent | 'expired')[]> {
  const read: (NumberedEvent | 'expired')[] = [];
  for await (const event of follow(live, after)) read.push(event);
  return read;
}

/** The same, but that the first one, which shows the turn as it is at the moment, is told by its turn alone. */
export async function shownToEnd(live: LiveTurn, after = -1): Promise<unknown[]> {
  const events = await readToEnd(live, after);
  return events.map((one) =>
    one === 'expired' || one.event.type !== 'turn.started'
      ? one
      : { number: one.number, type: one.event.type, id: one.event.turn.id, parent: one.event.turn.parentId },
  );
}

/** Resolves when the turn has come to an event of that type. */
export async function reached(live: LiveTurn, type: TurnEvent['type']): Promise<TurnEvent> {
  for await (const next of follow(live, -1)) {
    if (next !== 'expired' && next.event.type === type) return next.event;
  }
  throw new Error(`the turn is over without ${type}`);
}

async function* follow(live: LiveTurn, after: number): AsyncGenerator<NumberedEvent | 'expired'> {
  let woken = Promise.withResolvers<void>();
  const follower = live.follow(after, () => woken.resolve());
  try {
    for (;;) {
      const next = follower.next();
      if (next !== null) {
        yield next;
      } else if (follower.over) {
        return;
      } else {
        await woken.promise;
        woken = Promise.withResolvers();
      }
    }
  } finally {
    follower.close();
  }
}

/** For `assert.rejects`: whether it is that error of the catalogue. */
export function isError(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}
