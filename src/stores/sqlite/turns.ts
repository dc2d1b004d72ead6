/** The statements on turns and their items. Each function is one step inside a transaction, begun by the caller. */

import { countPlaces, type Item, type McpCallItem, takesPlace } from '../../conversation/item.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import {
  joinsConversation,
  type Turn,
  type TurnError,
  type TurnOutcome,
  type TurnStatus,
} from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { TurnClaim } from '../store.ts';
import { interruptedRecordJson, recordJson } from '../stored-json.ts';
import type { Database } from './database.ts';
import type { PathEnd } from './paths.ts';
import { type ItemRow, TURN_COLUMNS, type TurnRow, toTurn } from './rows.ts';

/** A turn as the one that is to follow it sees it. */
export interface ParentTurn extends PathEnd {
  id: string;
  /** Whether it is part of the conversation. */
  joined: boolean;
  depth: number;
  /** Where the following turn's `jump` leads. */
  nextJump: number | null;
}

/** A turn that is over, as another store has kept it: its items and its record are JSON. */
export interface RestoredTurn {
  id: string;
  parentId: string | null;
  status: TurnStatus;
  joins: boolean;
  /** Of input and output. */
  places: number;
  createdAt: number;
  completedAt: number;
  input: readonly RestoredItem[];
  output: readonly RestoredItem[];
  record: string;
}
export interface RestoredItem {
  id: string;
  placed: boolean;
  json: string;
}

/** An outcome, or a whole turn that has one. */
type Ended = Omit<TurnOutcome, 'status'> & { status: TurnStatus };

type ParentRow = [
  sequence: number,
  places: number,
  id: string,
  joined: 0 | 1,
  depth: number,
  jump: number | null,
  jumpDepth: number | null,
  secondJump: number | null,
  secondJumpDepth: number | null,
];

const PARENT = `SELECT p.sequence, p.places_before + p.places, p.id, p.joined, p.depth,
    j.sequence, j.depth, k.sequence, k.depth
  FROM turns p LEFT JOIN turns j ON j.sequence = p.jump LEFT JOIN turns k ON k.sequence = j.jump`;

export function createSqliteTurns(database: Database) {
  const parentBySequence = database.prepare<ParentRow>(`${PARENT} WHERE p.sequence = ?`);
  const parentById = database.prepare<ParentRow>(`${PARENT} WHERE p.id = ? AND p.session = ?`);
  const insertTurn = database.prepare(
    `INSERT INTO turns (id, session, parent, jump, depth, places_before, places, status, joined, created_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, 'in_progress', 0, ?)`,
  );
  const finishTurn = database.prepare(
    `UPDATE turns SET status = ?, joined = ?, places = places + ?, completed_at = ?, record = ?
     WHERE sequence = ?`,
  );
  const insertItem = database.prepare(
    'INSERT INTO items (turn, output, placed, id, json) VALUES (?, ?, ?, ?, ?)',
  );
  const findTurn = database.prepare<TurnRow>(
    `SELECT ${TURN_COLUMNS} FROM turns t WHERE t.id = ? AND t.session = ?`,
  );
  const oldestTurns = database.prepare<TurnRow>(
    `SELECT ${TURN_COLUMNS} FROM turns t WHERE t.session = ? AND t.sequence > ? ORDER BY t.sequence LIMIT ?`,
  );
  const newestTurns = database.prepare<TurnRow>(
    `SELECT ${TURN_COLUMNS} FROM turns t
     WHERE t.session = ? AND t.sequence < ? ORDER BY t.sequence DESC LIMIT ?`,
  );
  const itemsOfTurn = database.prepare<ItemRow>(
    'SELECT output, json FROM items WHERE turn = ? ORDER BY sequence',
  );
  const addRunning = database.prepare('INSERT INTO running_turns (session, turn) VALUES (?, ?)');
  const findRunning = database.prepare<[id: string]>(
    `SELECT t.id FROM running_turns r CROSS JOIN turns t ON t.sequence = r.turn WHERE r.session = ?`,
  );
  const removeRunning = database.prepare('DELETE FROM running_turns WHERE session = ?');
  const deleteTurn = database.prepare('DELETE FROM turns WHERE sequence = ?');
  const allRunning = database.prepare<[session: number, turn: number, calls: string | null]>(
    'SELECT session, turn, calls FROM running_turns',
  );
  const setCalls = database.prepare('UPDATE running_turns SET calls = ? WHERE session = ?');
  const heldTurn = database.prepare<[session: number, turn: number]>(
    `SELECT r.session, r.turn
     FROM sessions s CROSS JOIN running_turns r ON r.session = s.sequence CROSS JOIN turns t ON t.sequence = r.turn
     WHERE s.id = ? AND t.id = ? AND r.turn = ?`,
  );

  return {
    runningId,
    withSequence,
    withId,
    begin,
    withdraw,
    held,
    noteCalls,
    finish,
    append,
    restore,
    get,
    list,
    failRunning,
  };

  function runningId(session: number): string | undefined {
    return findRunning.get(session)?.[0];
  }

  /** The turn of that key, which must exist; null for none. */
  function withSequence(sequence: number | null): ParentTurn | null {
    const row = sequence === null ? undefined : parentBySequence.get(sequence);
    return row === undefined ? null : toParentTurn(row);
  }

  /** The session's turn of that id, undefined if there is none; null for null. */
  function withId(session: number, turnId: string | null): ParentTurn | null | undefined {
    if (turnId === null) return null;
    const row = parentById.get(turnId, session);
    return row && toParentTurn(row);
  }

  /** Records a turn as the session's running one. Its key, which only grows, serves as the fence. */
  function begin(
    session: number,
    follows: ParentTurn | null,
    turn: Pick<Turn, 'id' | 'input' | 'createdAt'>,
  ): number {
    const sequence = insert(session, follows, turn);
    addRunning.run(session, sequence);
    return sequence;
  }

  /** Undoes the beginning of a turn, and returns its session; null, and no effect, if it does not run any more. */
  function withdraw(claim: TurnClaim): number | null {
    const row = held(claim);
    if (row === undefined) return null;
    removeRunning.run(row.session);
    deleteTurn.run(row.turn);
    return row.session;
  }

  /** The session and the turn, if the turn still holds the session under this fence. */
  function held({ sessionId, turnId, fence }: TurnClaim): { session: number; turn: number } | undefined {
    const row = heldTurn.get(sessionId, turnId, fence);
    return row && { session: row[0], turn: row[1] };
  }

  /** Records the calls of a running turn; false, and no effect, if it does not run any more. */
  function noteCalls(claim: TurnClaim, calls: readonly McpCallItem[]): boolean {
    const row = held(claim);
    if (row === undefined) return false;
    setCalls.run(JSON.stringify(calls), row.session);
    return true;
  }

  /** Records the outcome and frees the session; returns whether the turn joined. Moving the head is the caller's. */
  function finish(session: number, turn: number, outcome: TurnOutcome): boolean {
    removeRunning.run(session);
    return complete(turn, outcome);
  }

  /** Adds turns that are over, each following the one before; returns the last. */
  function append(session: number, turns: readonly Turn[]): number | null {
    let follows: ParentTurn | null = null;
    for (const turn of turns) {
      const { status, completedAt } = turn;
      if (!joinsConversation(turn) || completedAt === null) {
        throw new Error(`Turn ${turn.id} is ${status} and cannot be part of a conversation.`);
      }
      const sequence = insert(session, follows, turn);
      complete(sequence, { ...turn, completedAt });
      follows = withSequence(sequence);
    }
    return follows?.sequence ?? null;
  }

  /** Adds a turn that has found its place in the tree before; its parent must be there. */
  function restore(session: number, turn: RestoredTurn): void {
    const { id, parentId, status, joins, places, createdAt, completedAt, record } = turn;
    const follows = withId(session, parentId);
    if (follows === undefined)
      throw new Error(`There is no turn ${parentId} before ${id}, which follows it.`);
    const sequence = insertRow(session, follows, { id, places, createdAt });
    finishTurn.run(status, joins ? 1 : 0, 0, completedAt, record, sequence);
    for (const [items, output] of [
      [turn.input, 0],
      [turn.output, 1],
    ] as const) {
      for (const item of items) insertItem.run(sequence, output, item.placed ? 1 : 0, item.id, item.json);
    }
  }

  function get(session: number, sessionId: string, turnId: string): Turn | null {
    const row = findTurn.get(turnId, session);
    return row === undefined ? null : toTurn(sessionId, row, itemsOfTurn.all(row[0]));
  }

  function list(session: number, sessionId: string, page: PageRequest): Page<Turn> {
    const { after, order, limit } = page;
    const statement = order === 'asc' ? oldestTurns : newestTurns;
    // One turn more tells whether there is another page.
    const rows = statement.all(session, cursor(session, after, order), limit + 1);
    return {
      data: rows.slice(0, limit).map((row) => toTurn(sessionId, row, itemsOfTurn.all(row[0]))),
      hasMore: rows.length > limit,
    };
  }

  function failRunning(error: TurnError, completedAt: number): number {
    const running = allRunning.all();
    for (const [session, turn, calls] of running) {
      finishTurn.run('failed', 0, 0, completedAt, interruptedRecordJson(error), turn);
      if (calls !== null) insertItems(turn, JSON.parse(calls) as McpCallItem[], 1);
      removeRunning.run(session);
    }
    return running.length;
  }

  function insert(
    session: number,
    follows: ParentTurn | null,
    { id, input, createdAt }: Pick<Turn, 'id' | 'input' | 'createdAt'>,
  ): number {
    const sequence = insertRow(session, follows, { id, places: countPlaces(input), createdAt });
    insertItems(sequence, input, 0);
    return sequence;
  }

  /** @param turn with the places that it takes so far */
  function insertRow(
    session: number,
    follows: ParentTurn | null,
    turn: { id: string; places: number; createdAt: number },
  ): number {
    return insertTurn.run(
      turn.id,
      session,
      follows?.sequence ?? null,
      follows?.nextJump ?? null,
      follows === null ? 1 : follows.depth + 1,
      follows?.places ?? 0,
      turn.places,
      turn.createdAt,
    ).lastInsertRowid;
  }

  function complete(sequence: number, outcome: Ended): boolean {
    const { status, output, completedAt } = outcome;
    const joins = joinsConversation(outcome);
    finishTurn.run(status, joins ? 1 : 0, countPlaces(output), completedAt, recordJson(outcome), sequence);
    insertItems(sequence, output, 1);
    return joins;
  }

  function insertItems(turn: number, items: readonly Item[], output: 0 | 1): void {
    for (const item of items) {
      insertItem.run(turn, output, takesPlace(item) ? 1 : 0, item.id, JSON.stringify(item));
    }
  }

  function cursor(session: number, after: string | null, order: 'asc' | 'desc'): number {
    if (after === null) return order === 'asc' ? 0 : Number.MAX_SAFE_INTEGER;
    const row = findTurn.get(after, session);
    if (row === undefined) throw new AppError('invalid_cursor');
    return row[0];
  }
}

function toParentTurn(row: ParentRow): ParentTurn {
  const [sequence, places, id, joined, depth] = row;
  return { sequence, places, id, joined: joined === 1, depth, nextJump: nextJump(row) };
}

/**
 * Jump pointers after Myers (1983), "An applicative random-access stack": if the parent's last two jumps are
 * equally long, they become one of twice the length, else the jump leads to the parent. So a path of n turns
 * is climbed in O(log n) steps, for one pointer per turn and two look-ups when a turn begins. Null is the
 * place before the first turn, at depth 0, from where every jump leads to itself.
 */
function nextJump(row: ParentRow): number | null {
  const [sequence, , , , depth, , jumpDepth, secondJump, secondJumpDepth] = row;
  const first = depth - (jumpDepth ?? 0);
  const second = (jumpDepth ?? 0) - (secondJumpDepth ?? 0);
  return first === second ? secondJump : sequence;
}
