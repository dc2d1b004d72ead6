/**
 * Sessions as the API offers them: made, listed, changed, forked, deleted, and their conversation read. Running
 * a turn in a session is `turns/`.
 */

import { newId } from '../conversation/id.ts';
import type { Item } from '../conversation/item.ts';
import type { Page, PageRequest } from '../conversation/page.ts';
import type { RequestKey } from '../conversation/request-key.ts';
import {
  isExpired,
  type Session,
  type SessionChange,
  type SessionSettings,
} from '../conversation/session.ts';
import { joinsConversation, servedBy, type Turn } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { PathTurn, PlacedItem, SessionQuery, Store } from '../stores/store.ts';
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

export interface CreatedSession {
  session: Session;
  /** Whether it was there already, under the same key. */
  replayed: boolean;
}

export interface Sessions {
  /** Places that a session or request may ask for at most. */
  readonly maxPlaces: number;
  /**
   * A new session; or, under a key that the owner has used for the same request, the one that was made then.
   * Throws `idempotency_key_reused` if the key was used for another request.
   */
  create(owner: string, settings: Partial<SessionSettings>, key?: RequestKey | null): Promise<CreatedSession>;
  /** The session that was made under the key for the same request; null if none was. */
  madeUnder(owner: string, key: RequestKey): Promise<Session | null>;
  get(owner: string, sessionId: string): Promise<Session>;
  list(query: SessionQuery): Promise<Page<Session>>;
  /** A change of who should answer also ends the session's stay with the target that answered last. */
  update(owner: string, sessionId: string, change: Partial<SessionSettings>): Promise<Session>;
  delete(owner: string, sessionId: string): Promise<void>;
  /**
   * A new session with a copy of the conversation up to a turn, by default the head; or, under a key that the owner has
   * used for the same request, the one that was made then.
   * Throws `turn_not_found`, or `parent_not_usable` for a turn that is not part of a conversation.
   */
  fork(owner: string, sessionId: string, turnId: string | null, key?: RequestKey | null): Promise<Session>;
  items(owner: string, sessionId: string, page: PageRequest): Promise<Page<PlacedItem>>;
  /**
   * Deletes an item for ever, of whatever type and wherever it stands, as `Store.deleteItem` says: the next turn does not
   * see it, and no record has it. Throws `item_not_found`.
   */
  deleteItem(owner: string, sessionId: string, itemId: string): Promise<void>;
  /**
   * The end of the path to a turn, oldest turn first: whole turns that have so many places, or all there are. Empty for a
   * turn that is not part of a conversation.
   * @param turnId undefined = the head
   * @param places null = what the session's memory holds
   */
  path(
    owner: string,
    sessionId: string,
    turnId: string | undefined,
    places: number | null,
  ): Promise<PathTurn[]>;
  /** The items of that path, oldest first. */
  history(
    owner: string,
    sessionId: string,
    turnId: string | undefined,
    places: number | null,
  ): Promise<Item[]>;
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
  tools: null,
  metadata: {},
  ttlSeconds: null,
};

/**
 * Every method throws `session_not_found` for a session that is missing, has expired or belongs to somebody else.
 * One that has expired is still in the store until it is swept, and is looked for here.
 */
export function createSessions({ store, memory, checkProviders, modelOf }: SessionsOptions): Sessions {
  return {
    maxPlaces: memory.maxPlaces,
    create,
    madeUnder: (owner, key) => store.findSession(owner, key, Date.now()),
    get,
    list,
    update,
    delete: remove,
    fork,
    items,
    deleteItem,
    path,
    history,
    window,
    turns,
    turn,
  };

  async function create(
    owner: string,
    settings: Partial<SessionSettings>,
    key: RequestKey | null = null,
  ): Promise<CreatedSession> {
    checkSettings(settings);
    const now = Date.now();
    const session: Session = {
      ...DEFAULTS,
      ...settings,
      id: newId(),
      owner,
      headTurnId: null,
      servedBy: null,
      createdAt: now,
      updatedAt: now,
    };
    const outcome = await store.createSession(session, [], key);
    if (outcome.kind === 'created') return { session, replayed: false };
    if (outcome.kind === 'key_reused') throw new AppError('idempotency_key_reused');
    if (!isExpired(outcome.session, now)) return { session: outcome.session, replayed: true };
    // Gone for everybody, and its key with it, as soon as the store knows.
    await store.deleteSession(owner, outcome.session.id);
    return create(owner, settings, key);
  }

  async function get(owner: string, sessionId: string): Promise<Session> {
    return present(await store.getSession(owner, sessionId));
  }

  /** Pages are filled up from the next one, so that none is short for what has expired. */
  async function list(query: SessionQuery): Promise<Page<Session>> {
    const now = Date.now();
    const data: Session[] = [];
    let { after } = query;
    for (;;) {
      const page = await store.listSessions({ ...query, after });
      data.push(...page.data.filter((session) => !isExpired(session, now)));
      const hasMore = page.hasMore || data.length > query.limit;
      if (!page.hasMore || data.length >= query.limit) return { data: data.slice(0, query.limit), hasMore };
      after = page.data.at(-1)?.id ?? null;
    }
  }

  async function update(
    owner: string,
    sessionId: string,
    change: Partial<SessionSettings>,
  ): Promise<Session> {
    checkSettings(change);
    await get(owner, sessionId);
    return found(await store.updateSession(owner, sessionId, withNewTarget(change), Date.now()));
  }

  async function remove(owner: string, sessionId: string): Promise<void> {
    await get(owner, sessionId);
    if (!(await store.deleteSession(owner, sessionId))) throw new AppError('session_not_found');
  }

  async function fork(
    owner: string,
    sessionId: string,
    turnId: string | null,
    key: RequestKey | null = null,
  ): Promise<Session> {
    const source = await get(owner, sessionId);
    const upTo = turnId ?? source.headTurnId;
    const copies = upTo === null ? [] : copyPath(await allTurns(owner, sessionId), upTo);
    const last = copies.at(-1);
    const now = Date.now();
    const session: Session = {
      ...source,
      id: newId(),
      headTurnId: last?.id ?? null,
      servedBy: source.servedBy === null || last === undefined ? null : servedBy(last),
      createdAt: now,
      updatedAt: now,
    };
    const turns = copies.map((copy) => ({ ...copy, sessionId: session.id }));
    const outcome = await store.createSession(session, turns, key);
    if (outcome.kind === 'key_reused') throw new AppError('idempotency_key_reused');
    return outcome.kind === 'replay' ? outcome.session : session;
  }

  async function allTurns(owner: string, sessionId: string): Promise<Map<string, Turn>> {
    const all = new Map<string, Turn>();
    let after: string | null = null;
    for (;;) {
      const query: PageRequest = { limit: 1000, after, order: 'asc' };
      const page: Page<Turn> = found(await store.listTurns(owner, sessionId, query));
      for (const one of page.data) all.set(one.id, one);
      if (!page.hasMore) return all;
      after = page.data.at(-1)?.id ?? null;
    }
  }

  async function items(owner: string, sessionId: string, page: PageRequest): Promise<Page<PlacedItem>> {
    await get(owner, sessionId);
    return found(await store.listItems(owner, sessionId, page));
  }

  async function deleteItem(owner: string, sessionId: string, itemId: string): Promise<void> {
    await get(owner, sessionId);
    if (!(await store.deleteItem(owner, sessionId, itemId))) throw new AppError('item_not_found');
  }

  async function path(
    owner: string,
    sessionId: string,
    turnId: string | undefined,
    places: number | null,
  ): Promise<PathTurn[]> {
    const reach = { places, defaultPlaces: memory.defaultPlaces, taken: 0 };
    const read = found(await store.readPath({ owner, sessionId, turnId, reach }));
    present(read.session);
    return read.path.reverse();
  }

  async function history(
    owner: string,
    sessionId: string,
    turnId: string | undefined,
    places: number | null,
  ): Promise<Item[]> {
    const turns = await path(owner, sessionId, turnId, places);
    return turns.flatMap(({ input, output }) => [...input, ...output]);
  }

  async function window(owner: string, sessionId: string): Promise<SessionWindow> {
    // The newest turn is read even where the next message takes the only place: it tells what is left out.
    const reach = { places: null, defaultPlaces: memory.defaultPlaces, taken: 0 };
    const { session, path } = found(await store.readPath({ owner, sessionId, turnId: undefined, reach }));
    present(session);
    const places = session.memoryLimit ?? memory.defaultPlaces;
    const limits = await windowLimits(session, places, modelOf(session), []);
    const cut = cutWindow(path, limits);
    const seen = windowItems(cut, []);
    const tokens = limits.tokens === null ? null : limits.tokens.taken + limits.tokens.count(seen);
    return { session, window: cut, items: seen, memoryLimit: places, tokens };
  }

  async function turns(owner: string, sessionId: string, page: PageRequest): Promise<Page<Turn>> {
    await get(owner, sessionId);
    return found(await store.listTurns(owner, sessionId, page));
  }

  async function turn(owner: string, sessionId: string, turnId: string): Promise<Turn> {
    await get(owner, sessionId);
    const one = await store.getTurn(owner, sessionId, turnId);
    if (one === null) throw new AppError('turn_not_found');
    return one;
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

function present(session: Session | null): Session {
  const one = found(session);
  if (isExpired(one, Date.now())) throw new AppError('session_not_found');
  return one;
}

/** Who answered last is asked again, unless the choice was made anew since. */
function withNewTarget(change: Partial<SessionSettings>): SessionChange {
  const isNewChoice = 'provider' in change || 'model' in change || 'fallbackProviders' in change;
  return isNewChoice ? { ...change, servedBy: null } : change;
}

/** The path to a turn, oldest first, as turns of their own: with new ids, each following the one before. */
function copyPath(all: ReadonlyMap<string, Turn>, turnId: string): Turn[] {
  const last = all.get(turnId);
  if (last === undefined) throw new AppError('turn_not_found');
  if (!joinsConversation(last)) throw new AppError('parent_not_usable');
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
