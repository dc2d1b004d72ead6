/**
 * Sessions as the API offers them: made, listed, changed, forked, deleted, and their conversation read. Running
 * a turn in a session is `turns/`.
 */

import { newId } from '../conversation/id.ts';
import type { Item } from '../conversation/item.ts';
import type { Page, PageRequest } from '../conversation/page.ts';
import type { Session, SessionSettings } from '../conversation/session.ts';
import { joinsConversation, type Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { PlacedItem, SessionQuery, Store } from '../stores/store.ts';
import { cutWindow, type Window, windowItems } from './window.ts';
import { windowLimits } from './window-limits.ts';

export interface MemorySettings {
  /** Places in the window of a session that sets none. */
  defaultPlaces: number;
  /** The most that a session or request may ask for. */
  maxPlaces: number;
}

export interface SessionsOptions {
  store: Store;
  memory: MemorySettings;
  /** Throws where settings name a provider that does not exist. */
  checkProviders(settings: Partial<SessionSettings>): void;
  /** The model that a session's next turn would ask; null if it cannot be told. */
  modelOf(session: Session): string | null;
}

/** What the model would see of a session, were a message sent now. */
export interface SessionWindow {
  session: Session;
  window: Window;
  items: readonly Item[];
  memoryLimit: number;
  /** Estimated for instructions and items; null without a limit by tokens. */
  tokens: number | null;
}

export interface Sessions {
  create(owner: string, settings: Partial<SessionSettings>): Promise<Session>;
  get(owner: string, sessionId: string): Promise<Session>;
  list(query: SessionQuery): Promise<Page<Session>>;
  update(owner: string, sessionId: string, change: Partial<SessionSettings>): Promise<Session>;
  delete(owner: string, sessionId: string): Promise<void>;
  /**
   * A new session with a copy of the conversation up to a turn, by default the head.
   * Throws `turn_not_found`, or `parent_not_usable` for a turn that is not part of a conversation.
   */
  fork(owner: string, sessionId: string, turnId: string | null): Promise<Session>;
  items(owner: string, sessionId: string, page: PageRequest): Promise<Page<PlacedItem>>;
  window(owner: string, sessionId: string): Promise<SessionWindow>;
  turns(owner: string, sessionId: string, page: PageRequest): Promise<Page<Turn>>;
  turn(owner: string, sessionId: string, turnId: string): Promise<Turn>;
}

const DEFAULTS: SessionSettings = {
  title: null,
  provider: null,
  model: null,
  fallbackProviders: null,
  memoryLimit: null,
  maxContextTokens: null,
  instructions: null,
  metadata: {},
};

/** Every method throws `session_not_found` for a session that is missing or belongs to somebody else. */
export function createSessions({ store, memory, checkProviders, modelOf }: SessionsOptions): Sessions {
  return { create, get, list, update, delete: remove, fork, items, window, turns, turn };

  async function create(owner: string, settings: Partial<SessionSettings>): Promise<Session> {
    checkSettings(settings);
    const now = Date.now();
    const session: Session = {
      ...DEFAULTS,
      ...settings,
      id: newId(),
      owner,
      headTurnId: null,
      createdAt: now,
      updatedAt: now,
    };
    await store.createSession(session);
    return session;
  }

  async function get(owner: string, sessionId: string): Promise<Session> {
    return found(await store.getSession(owner, sessionId));
  }

  function list(query: SessionQuery): Promise<Page<Session>> {
    return store.listSessions(query);
  }

  async function update(
    owner: string,
    sessionId: string,
    change: Partial<SessionSettings>,
  ): Promise<Session> {
    checkSettings(change);
    return found(await store.updateSession(owner, sessionId, change, Date.now()));
  }

  async function remove(owner: string, sessionId: string): Promise<void> {
    if (!(await store.deleteSession(owner, sessionId))) throw new AppError('session_not_found');
  }

  async function fork(owner: string, sessionId: string, turnId: string | null): Promise<Session> {
    const source = await get(owner, sessionId);
    const upTo = turnId ?? source.headTurnId;
    const copies = upTo === null ? [] : copyPath(await allTurns(owner, sessionId), upTo);
    const now = Date.now();
    const session: Session = {
      ...source,
      id: newId(),
      headTurnId: copies.at(-1)?.id ?? null,
      createdAt: now,
      updatedAt: now,
    };
    await store.createSession(
      session,
      copies.map((copy) => ({ ...copy, sessionId: session.id })),
    );
    return session;
  }

  async function allTurns(owner: string, sessionId: string): Promise<Map<string, Turn>> {
    const all = new Map<string, Turn>();
    let after: string | null = null;
    for (;;) {
      const page: Page<Turn> = await turns(owner, sessionId, { limit: 1000, after, order: 'asc' });
      for (const one of page.data) all.set(one.id, one);
      if (!page.hasMore) return all;
      after = page.data.at(-1)?.id ?? null;
    }
  }

  async function items(owner: string, sessionId: string, page: PageRequest): Promise<Page<PlacedItem>> {
    return found(await store.listItems(owner, sessionId, page));
  }

  async function window(owner: string, sessionId: string): Promise<SessionWindow> {
    // The newest turn is read even where the next message takes the only place: it tells what is left out.
    const reach = { places: null, defaultPlaces: memory.defaultPlaces, taken: 0 };
    const { session, path } = found(await store.readPath({ owner, sessionId, turnId: undefined, reach }));
    const places = session.memoryLimit ?? memory.defaultPlaces;
    const limits = await windowLimits(session, places, modelOf(session), []);
    const cut = cutWindow(path, limits);
    const seen = windowItems(cut, []);
    const tokens = limits.tokens === null ? null : limits.tokens.taken + limits.tokens.count(seen);
    return { session, window: cut, items: seen, memoryLimit: places, tokens };
  }

  async function turns(owner: string, sessionId: string, page: PageRequest): Promise<Page<Turn>> {
    return found(await store.listTurns(owner, sessionId, page));
  }

  async function turn(owner: string, sessionId: string, turnId: string): Promise<Turn> {
    const one = await store.getTurn(owner, sessionId, turnId);
    if (one !== null) return one;
    await get(owner, sessionId);
    throw new AppError('turn_not_found');
  }

  function checkSettings(settings: Partial<SessionSettings>): void {
    checkProviders(settings);
    checkMemoryLimit(settings.memoryLimit ?? null, memory);
  }
}

/** Throws `invalid_request` if more places are asked for than the server allows. */
export function checkMemoryLimit(places: number | null, memory: MemorySettings): void {
  if (places === null || places <= memory.maxPlaces) return;
  const message = `must be <= ${memory.maxPlaces} (the server's MEMORY_MAX)`;
  throw new AppError('invalid_request', { problems: [{ in: 'body', path: '/memory_limit', message }] });
}

function found<Found>(value: Found | null): Found {
  if (value === null) throw new AppError('session_not_found');
  return value;
}

/** The path to a turn, oldest first, as turns of their own: with new ids, each following the one before. */
function copyPath(all: ReadonlyMap<string, Turn>, turnId: string): Turn[] {
  const last = all.get(turnId);
  if (last === undefined) throw new AppError('turn_not_found');
  if (!joinsConversation(last.status)) throw new AppError('parent_not_usable');
  const path: Turn[] = [];
  for (let turn: Turn | undefined = last; turn !== undefined; turn = all.get(turn.parentId ?? '')) {
    path.push(turn);
  }
  let parentId: string | null = null;
  return path.reverse().map((turn) => {
    const copy: Turn = { ...turn, id: newId(), parentId };
    parentId = copy.id;
    return copy;
  });
}
