/**
 * Taking a whole store in, on PostgreSQL: on a connection of its own, in transactions that end between two sessions. So
 * nobody sees a session before all of its turns are there, and what is broken off leaves nothing behind.
 */

import { Client } from 'pg';
import { countPlaces, type Item } from '../../conversation/item.ts';
import { expiresAt, type Session } from '../../conversation/session.ts';
import { joinsConversation } from '../../conversation/turn.ts';
import type { AdminStore } from '../admin-store.ts';
import type { KeptRecord, RestoreTarget } from '../portable-restore.ts';
import type { PortableSessionKey, PortableTurn, PortableTurnKey } from '../portable-store.ts';
import { settingsJson } from '../stored-json.ts';
import { createTurnTree } from '../turn-tree.ts';
import { keyRow, toolRow } from './admin.ts';
import { type ConnectionOptions, clientConfig } from './connections.ts';
import { asStoreError } from './errors.ts';
import { metadataPairs, servedByJson, toText } from './rows.ts';
import { placedIds } from './turns.ts';

/** Records after which a transaction is large enough to be worth its sync. */
const AT_ONCE = 1000;

/**
 * A target for one restore. Rejects with `store_unavailable` if the database cannot be reached.
 * @param schema its quoted name
 */
export async function openPostgresRestore(
  options: ConnectionOptions,
  schema: string,
  admin: AdminStore,
): Promise<RestoreTarget> {
  const client = new Client({ ...clientConfig(options), statement_timeout: 0 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN');
  } catch (error) {
    await client.end().catch(() => undefined);
    throw asStoreError(error);
  }
  let uncommitted = 0;
  /** Of the session that was begun. */
  let sequence = 0;
  let tree = createTurnTree();

  return {
    addKept,
    addUsage: (totals) => admin.saveUsage(totals),
    beginSession,
    addTurns,
    addTurnKeys,
    endSession,
    dropSession,
    addSessionKeys,
    finish: () => run('COMMIT').then(() => undefined),
    release: () => client.end().catch(() => undefined),
  };

  async function addKept(records: readonly KeptRecord[]): Promise<void> {
    for (const [kind, some] of Map.groupBy(records, (record) => record.kind)) {
      const [table, columns] = KEPT_TABLES[kind];
      await insert(table, columns, some.map(keptRow), 'ON CONFLICT DO NOTHING');
    }
    await written(records.length);
  }

  async function beginSession({ id }: Session): Promise<boolean> {
    const known = `SELECT s.sequence, s.owner FROM ${schema}.sessions s WHERE s.id = $1`;
    const [found] = await run<{ sequence: number; owner: string }>(known, id);
    if (found !== undefined && found.owner !== '') return false;
    // One that was deleted, and that no sweep has removed yet.
    if (found !== undefined) await remove(found.sequence);
    sequence = await nextSequence();
    tree = createTurnTree();
    return true;
  }

  /** Taken from the sessions' own numbers, so that nobody else gets it. */
  async function nextSequence(): Promise<number> {
    const [row] = await run<{ next: number }>(`SELECT nextval('${schema}.sessions_sequence_seq') AS next`);
    if (row === undefined) throw new Error('A sequence has given no number.');
    return row.next;
  }

  async function addTurns(turns: readonly PortableTurn[]): Promise<void> {
    const added = turns.map((turn) => {
      const input = JSON.parse(turn.input) as Item[];
      const output = JSON.parse(turn.output) as Item[];
      const places = { inputPlaces: countPlaces(input), outputPlaces: countPlaces(output) };
      return { turn, input, output, ...places, place: tree.add({ ...turn, ...places }) };
    });
    await insert(
      'turns',
      'session, number, id, parent, jump, depth, places_before, places, created_at, items',
      added.map(({ turn, place, inputPlaces }) => ({
        session: sequence,
        number: place.number,
        id: turn.id,
        parent: place.parent || null,
        jump: place.jump || null,
        depth: place.depth,
        places_before: place.placesBefore,
        places: inputPlaces,
        created_at: turn.createdAt,
        items: turn.input,
      })),
    );
    const joins = ({ turn, output }: (typeof added)[number]) =>
      joinsConversation({ status: turn.status, output });
    await insert(
      'outcomes',
      'session, number, status, joined, places, completed_at, items, record',
      added.map((one) => ({
        session: sequence,
        number: one.place.number,
        status: one.turn.status,
        joined: joins(one),
        places: one.outputPlaces,
        completed_at: one.turn.completedAt,
        items: one.turn.output,
        record: one.turn.record,
      })),
    );
    // Of a turn that is no part of the conversation, only what was there when it began.
    const placed = added.flatMap((one) => {
      const ids = [...placedIds(one.input), ...(joins(one) ? placedIds(one.output) : [])];
      return ids.map((id) => ({ session: sequence, id, number: one.place.number }));
    });
    await insert('placed_items', 'session, id, number', placed);
    uncommitted += turns.length;
  }

  async function addTurnKeys(keys: readonly PortableTurnKey[]): Promise<void> {
    const rows = keys.map(({ turnId, value, fingerprint, expiresAt: end }) => ({
      session: sequence,
      key: value,
      fingerprint,
      number: tree.numberOf(turnId),
      expires_at: end,
    }));
    await insert('turn_keys', 'session, key, fingerprint, number, expires_at', rows);
  }

  async function endSession(session: Session): Promise<void> {
    const { id, owner, headTurnId, createdAt, updatedAt, memoryLimit, servedBy, metadata } = session;
    const row = {
      sequence,
      id,
      owner,
      head: headTurnId && tree.numberOf(headTurnId),
      head_id: headTurnId,
      created_at: createdAt,
      updated_at: updatedAt,
      expires_at: expiresAt(session),
      memory_limit: memoryLimit,
      served_by: servedByJson(servedBy),
      settings: settingsJson(session),
    };
    const columns = Object.keys(row).join(', ');
    await insert('sessions', columns, [row], '', 'OVERRIDING SYSTEM VALUE');
    const pairs = metadataPairs(metadata).map((pair) => ({ session: sequence, pair, owner, session_id: id }));
    await insert('session_metadata', 'session, pair, owner, session_id', pairs);
    await written(1);
  }

  async function dropSession(): Promise<void> {
    await remove(sequence);
    await written(1);
  }

  async function addSessionKeys(keys: readonly PortableSessionKey[]): Promise<void> {
    await run(
      `INSERT INTO ${schema}.session_keys (owner, key, fingerprint, session, expires_at)
       SELECT k.owner, k.value, k.fingerprint, s.sequence, k."expiresAt"
       FROM json_to_recordset($1) AS k
         (owner text, value text, fingerprint text, "sessionId" text, "expiresAt" bigint)
         JOIN ${schema}.sessions s ON s.id = k."sessionId" AND s.owner = k.owner COLLATE "C"
       ON CONFLICT DO NOTHING`,
      JSON.stringify(keys),
    );
    await written(keys.length);
  }

  /** All that there is of a session that nobody can find. */
  async function remove(session: number): Promise<void> {
    for (const table of ['turn_keys', 'placed_items', 'outcomes', 'turns']) {
      await run(`DELETE FROM ${schema}.${table} WHERE session = $1`, session);
    }
    await run(`DELETE FROM ${schema}.sessions WHERE sequence = $1 AND owner = ''`, session);
  }

  async function insert(
    table: string,
    columns: string,
    rows: readonly object[],
    conflict = '',
    overriding = '',
  ): Promise<void> {
    if (rows.length === 0) return;
    await run(
      `INSERT INTO ${schema}.${table} (${columns}) ${overriding}
       SELECT ${columns} FROM json_populate_recordset(NULL::${schema}.${table}, $1) ${conflict}`,
      JSON.stringify(rows),
    );
  }

  /** Between two sessions, where a transaction may end. */
  async function written(records: number): Promise<void> {
    uncommitted += records;
    if (uncommitted < AT_ONCE) return;
    uncommitted = 0;
    await run('COMMIT');
    await run('BEGIN');
  }

  async function run<Row>(sql: string, ...values: (string | number)[]): Promise<Row[]> {
    try {
      return (await client.query(sql, values)).rows as Row[];
    } catch (error) {
      throw asStoreError(error);
    }
  }
}

const KEPT_TABLES: Readonly<Record<KeptRecord['kind'], readonly [table: string, columns: string]>> = {
  client: [
    'clients',
    'id, name, rps, burst, concurrent_turns, tokens_per_minute, tokens_per_day, created_at, updated_at',
  ],
  key: ['api_keys', 'id, client, prefix, hash, note, created_at, expires_at, revoked_at, last_used_at'],
  bypass: ['bypass', 'network, note, created_at, expires_at'],
  stoppedProvider: ['stopped_providers', 'provider, note, stopped_at'],
  knownTool: ['known_tools', 'key, accepted, waiting, waiting_fingerprint'],
  audit: ['audit_log', 'id, at, action, subject, details'],
};

/** By the names of the columns. */
function keptRow({ kind, value }: KeptRecord): object {
  switch (kind) {
    case 'client': {
      const { id, name, limits, createdAt, updatedAt } = value;
      return {
        id,
        name: toText(name),
        rps: limits.rps,
        burst: limits.burst,
        concurrent_turns: limits.concurrentTurns,
        tokens_per_minute: limits.tokensPerMinute,
        tokens_per_day: limits.tokensPerDay,
        created_at: createdAt,
        updated_at: updatedAt,
      };
    }
    case 'key':
      return keyRow(value);
    case 'bypass': {
      const { network, note, createdAt, expiresAt: end } = value;
      return { network, note: note && toText(note), created_at: createdAt, expires_at: end };
    }
    case 'stoppedProvider':
      return {
        provider: value.provider,
        note: value.note && toText(value.note),
        stopped_at: value.stoppedAt,
      };
    case 'knownTool':
      return toolRow(value);
    case 'audit': {
      const { id, at, action, subject, details } = value;
      return { id, at, action, subject: toText(subject), details: JSON.stringify(details) };
    }
  }
}
