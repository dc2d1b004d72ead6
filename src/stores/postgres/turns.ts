/** The calls on turns and paths: what goes to the functions of the database, and what comes back. */

import { countPlaces, type Item, type McpCallItem, takesPlace } from '../../conversation/item.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import { joinsConversation, servedBy, type Turn, type TurnError } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type {
  BeginOutcome,
  PathQuery,
  PathTurn,
  PlacedItem,
  Renewed,
  SessionPath,
  TurnBegin,
  TurnClaim,
  TurnCommit,
  TurnRenewal,
} from '../store.ts';
import { interruptedRecordJson, recordJson } from '../stored-json.ts';
import type { Connections, Statement } from './connections.ts';
import { type SessionRow, servedByJson, toSession, toTurn, toTurns } from './rows.ts';
import { keyValues } from './sessions.ts';

type BeginRow =
  | (SessionRow & {
      kind: 'begun';
      parent_id: string | null;
      fence: number;
      path: string;
      /** The failed turn that it retries, as JSON. */
      turn: string | null;
    })
  /** The whole turn, as JSON. */
  | { kind: 'replay'; turn: string }
  /** The id of the running turn. */
  | { kind: 'busy'; turn: string | null }
  | { kind: 'key_reused' | 'missing_parent' | 'missing_session' | 'unusable_parent' };

type PageKind = 'page' | 'missing_session' | 'invalid_cursor';

/** @param schema its quoted name */
export function createPostgresTurns({ run, one }: Connections, schema: string) {
  const beginOne: Statement<BeginRow> = {
    name: 'begin_turn_1',
    text: `SELECT * FROM ${schema}.begin_turn_1(
      $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
  };
  const commitOne: Statement<{ held: boolean }> = {
    name: 'commit_turn_1',
    text: `SELECT ${schema}.commit_turn_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS held`,
  };
  const noteOne: Statement<{ held: boolean }> = {
    name: 'note_calls_1',
    text: `SELECT ${schema}.note_calls_1($1, $2, $3, $4) AS held`,
  };
  // Rows are locked in one order, by however many servers, and never together with a session's row.
  const renew: Statement<{ turn: string; fence: number | null; is_cancelled: boolean }> = {
    name: 'renew_turns',
    text: `WITH held AS (
        SELECT r.session, r.number, t.id FROM unnest($1::text[], $2::text[], $3::bigint[]) AS c (session, turn, fence)
          JOIN ${schema}.sessions s ON s.id = c.session
          JOIN ${schema}.running_turns r ON r.session = s.sequence AND r.number = c.fence
          JOIN ${schema}.turns t ON t.session = r.session AND t.number = r.number AND t.id = c.turn
        ORDER BY r.session FOR UPDATE OF r
      ), running AS (
        UPDATE ${schema}.running_turns r SET lease_ends_at = clock_timestamp() + $6 * interval '1 millisecond'
        FROM held WHERE r.session = held.session RETURNING held.id, held.number, r.is_cancelled
      ), standing AS (
        SELECT w.session, w.id FROM unnest($4::text[], $5::text[]) AS c (session, turn)
          JOIN ${schema}.sessions s ON s.id = c.session
          JOIN ${schema}.waiting_turns w ON w.session = s.sequence AND w.id = c.turn
        WHERE w.ends_at > clock_timestamp() ORDER BY w.session, w.id FOR UPDATE OF w
      ), waiting AS (
        UPDATE ${schema}.waiting_turns w SET ends_at = clock_timestamp() + $6 * interval '1 millisecond'
        FROM standing WHERE w.session = standing.session AND w.id = standing.id RETURNING w.id
      )
      SELECT id AS turn, number AS fence, is_cancelled FROM running UNION ALL SELECT id, NULL, false FROM waiting`,
  };
  const cancelOne: Statement<never> = {
    name: 'cancel_turn',
    text: `UPDATE ${schema}.running_turns r SET is_cancelled = true
      FROM ${schema}.sessions s JOIN ${schema}.turns t ON t.session = s.sequence AND t.id = $3
      WHERE s.owner = $1 AND s.id = $2 AND r.session = s.sequence AND r.number = t.number`,
  };
  const leave: Statement<never> = {
    name: 'leave_line',
    text: `DELETE FROM ${schema}.waiting_turns w USING ${schema}.sessions s
      WHERE s.id = $1 AND w.session = s.sequence AND w.id = $2`,
  };
  const getOne: Statement<{ turn: string | null }> = {
    name: 'get_turn_1',
    text: `SELECT ${schema}.get_turn_1($1, $2, $3) AS turn`,
  };
  const listOf: Statement<{ kind: PageKind; turns: string }> = {
    name: 'list_turns_1',
    text: `SELECT * FROM ${schema}.list_turns_1($1, $2, $3, $4, $5)`,
  };
  const itemsOf: Statement<{
    kind: PageKind;
    path: string;
    cursor_id: string | null;
    head_id: string | null;
  }> = {
    name: 'list_items_2',
    text: `SELECT * FROM ${schema}.list_items_2($1, $2, $3, $4, $5)`,
  };
  const pathOf: Statement<(SessionRow & { path: string }) | { id: null }> = {
    name: 'read_path_1',
    text: `SELECT * FROM ${schema}.read_path_1($1, $2, $3, $4, $5, $6)`,
  };
  // What somebody else has locked is ending, or is being renewed: it is left for the next time.
  const failOver: Statement<{ failed: number }> = {
    name: 'fail_interrupted',
    text: `WITH over AS (
        SELECT r.session, r.number, r.calls FROM ${schema}.running_turns r JOIN ${schema}.sessions s ON s.sequence = r.session
        WHERE r.lease_ends_at <= clock_timestamp() FOR UPDATE OF s, r SKIP LOCKED
      ), freed AS (
        DELETE FROM ${schema}.running_turns r USING over WHERE r.session = over.session
      ), failed AS (
        INSERT INTO ${schema}.outcomes (session, number, status, joined, places, completed_at, items, record)
        SELECT over.session, over.number, 'failed', false, 0, $1, coalesce(over.calls, '[]'), $2 FROM over RETURNING session
      ), lapsed AS (
        SELECT w.session, w.id FROM ${schema}.waiting_turns w
        WHERE w.ends_at <= clock_timestamp() FOR UPDATE SKIP LOCKED
      ), left_behind AS (
        DELETE FROM ${schema}.waiting_turns w USING lapsed WHERE w.session = lapsed.session AND w.id = lapsed.id
      )
      SELECT count(*)::integer AS failed FROM failed`,
  };

  return {
    begin,
    commit,
    noteCalls,
    renewTurns,
    cancelTurn,
    leaveLine,
    get,
    list,
    listItems,
    readPath,
    failInterrupted,
  };

  async function begin(request: TurnBegin): Promise<BeginOutcome> {
    const { owner, sessionId, turnId, parentTurnId, input, createdAt, reach, key } = request;
    const row = await one(
      beginOne,
      owner,
      sessionId,
      turnId,
      parentTurnId ?? null,
      parentTurnId === undefined,
      JSON.stringify(input),
      countPlaces(input),
      placedIds(input),
      createdAt,
      reach.places,
      reach.defaultPlaces,
      reach.taken,
      ...keyValues(key),
      request.mayBegin,
      request.leaseMilliseconds,
      request.line,
    );
    switch (row.kind) {
      case 'begun': {
        const { kind, parent_id: parentId, fence, turn } = row;
        const path = JSON.parse(row.path) as PathTurn[];
        const retries = turn === null ? null : toTurn(sessionId, turn);
        return { kind, session: toSession(row), path, parentId, fence, retries };
      }
      case 'replay':
        return { kind: 'replay', turn: toTurn(sessionId, row.turn) };
      case 'busy':
        return { kind: 'busy', turnId: row.turn };
      case 'missing_session':
        return { kind: 'missing', what: 'session' };
      case 'missing_parent':
        return { kind: 'missing', what: 'parent' };
      default:
        return { kind: row.kind };
    }
  }

  async function commit({ sessionId, turnId, fence, outcome }: TurnCommit): Promise<boolean> {
    const { status, output, completedAt } = outcome;
    const row = await one(
      commitOne,
      sessionId,
      turnId,
      fence,
      status,
      joinsConversation(outcome),
      JSON.stringify(output),
      countPlaces(output),
      placedIds(output),
      recordJson(outcome),
      completedAt,
      servedByJson(servedBy(outcome)),
    );
    return row.held;
  }

  async function noteCalls(
    { sessionId, turnId, fence }: TurnClaim,
    calls: readonly McpCallItem[],
  ): Promise<boolean> {
    return (await one(noteOne, sessionId, turnId, fence, JSON.stringify(calls))).held;
  }

  async function renewTurns({ running, waiting, leaseMilliseconds }: TurnRenewal): Promise<Renewed> {
    const rows = await run(
      renew,
      running.map(({ sessionId }) => sessionId),
      running.map(({ turnId }) => turnId),
      running.map(({ fence }) => String(fence)),
      waiting.map(({ sessionId }) => sessionId),
      waiting.map(({ turnId }) => turnId),
      leaseMilliseconds,
    );
    const held = new Set(rows.map(({ turn, fence }) => `${turn} ${fence}`));
    const lost = [
      ...running.filter(({ turnId, fence }) => !held.has(`${turnId} ${fence}`)),
      ...waiting.filter(({ turnId }) => !held.has(`${turnId} null`)),
    ];
    const cancelled = rows.filter((row) => row.is_cancelled);
    return { lost: lost.map(({ turnId }) => turnId), cancelled: cancelled.map(({ turn }) => turn) };
  }

  async function cancelTurn(owner: string, sessionId: string, turnId: string): Promise<void> {
    await run(cancelOne, owner, sessionId, turnId);
  }

  async function leaveLine(sessionId: string, turnId: string): Promise<void> {
    await run(leave, sessionId, turnId);
  }

  async function get(owner: string, sessionId: string, turnId: string): Promise<Turn | null> {
    const row = await one(getOne, owner, sessionId, turnId);
    return row.turn === null ? null : toTurn(sessionId, row.turn);
  }

  async function list(owner: string, sessionId: string, page: PageRequest): Promise<Page<Turn> | null> {
    const { after, order, limit } = page;
    // One turn more tells whether there is another page.
    const row = await one(listOf, owner, sessionId, after, limit + 1, order === 'asc');
    if (!isPage(row.kind)) return null;
    const turns = toTurns(sessionId, row.turns);
    return { data: turns.slice(0, limit), hasMore: turns.length > limit };
  }

  /**
   * The database looks for a page by places, of which deleted items have left some empty: then it is asked again, each
   * time to reach as far again.
   */
  async function listItems(
    owner: string,
    sessionId: string,
    { after, order, limit }: PageRequest,
  ): Promise<Page<PlacedItem> | null> {
    const isAscending = order === 'asc';
    // One item more tells whether there is another page.
    for (let reach = limit + 1; ; reach *= 2) {
      const row = await one(itemsOf, owner, sessionId, after, reach, isAscending);
      if (!isPage(row.kind)) return null;
      const path = JSON.parse(row.path) as PathTurn[];
      const placed = path.flatMap(newestPlacedFirst);
      if (isAscending) placed.reverse();
      // The last of that id in the order of the page: however often a turn has it, the next page is another one.
      const cursor = placed.findLastIndex(
        ({ item, turnId }) => turnId === row.cursor_id && item.id === after,
      );
      const rest = placed.slice(cursor + 1);
      const reachesEnd = isAscending ? path[0]?.id === row.head_id : path.at(-1)?.placesBefore === 0;
      if (rest.length <= limit && path.length > 0 && !reachesEnd) continue;
      return { data: rest.slice(0, limit), hasMore: rest.length > limit };
    }
  }

  async function readPath({ owner, sessionId, turnId, reach }: PathQuery): Promise<SessionPath | null> {
    const { places, defaultPlaces, taken } = reach;
    const row = await one(pathOf, owner, sessionId, turnId ?? null, places, defaultPlaces, taken);
    if (row.id === null) return null;
    return { session: toSession(row), path: JSON.parse(row.path) as PathTurn[] };
  }

  async function failInterrupted(error: TurnError, completedAt: number): Promise<number> {
    const row = await one(failOver, completedAt, interruptedRecordJson(error));
    return row.failed;
  }
}

export function placedIds(items: readonly Item[]): string[] {
  return items.filter(takesPlace).map(({ id }) => id);
}

function newestPlacedFirst({ id, input, output, createdAt, completedAt }: PathTurn): PlacedItem[] {
  const placed = (items: readonly Item[], at: number) =>
    items.filter(takesPlace).map((item) => ({ item, turnId: id, createdAt: at }));
  return [...placed(input, createdAt), ...placed(output, completedAt)].reverse();
}

/** Whether there is such a session. Throws if it has no such place to go on from. */
function isPage(kind: PageKind): boolean {
  if (kind === 'invalid_cursor') throw new AppError('invalid_cursor');
  return kind === 'page';
}
