/**
 * Taking a whole store in, on SQLite. Steps are held back until there are enough of them for one transaction, which is
 * one sync. A session is written as one that was deleted, which nobody finds and a sweep removes, and gets its owner when
 * all of its turns are there.
 */

import { countPlaces, type Item, takesPlace } from '../../conversation/item.ts';
import type { Session } from '../../conversation/session.ts';
import { joinsConversation } from '../../conversation/turn.ts';
import type { AdminStore } from '../admin-store.ts';
import { elementsOf } from '../json-text.ts';
import type { KeptRecord, RestoreTarget } from '../portable-restore.ts';
import type { PortableSessionKey, PortableTurn, PortableTurnKey } from '../portable-store.ts';
import type { Database } from './database.ts';
import type { GroupCommit } from './group-commit.ts';
import { createSqliteKnownTools } from './known-tools.ts';
import { type createSqliteSessions, NOBODY } from './sessions.ts';
import type { createSqliteTurns } from './turns.ts';

export interface RestoreParts {
  sessions: ReturnType<typeof createSqliteSessions>;
  turns: ReturnType<typeof createSqliteTurns>;
  admin: AdminStore;
}

type Step = () => void;

/** Records after which a transaction is large enough to be worth its sync. */
const AT_ONCE = 1000;
/** UTF-16 units of turns that count as one more record. */
const TEXT_OF_RECORD = 2000;

/** A target for one restore. */
export function createSqliteRestore(
  database: Database,
  commits: GroupCommit,
  { sessions, turns, admin }: RestoreParts,
): RestoreTarget {
  const findOwner = database.prepare<[owner: string]>('SELECT owner FROM sessions WHERE id = ?');
  const removeLeft = database.prepare(`DELETE FROM sessions WHERE id = ? AND owner = '${NOBODY}'`);
  const insertTurnKey = database.prepare(
    `INSERT INTO turn_keys (session, key, fingerprint, turn, expires_at)
     SELECT ?1, ?2, ?3, t.sequence, ?4 FROM turns t WHERE t.id = ?5 AND t.session = ?1`,
  );
  const insertSessionKey = database.prepare(
    `INSERT OR IGNORE INTO session_keys (owner, key, fingerprint, session, expires_at)
     SELECT ?1, ?2, ?3, s.sequence, ?4 FROM sessions s WHERE s.id = ?5 AND s.owner = ?1`,
  );
  const addRecord = createKeptStatements(database);
  let held: Step[] = [];
  let heldWeight = 0;
  /** The session that was begun, once its step has run. */
  let current = 0;

  return {
    addKept: (records) => hold(records.length, () => records.forEach(addRecord)),
    async addUsage(totals) {
      await admin.saveUsage(totals);
    },
    beginSession,
    addTurns: (added) => {
      const rows = added.map(turnRow);
      const text = added.reduce(
        (sum, { input, output, record }) => sum + input.length + output.length + record.length,
        0,
      );
      const weight = rows.length + text / TEXT_OF_RECORD;
      return hold(weight, () => rows.forEach((row) => turns.restore(current, row)));
    },
    addTurnKeys: (keys) => hold(keys.length, () => keys.forEach(addTurnKey)),
    endSession: (session) => hold(1, () => sessions.attach(current, session, headOf(session))),
    // What was written is taken for a session that was deleted.
    dropSession: async () => undefined,
    addSessionKeys: (keys) => hold(keys.length, () => keys.forEach(addSessionKey)),
    finish: write,
    release: async () => undefined,
  };

  async function beginSession(session: Session): Promise<boolean> {
    const owner = await commits.read(() => findOwner.get(session.id)?.[0]);
    if (owner !== undefined && owner !== NOBODY) return false;
    await hold(1, () => {
      // What an import that was broken off has left, or a session that was deleted.
      removeLeft.run(session.id);
      current = sessions.insertDetached(session);
    });
    return true;
  }

  function addTurnKey({ turnId, value, fingerprint, expiresAt }: PortableTurnKey): void {
    const { changes } = insertTurnKey.run(current, value, fingerprint, expiresAt, turnId);
    if (changes === 0) throw new Error(`There is no turn ${turnId} before its key.`);
  }

  function addSessionKey({ owner, sessionId, value, fingerprint, expiresAt }: PortableSessionKey): void {
    insertSessionKey.run(owner, value, fingerprint, expiresAt, sessionId);
  }

  function headOf({ headTurnId }: Session): number | null {
    return turns.withId(current, headTurnId)?.sequence ?? null;
  }

  async function hold(weight: number, step: Step): Promise<void> {
    held.push(step);
    heldWeight += weight;
    if (heldWeight >= AT_ONCE) await write();
  }

  async function write(): Promise<void> {
    const [steps, before] = [held, current];
    held = [];
    heldWeight = 0;
    await commits.write(() => {
      // It may run again, when another connection's lock was in the way.
      current = before;
      for (const step of steps) step();
    });
  }
}

/** A turn as `restore` of turns.ts takes it. */
function turnRow(turn: PortableTurn) {
  const input = JSON.parse(turn.input) as Item[];
  const output = JSON.parse(turn.output) as Item[];
  return {
    ...turn,
    joins: joinsConversation({ status: turn.status, output }),
    places: countPlaces(input) + countPlaces(output),
    input: itemRows(input, turn.input),
    output: itemRows(output, turn.output),
  };
}

function itemRows(items: readonly Item[], text: string) {
  const texts = elementsOf(text);
  return items.map((item, index) => ({
    id: item.id,
    placed: takesPlace(item),
    json: texts[index] ?? '',
  }));
}

/** Adds what operators keep, unless there is something of that name. */
function createKeptStatements(database: Database): (record: KeptRecord) => void {
  const into = (table: string, columns: string) => {
    const values = columns.split(', ').map(() => '?');
    return database.prepare(`INSERT OR IGNORE INTO ${table} (${columns}) VALUES (${values.join(', ')})`);
  };
  const client = into(
    'clients',
    'id, name, rps, burst, concurrent_turns, tokens_per_minute, tokens_per_day, created_at, updated_at',
  );
  const key = into(
    'api_keys',
    'id, client, prefix, hash, note, created_at, expires_at, revoked_at, last_used_at',
  );
  const bypass = into('bypass', 'network, note, created_at, expires_at');
  const stopped = into('stopped_providers', 'provider, note, stopped_at');
  const audit = into('audit_log', 'id, at, action, subject, details');
  const tools = createSqliteKnownTools(database);

  return ({ kind, value }) => {
    switch (kind) {
      case 'client': {
        const { id, name, limits, createdAt, updatedAt } = value;
        const { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay } = limits;
        client.run(
          id,
          name,
          rps,
          burst,
          concurrentTurns,
          tokensPerMinute,
          tokensPerDay,
          createdAt,
          updatedAt,
        );
        return;
      }
      case 'key': {
        const { id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt } = value;
        key.run(id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt);
        return;
      }
      case 'bypass':
        bypass.run(value.network, value.note, value.createdAt, value.expiresAt);
        return;
      case 'stoppedProvider':
        stopped.run(value.provider, value.note, value.stoppedAt);
        return;
      case 'knownTool':
        tools.add(value);
        return;
      case 'audit':
        audit.run(value.id, value.at, value.action, value.subject, JSON.stringify(value.details));
    }
  };
}
