/**
 * What operators keep, on SQLite: tables that nothing else reads, in the same transactions as everything else. What
 * they see of sessions and turns is in everybody.ts, usage in usage.ts.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client } from '../../conversation/client.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import type { StoppedProvider } from '../../conversation/stopped-provider.ts';
import type { AdminStore } from '../admin-store.ts';
import type { Database, Value } from './database.ts';
import { createSqliteEverybody } from './everybody.ts';
import type { GroupCommit } from './group-commit.ts';
import { createSqliteKnownTools } from './known-tools.ts';
import { createSqliteUsage } from './usage.ts';

type ClientRow = [
  id: string,
  name: string,
  rps: number | null,
  burst: number | null,
  concurrentTurns: number | null,
  tokensPerMinute: number | null,
  tokensPerDay: number | null,
  createdAt: number,
  updatedAt: number,
];
type KeyRow = [
  id: string,
  clientId: string,
  prefix: string,
  hash: string,
  note: string | null,
  createdAt: number,
  expiresAt: number | null,
  revokedAt: number | null,
  lastUsedAt: number | null,
];
type BypassRow = [network: string, note: string | null, createdAt: number, expiresAt: number | null];
type StoppedProviderRow = [provider: string, note: string | null, stoppedAt: number];
type AuditRow = [id: string, at: number, action: string, subject: string, details: string];

const CLIENT_COLUMNS =
  'id, name, rps, burst, concurrent_turns, tokens_per_minute, tokens_per_day, created_at, updated_at';
const KEY_COLUMNS = 'id, client, prefix, hash, note, created_at, expires_at, revoked_at, last_used_at';
const BYPASS_COLUMNS = 'network, note, created_at, expires_at';
const STOPPED_PROVIDER_COLUMNS = 'provider, note, stopped_at';
const AUDIT_COLUMNS = 'id, at, action, subject, details';

/**
 * The admin store on a database that is up to date, whose other tables may be written to by the same commits.
 * @param removeSession deletes one, as a step inside a transaction; false if the owner has none of that id
 */
export function createSqliteAdmin(
  database: Database,
  commits: GroupCommit,
  removeSession: (owner: string, sessionId: string) => boolean,
): AdminStore {
  const everybody = createSqliteEverybody(database);
  const usage = createSqliteUsage(database, commits);
  const tools = createSqliteKnownTools(database);
  const putClient = database.prepare(
    `INSERT INTO clients (${CLIENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, rps = excluded.rps, burst = excluded.burst,
       concurrent_turns = excluded.concurrent_turns, tokens_per_minute = excluded.tokens_per_minute,
       tokens_per_day = excluded.tokens_per_day, updated_at = excluded.updated_at`,
  );
  const removeClient = database.prepare('DELETE FROM clients WHERE id = ?');
  const revokeKeysOf = database.prepare(
    `UPDATE api_keys SET revoked_at = ?1 WHERE client = ?2 AND (revoked_at IS NULL OR revoked_at > ?1)`,
  );
  const putKey = database.prepare(
    `INSERT INTO api_keys (${KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET note = excluded.note, expires_at = excluded.expires_at,
       revoked_at = excluded.revoked_at`,
  );
  const allKeys = database.prepare<KeyRow>(`SELECT ${KEY_COLUMNS} FROM api_keys ORDER BY id`);
  const noteUse = database.prepare(
    `UPDATE api_keys SET last_used_at = ?1 WHERE id = ?2 AND (last_used_at IS NULL OR last_used_at < ?1)`,
  );
  const putBypass = database.prepare(`INSERT OR REPLACE INTO bypass (${BYPASS_COLUMNS}) VALUES (?, ?, ?, ?)`);
  const removeBypass = database.prepare('DELETE FROM bypass WHERE network = ?');
  const allBypass = database.prepare<BypassRow>(`SELECT ${BYPASS_COLUMNS} FROM bypass ORDER BY network`);
  const putStopped = database.prepare(
    `INSERT OR REPLACE INTO stopped_providers (${STOPPED_PROVIDER_COLUMNS}) VALUES (?, ?, ?)`,
  );
  const removeStopped = database.prepare('DELETE FROM stopped_providers WHERE provider = ?');
  const allStopped = database.prepare<StoppedProviderRow>(
    `SELECT ${STOPPED_PROVIDER_COLUMNS} FROM stopped_providers ORDER BY provider`,
  );
  const addAudit = database.prepare(`INSERT INTO audit_log (${AUDIT_COLUMNS}) VALUES (?, ?, ?, ?, ?)`);
  const pageOfClients = createPages<ClientRow>(database, 'clients', CLIENT_COLUMNS);
  const pageOfAudit = createPages<AuditRow>(database, 'audit_log', AUDIT_COLUMNS);

  return {
    saveClient: (client, entry) => change(entry, () => saveClient(client)),
    listClients: (page) => commits.read(() => mapped(pageOfClients(page), toClient)),
    deleteClient: (clientId, revokedAt, entry) => change(entry, () => deleteClient(clientId, revokedAt)),
    saveKeys: (keys, entry) => change(entry, () => keys.forEach(saveKey)),
    listKeys: () => commits.read(() => allKeys.all().map(toKey)),
    noteKeyUses: (uses) => commits.write(() => uses.forEach((at, keyId) => void noteUse.run(at, keyId))),
    saveBypass: (bypass, entry) => change(entry, () => saveBypass(bypass)),
    deleteBypass: (network, entry) => change(entry, () => removeBypass.run(network).changes > 0),
    listBypass: () => commits.read(() => allBypass.all().map(toBypass)),
    ownerOf: (sessionId) => commits.read(() => everybody.ownerOf(sessionId)),
    allSessions: (page) => commits.read(() => everybody.sessions(page)),
    deleteSessions: (owner, sessionIds, entry) =>
      change(entry, () => deleteSessions(owner, sessionIds), isAny),
    recentTurns: (query) => commits.read(() => everybody.turns(query)),
    findTurn: (turnId) => commits.read(() => everybody.turn(turnId)),
    saveUsage: (totals) => commits.write(() => usage.save(totals)),
    readUsage: usage.read,
    saveStoppedProvider: ({ provider, note, stoppedAt }, entry) =>
      change(entry, () => void putStopped.run(provider, note, stoppedAt)),
    deleteStoppedProvider: (provider, entry) => change(entry, () => removeStopped.run(provider).changes > 0),
    listStoppedProviders: () => commits.read(() => allStopped.all().map(toStoppedProvider)),
    addKnownTools: (known) => commits.write(() => known.forEach(tools.add)),
    setWaitingTool: (...given) => commits.write(() => tools.setWaiting(...given)),
    acceptTool: (server, name, fingerprint, entry) =>
      change(entry, () => tools.accept(server, name, fingerprint)),
    forgetTool: (server, name, entry) => change(entry, () => tools.forget(server, name)),
    listKnownTools: () => commits.read(tools.list),
    saveAudit: (entry) => change(entry, () => undefined),
    listAudit: (page) => commits.read(() => mapped(pageOfAudit(page), toAudit)),
  };

  /** Writes the entry with its change, unless the result says that there was nothing to change. */
  function change<Result>(
    entry: AuditEntry,
    operation: () => Result,
    isChange: (result: Result) => boolean = (result) => result !== false,
  ): Promise<Result> {
    const { id, at, action, subject, details } = entry;
    return commits.write(() => {
      const result = operation();
      if (isChange(result)) addAudit.run(id, at, action, subject, JSON.stringify(details));
      return result;
    });
  }

  function saveClient({ id, name, limits, createdAt, updatedAt }: Client): void {
    const { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay } = limits;
    putClient.run(id, name, rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay, createdAt, updatedAt);
  }

  function deleteClient(clientId: string, revokedAt: number): boolean {
    const isGone = removeClient.run(clientId).changes > 0;
    if (isGone) revokeKeysOf.run(revokedAt, clientId);
    return isGone;
  }

  function deleteSessions(owner: string, sessionIds: readonly string[]): string[] {
    return sessionIds.filter((sessionId) => removeSession(owner, sessionId));
  }

  function saveKey(key: ApiKey): void {
    const { id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt } = key;
    putKey.run(id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt);
  }

  function saveBypass({ network, note, createdAt, expiresAt }: BypassEntry): void {
    putBypass.run(network, note, createdAt, expiresAt);
  }
}

/** Pages of a table by id. One row more than asked for tells whether there is another page. */
function createPages<Row extends readonly Value[]>(database: Database, table: string, columns: string) {
  const statement = (condition: string, order: string) =>
    database.prepare<Row>(`SELECT ${columns} FROM ${table} ${condition} ORDER BY id ${order} LIMIT ?`);
  const statements = {
    asc: { first: statement('', 'ASC'), next: statement('WHERE id > ?', 'ASC') },
    desc: { first: statement('', 'DESC'), next: statement('WHERE id < ?', 'DESC') },
  };
  return ({ limit, after, order }: PageRequest): Page<Row> => {
    const { first, next } = statements[order];
    const rows = after === null ? first.all(limit + 1) : next.all(after, limit + 1);
    return { data: rows.slice(0, limit), hasMore: rows.length > limit };
  };
}

function isAny(elements: readonly unknown[]): boolean {
  return elements.length > 0;
}

function mapped<Row, Element>({ data, hasMore }: Page<Row>, of: (row: Row) => Element): Page<Element> {
  return { data: data.map(of), hasMore };
}

function toClient(row: ClientRow): Client {
  const [id, name, rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay, createdAt, updatedAt] = row;
  const limits = { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay };
  return { id, name, limits, createdAt, updatedAt };
}

function toKey(row: KeyRow): ApiKey {
  const [id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt] = row;
  return { id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt };
}

function toBypass([network, note, createdAt, expiresAt]: BypassRow): BypassEntry {
  return { network, note, createdAt, expiresAt };
}

function toStoppedProvider([provider, note, stoppedAt]: StoppedProviderRow): StoppedProvider {
  return { provider, note, stoppedAt };
}

function toAudit([id, at, action, subject, details]: AuditRow): AuditEntry {
  return { id, at, action, subject, details: JSON.parse(details) as AuditEntry['details'] };
}
