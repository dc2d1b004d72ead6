/**
 * The store: what Parley remembers. One contract, `store.contract.ts`, runs against every implementation.
 *
 * Rules for all methods:
 * - The store makes no ids and no times; it inserts those it is given.
 * - A promise resolves when the effect is durable in the sense of the store (on disk, for those that have one)
 *   and rejects with `AppError('store_unavailable')` when the engine cannot be reached or written to. Each call
 *   is atomic: after a rejection nothing of it has happened, or all of it has.
 * - Every call on a session carries the owner. Another owner's session is answered exactly as a missing one.
 * - Items come back as they were given, unknown fields included, in the order in which they were given.
 */

import type { Item, McpCallItem } from '../conversation/item.ts';
import type { Page, PageRequest } from '../conversation/page.ts';
import type { RequestKey } from '../conversation/request-key.ts';
import type { Session, SessionChange } from '../conversation/session.ts';
import type { Turn, TurnError, TurnOutcome } from '../conversation/turn.ts';

export interface Store {
  /**
   * Whether other servers may use the same data at the same time. Then turns hold their sessions by leases, and those
   * that wait stand in a line that all servers see. A store that one server has for itself knows neither: it ignores
   * `TurnBegin.leaseMilliseconds` and `line`.
   */
  readonly isShared: boolean;

  // Sessions

  /**
   * Adds a session. `turns`, oldest first and all of them ended, become its conversation: each follows the one
   * before, and the last is the head. The session and its turns appear together. `session.headTurnId` must be
   * the last turn's id, or null without turns.
   *
   * With a key that the owner has used for a session before, and that has not expired at `session.createdAt`,
   * nothing is added: `replay` gives that session as it is now, `key_reused` says that the fingerprint differs.
   * A key that takes over is as new. A key is forgotten with its session.
   */
  createSession(session: Session, turns?: readonly Turn[], key?: RequestKey | null): Promise<CreateOutcome>;

  /**
   * The session that was made under the key, for the same fingerprint; null if there is none, or the key has expired. Makes
   * nothing. A key that takes over has made none yet.
   * @param now milliseconds since the epoch
   */
  findSession(owner: string, key: RequestKey, now: number): Promise<Session | null>;

  getSession(owner: string, sessionId: string): Promise<Session | null>;

  /**
   * The owner's sessions by id, which is the order of their making: stable while others are added or deleted.
   * `after` may name a session that is gone.
   */
  listSessions(query: SessionQuery): Promise<Page<Session>>;

  /** Changes what is present in `change`; metadata is replaced as a whole. */
  updateSession(
    owner: string,
    sessionId: string,
    change: SessionChange,
    updatedAt: number,
  ): Promise<Session | null>;

  /**
   * Deletes the session with its turns, items and keys, a running turn included: from now on nothing finds it.
   * Costs the same however long the conversation was; what it leaves behind may be removed by `sweep`. False if
   * there was none.
   */
  deleteSession(owner: string, sessionId: string): Promise<boolean>;

  // Turns

  /**
   * The first of a turn's two round trips, one atomic step: checks that the session is the owner's, that its key
   * is new, and that no turn is running, records the new turn as `in_progress` with its input, makes it the
   * session's running turn under a new fence, and reads what the window needs of the path before it. A session
   * that has expired at `createdAt` is missing.
   *
   * The key comes before everything but the session: with a key that has been used in this session, and has not
   * expired at `createdAt`, the answer is `key_reused` if the fingerprint differs, else `replay` with the turn
   * that the key stands for, unless that turn is `failed`: then a new turn begins, which `retries` it, and the key
   * stands for the new one. A key that takes over (`RequestKey.takesOver`) is as new, whatever it stood for.
   *
   * On a shared store the turn holds its session by a lease, which `renewTurns` makes longer. When it is over, the
   * turn holds its session until `failInterrupted` has failed it. A turn that finds the session busy may take a place
   * in the session's line (`TurnBegin.line`), and keeps it when it asks again, or by `renewTurns`; a place that nobody
   * renewed for as long as a lease is gone. While a turn stands in the line, none that comes after it may begin: those
   * at the front come before those at the end, and among them who asked first, whatever the clocks of servers say. A
   * turn that begins has left the line.
   */
  beginTurn(begin: TurnBegin): Promise<BeginOutcome>;

  /**
   * The second round trip, one atomic step: records the outcome and ends the session's running turn. If the
   * status joins the conversation (`joinsConversation`), the turn becomes the head and its items take their
   * places; `Session.servedBy` becomes the outcome's (`servedBy`). False, and no effect, if the turn does not hold the session under this fence any more: it was
   * failed by `failInterrupted`, or the session was deleted.
   */
  commitTurn(commit: TurnCommit): Promise<boolean>;

  /**
   * Records the calls that a running turn is about to make, with those that it has made. If its server dies then, nobody
   * else knows of them: they are the output of a turn that `failInterrupted` fails. Until a turn is over it has no
   * output, and a commit brings its own. False, and no effect, if the turn does not hold the session under this fence any
   * more.
   */
  noteCalls(claim: TurnClaim, calls: readonly McpCallItem[]): Promise<boolean>;

  /**
   * Makes the leases of running turns, and the places in lines of waiting ones, last for `leaseMilliseconds` from now.
   * Says which of them are not there any more, and which turns somebody wants to end.
   */
  renewTurns(renewal: TurnRenewal): Promise<Renewed>;

  /**
   * On a shared store: asks whoever runs the turn to end it, which is named by `renewTurns` from now on. Nothing
   * happens if it does not run.
   */
  cancelTurn(owner: string, sessionId: string, turnId: string): Promise<void>;

  /** Gives up a place in the session's line; nothing happens if there is none. */
  leaveLine(sessionId: string, turnId: string): Promise<void>;

  getTurn(owner: string, sessionId: string, turnId: string): Promise<Turn | null>;

  /** All turns of the session in the order of their beginning, whatever their state. Null: no such session. */
  listTurns(owner: string, sessionId: string, page: PageRequest): Promise<Page<Turn> | null>;

  /**
   * The items with a place (`takesPlace`) on the path to the head, in conversation order; `page.after` is an
   * item's id. Null: no such session. Throws `AppError('invalid_cursor')` if `after` is not on the path.
   */
  listItems(owner: string, sessionId: string, page: PageRequest): Promise<Page<PlacedItem> | null>;

  /**
   * Deletes an item wherever in the session it stands: in the input or the output of any turn, on whatever branch and
   * whatever has become of the turn, and in each that has an item of this id. The text of it is in none of the store's
   * tables any more. A turn whose output has lost one has `trace: null` from then on, for its pieces are not those of
   * the output any more, and hold what was discarded; one that was cancelled, and is part of the conversation, is
   * `incomplete` when its last message goes. False if there is no such item, or no such session.
   *
   * Nothing else changes. Turns, keys and the head stay, and every turn keeps the places that it was counted with:
   * `PathTurn.placesBefore`, and how far a `Reach` goes, are as if the item were still there. The input of a turn that
   * runs can be deleted, and the turn is committed as any other; calls that it has noted are no items yet. What was
   * copied by a fork stays with the fork. A store that is made of a dump, and a fork, count the items that are there.
   */
  deleteItem(owner: string, sessionId: string, itemId: string): Promise<boolean>;

  /** The end of the path to a turn, read as `beginTurn` reads it, with the session. Null: no such session. */
  readPath(query: PathQuery): Promise<SessionPath | null>;

  /**
   * Fails every turn that was left by a process that died: `failed` with this error, the calls that it has noted as its
   * output, and `trace: null`; its session is free. Returns how many there were.
   *
   * Called once at the start, before any turn begins. On a store that one server has for itself, that is every turn
   * that is still running; on a shared one, every turn whose lease is over, and there it is called again all the time.
   */
  failInterrupted(error: TurnError, completedAt: number): Promise<number>;

  // The store itself

  /**
   * Removes a small batch of what nobody can want any more, and returns how many sessions of it, and whether there
   * is more to remove: sessions that have expired (`expiresAt`), sessions unchanged since `idleBefore` (null keeps
   * them), keys that have expired, and what deleted sessions have left behind. A session with a running turn
   * stays. Short enough to be called between the turns of a busy server.
   * @param now milliseconds since the epoch
   */
  sweep(now: number, idleBefore: number | null): Promise<{ sessions: number; more: boolean }>;

  /** Rejects with `store_unavailable` if the store could not serve a turn now. Cheap enough for a probe. */
  ping(): Promise<void>;

  /** Waits for what is under way, then releases everything. Nothing may be called afterwards. */
  close(): Promise<void>;
}

export interface SessionQuery extends PageRequest {
  owner: string;
  /** Only sessions whose metadata has all of these pairs. */
  metadata: Readonly<Record<string, string>>;
}

export type CreateOutcome =
  | { kind: 'created' }
  | { kind: 'replay'; session: Session }
  | { kind: 'key_reused' };

export interface TurnBegin {
  owner: string;
  sessionId: string;
  turnId: string;
  /** The turn to follow; undefined = the head, null = none: the conversation starts again. */
  parentTurnId: string | null | undefined;
  input: readonly Item[];
  createdAt: number;
  /** How much of the path to read. */
  reach: Reach;
  key: RequestKey | null;
  /**
   * False only asks what the key stands for: where a turn would begin, the answer is `busy`, and nothing begins; on a
   * shared store the turn then has its place in the line, as one that found the session busy.
   */
  mayBegin: boolean;
  /** How long the turn holds its session, or its place in the line, by the clock of the store's engine. */
  leaseMilliseconds: number;
  /** Where it stands if the session is busy, or others stand before it; null does not wait. */
  line: 'front' | 'end' | null;
}

/** What a turn holds its session by. */
export interface TurnClaim {
  sessionId: string;
  turnId: string;
  /** As `beginTurn` gave it. */
  fence: number;
}

/** Ids of turns. */
export interface Renewed {
  /** Do not hold their session under this fence, or have no place in its line. */
  lost: string[];
  /** Hold their session, and were asked to end. */
  cancelled: string[];
}

export interface TurnRenewal {
  running: readonly TurnClaim[];
  /** Places in lines. */
  waiting: readonly Pick<TurnClaim, 'sessionId' | 'turnId'>[];
  leaseMilliseconds: number;
}

/**
 * How far back a path is read, in places: `places`, else the session's `memoryLimit`, else `defaultPlaces`,
 * minus `taken`, which is negative to read more. Turns are read whole, newest first, until that many places are reached or the path ends; so
 * the last turn read may exceed it.
 */
export interface Reach {
  places: number | null;
  defaultPlaces: number;
  /** Places that the new turn's input takes already. */
  taken: number;
}

export type BeginOutcome =
  | {
      kind: 'begun';
      session: Session;
      path: PathTurn[];
      parentId: string | null;
      fence: number;
      /** The failed turn that the key stood for until now. */
      retries: Turn | null;
    }
  /** The key's turn as it is: ended, or still `in_progress`. */
  | { kind: 'replay'; turn: Turn }
  | { kind: 'key_reused' }
  /**
   * The session has a running turn, or others stand before this one in its line, then without an id; without
   * `mayBegin` also if it is free.
   */
  | { kind: 'busy'; turnId: string | null }
  | { kind: 'missing'; what: 'session' | 'parent' }
  /** The parent exists and is not part of a conversation (`joinsConversation`). */
  | { kind: 'unusable_parent' };

/** A turn of a path, as the window sees it. */
export interface PathTurn {
  id: string;
  /** Places on the path before this turn, counted from the start of the conversation, deleted items included. */
  placesBefore: number;
  input: Item[];
  output: Item[];
  createdAt: number;
  completedAt: number;
}

export interface SessionPath {
  session: Session;
  /** Newest first. */
  path: PathTurn[];
}

export interface PathQuery {
  owner: string;
  sessionId: string;
  /**
   * The newest turn to read; undefined = the head. A turn that does not exist or does not join the
   * conversation gives an empty path.
   */
  turnId: string | undefined;
  reach: Reach;
}

export interface PlacedItem {
  item: Item;
  turnId: string;
  /** When it became part of its turn: the turn's beginning for input, its end for output. */
  createdAt: number;
}

export interface TurnCommit extends TurnClaim {
  outcome: TurnOutcome;
}
