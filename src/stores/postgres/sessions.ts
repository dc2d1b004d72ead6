/** The calls on sessions: what goes to the functions of session-functions.ts, and what comes back. */

import { countPlaces, takesPlace } from '../../conversation/item.ts';
import type { Page } from '../../conversation/page.ts';
import type { RequestKey } from '../../conversation/request-key.ts';
import { expiresAt, type Session, type SessionChange } from '../../conversation/session.ts';
import { joinsConversation, type Turn } from '../../conversation/turn.ts';
import type { CreateOutcome, SessionQuery } from '../store.ts';
import { recordJson, settingsJson } from '../stored-json.ts';
import type { Connections, Statement, Value } from './connections.ts';
import { metadataPairs, SESSION_COLUMNS, type SessionRow, servedByJson, toSession } from './rows.ts';

type Kinded<Kind extends string> = SessionRow & { kind: Kind };

/** @param schema its quoted name */
export function createPostgresSessions({ run, one }: Connections, schema: string) {
  const createOne: Statement<Kinded<'created' | 'replay' | 'key_reused'>> = {
    name: 'create_session_1',
    text: `SELECT * FROM ${schema}.create_session_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
  };
  const find: Statement<SessionRow> = {
    name: 'find_session',
    text: `SELECT ${SESSION_COLUMNS} FROM ${schema}.sessions s WHERE s.id = $1 AND s.owner = $2`,
  };
  const findUnderKey: Statement<SessionRow> = {
    name: 'find_session_under_key',
    text: `SELECT ${SESSION_COLUMNS} FROM ${schema}.session_keys k JOIN ${schema}.sessions s ON s.sequence = k.session
      WHERE k.owner = $1 AND k.key = $2 AND k.fingerprint = $3 AND k.expires_at > $4 AND s.owner = $1
        AND (s.expires_at IS NULL OR s.expires_at > $4)`,
  };
  const updateOne: Statement<Kinded<'updated' | 'changed' | 'missing_session'>> = {
    name: 'update_session_1',
    text: `SELECT * FROM ${schema}.update_session_1($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
  };
  const deleteOne: Statement<{ deleted: boolean }> = {
    name: 'delete_session_1',
    text: `SELECT ${schema}.delete_session_1($1, $2) AS deleted`,
  };
  const sweepOnce: Statement<{ sessions: number; more: boolean }> = {
    name: 'sweep_1',
    text: `SELECT * FROM ${schema}.sweep_1($1, $2)`,
  };

  return { create, findUnder, get, list, update, remove, sweep };

  async function create(
    session: Session,
    turns: readonly Turn[],
    key: RequestKey | null,
  ): Promise<CreateOutcome> {
    if (session.headTurnId !== (turns.at(-1)?.id ?? null)) {
      throw new Error(`The head of session ${session.id} must be the last of its turns.`);
    }
    const row = await one(
      createOne,
      session.id,
      session.owner,
      session.createdAt,
      session.updatedAt,
      expiresAt(session),
      session.memoryLimit,
      servedByJson(session.servedBy),
      settingsJson(session),
      metadataPairs(session.metadata),
      session.headTurnId,
      JSON.stringify(turnRows(turns)),
      JSON.stringify(placedRows(turns)),
      ...keyValues(key),
    );
    return row.kind === 'replay' ? { kind: 'replay', session: toSession(row) } : { kind: row.kind };
  }

  async function findUnder(owner: string, key: RequestKey, now: number): Promise<Session | null> {
    if (key.takesOver) return null;
    const [row] = await run(findUnderKey, owner, key.value, key.fingerprint, now);
    return row === undefined ? null : toSession(row);
  }

  async function get(owner: string, sessionId: string): Promise<Session | null> {
    const [row] = await run(find, sessionId, owner);
    return row === undefined ? null : toSession(row);
  }

  async function list(query: SessionQuery): Promise<Page<Session>> {
    const { owner, after, order, limit } = query;
    const pairs = metadataPairs(query.metadata);
    const values: Value[] = [owner];
    if (after !== null) values.push(after);
    // One row more tells whether there is another page.
    const rows = await run(
      listStatement(schema, pairs.length, after !== null, order),
      ...values,
      ...pairs,
      limit + 1,
    );
    return { data: rows.slice(0, limit).map(toSession), hasMore: rows.length > limit };
  }

  /** Reads, and writes if nobody has changed the settings in between; whoever has, made progress. */
  async function update(
    owner: string,
    sessionId: string,
    change: SessionChange,
    updatedAt: number,
  ): Promise<Session | null> {
    for (;;) {
      const [seen] = await run(find, sessionId, owner);
      if (seen === undefined) return null;
      const changed: Session = { ...toSession(seen), ...change };
      const { memoryLimit, ttlSeconds, metadata } = changed;
      const row = await one(
        updateOne,
        owner,
        sessionId,
        seen.settings,
        settingsJson(changed),
        memoryLimit,
        updatedAt,
        ttlSeconds && ttlSeconds * 1000,
        change.servedBy === null,
        change.metadata === undefined ? null : metadataPairs(metadata),
      );
      if (row.kind === 'missing_session') return null;
      if (row.kind === 'updated') return toSession(row);
    }
  }

  async function remove(owner: string, sessionId: string): Promise<boolean> {
    const row = await one(deleteOne, owner, sessionId);
    return row.deleted;
  }

  async function sweep(now: number, idleBefore: number | null): Promise<{ sessions: number; more: boolean }> {
    const row = await one(sweepOnce, now, idleBefore);
    return row;
  }
}

/** The four parameters of a key. */
export function keyValues(
  key: RequestKey | null,
): [value: string | null, fingerprint: string | null, expiresAt: number | null, takesOver: boolean] {
  if (key === null) return [null, null, null, false];
  return [key.value, key.fingerprint, key.expiresAt, key.takesOver ?? false];
}

/** The rows of a conversation without branches: the number of a turn is its depth. */
function turnRows(turns: readonly Turn[]) {
  /** By number: the number of the turn where the turn's `jump` leads, 0 before the first. */
  const jumps = [0];
  let placesBefore = 0;
  return turns.map((turn, index) => {
    const { id, status, input, output, createdAt, completedAt } = turn;
    if (!joinsConversation(turn) || completedAt === null) {
      throw new Error(`Turn ${id} is ${status} and cannot be part of a conversation.`);
    }
    const first = jumps[index] ?? 0;
    const second = jumps[first] ?? 0;
    // As `parent_of_turn_1` does it.
    const jump = index - first === first - second ? second : index;
    jumps.push(jump);
    const [places, outputPlaces] = [countPlaces(input), countPlaces(output)];
    const row = {
      number: index + 1,
      id,
      jump: jump === 0 ? null : jump,
      places_before: placesBefore,
      places,
      created_at: createdAt,
      input: JSON.stringify(input),
      status,
      output_places: outputPlaces,
      completed_at: completedAt,
      output: JSON.stringify(output),
      record: recordJson(turn),
    };
    placesBefore += places + outputPlaces;
    return row;
  });
}

function placedRows(turns: readonly Turn[]) {
  return turns.flatMap(({ input, output }, index) =>
    [...input, ...output].filter(takesPlace).map(({ id }) => ({ id, number: index + 1 })),
  );
}

/**
 * Parameters: the owner, the cursor if there is one, each pair, the limit. The first pair's index gives the sessions
 * in the order of the list; the others are looked up for each. Without pairs the owner's index does the same.
 */
function listStatement(
  schema: string,
  pairs: number,
  hasAfter: boolean,
  order: 'asc' | 'desc',
): Statement<SessionRow> {
  const [source, id, owner] =
    pairs === 0
      ? [`${schema}.sessions s`, 's.id', 's.owner']
      : [
          `${schema}.session_metadata m JOIN ${schema}.sessions s ON s.sequence = m.session`,
          'm.session_id',
          'm.owner',
        ];
  let parameters = 0;
  const next = () => `$${(parameters += 1)}`;
  const conditions = [`${owner} = ${next()}`];
  if (hasAfter) conditions.push(`${id} ${order === 'asc' ? '>' : '<'} ${next()}`);
  if (pairs > 0) conditions.push(`m.pair = ${next()}`);
  for (let pair = 1; pair < pairs; pair += 1) {
    conditions.push(
      `EXISTS (SELECT FROM ${schema}.session_metadata o WHERE o.session = m.session AND o.pair = ${next()})`,
    );
  }
  return {
    name: `list_sessions_${pairs}_${hasAfter ? 'after' : 'first'}_${order}`,
    text: `SELECT ${SESSION_COLUMNS} FROM ${source}
      WHERE ${conditions.join(' AND ')} ORDER BY ${id} ${order} LIMIT ${next()}`,
  };
}
