/**
 * What operators keep, on PostgreSQL: each change and its entry in the log are one statement. What they see of sessions
 * and turns is in everybody.ts, usage in usage.ts.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client } from '../../conversation/client.ts';
import type { KnownTool, ToolSight } from '../../conversation/known-tool.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import type { StoppedProvider } from '../../conversation/stopped-provider.ts';
import type { AdminStore } from '../admin-store.ts';
import { acceptedJson, byServerAndName, parseTool, sightJson, toolKey } from '../known-tool-json.ts';
import type { Connections, Statement, Value } from './connections.ts';
import { createPostgresEverybody } from './everybody.ts';
import { fromText, toText } from './rows.ts';
import { createPostgresUsage } from './usage.ts';

interface ClientRow {
  id: string;
  name: string;
  rps: number | null;
  burst: number | null;
  concurrent_turns: number | null;
  tokens_per_minute: number | null;
  tokens_per_day: number | null;
  created_at: number;
  updated_at: number;
}

interface KeyRow {
  id: string;
  client: string;
  prefix: string;
  hash: string;
  note: string | null;
  created_at: number;
  expires_at: number | null;
  revoked_at: number | null;
  last_used_at: number | null;
}

interface BypassRow {
  network: string;
  note: string | null;
  created_at: number;
  expires_at: number | null;
}

interface StoppedProviderRow {
  provider: string;
  note: string | null;
  stopped_at: number;
}

interface ToolRow {
  key: string;
  /** JSON texts. */
  accepted: string;
  waiting: string | null;
  waiting_fingerprint: string | null;
}

interface AuditRow {
  id: string;
  at: number;
  action: string;
  subject: string;
  details: string;
}

const CLIENT_COLUMNS =
  'id, name, rps, burst, concurrent_turns, tokens_per_minute, tokens_per_day, created_at, updated_at';
const KEY_COLUMNS = 'id, client, prefix, hash, note, created_at, expires_at, revoked_at, last_used_at';
const BYPASS_COLUMNS = 'network, note, created_at, expires_at';
const STOPPED_PROVIDER_COLUMNS = 'provider, note, stopped_at';
const AUDIT_COLUMNS = 'id, at, action, subject, details';

/** @param schema its quoted name */
export function createPostgresAdmin(connections: Connections, schema: string): AdminStore {
  const { run, one } = connections;
  const everybody = createPostgresEverybody(connections, schema);
  const usage = createPostgresUsage(connections, schema);
  const putClient = audited(
    'save_client',
    9,
    `INSERT INTO ${schema}.clients (${CLIENT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (id) DO UPDATE SET name = excluded.name, rps = excluded.rps, burst = excluded.burst,
       concurrent_turns = excluded.concurrent_turns, tokens_per_minute = excluded.tokens_per_minute,
       tokens_per_day = excluded.tokens_per_day, updated_at = excluded.updated_at`,
  );
  const removeClient = audited(
    'delete_client',
    2,
    `DELETE FROM ${schema}.clients WHERE id = $1`,
    `, revoked AS (UPDATE ${schema}.api_keys SET revoked_at = $2
       WHERE client = $1 AND (revoked_at IS NULL OR revoked_at > $2) AND EXISTS (SELECT FROM change))`,
  );
  const putKeys = audited(
    'save_keys',
    1,
    `INSERT INTO ${schema}.api_keys (${KEY_COLUMNS})
     SELECT ${KEY_COLUMNS} FROM json_populate_recordset(NULL::${schema}.api_keys, $1)
     ON CONFLICT (id) DO UPDATE SET note = excluded.note, expires_at = excluded.expires_at,
       revoked_at = excluded.revoked_at`,
  );
  const allKeys: Statement<KeyRow> = {
    name: 'list_keys',
    text: `SELECT ${KEY_COLUMNS} FROM ${schema}.api_keys ORDER BY id`,
  };
  // In the order of their ids, so that two servers that note the same keys wait for each other and not in a circle.
  const noteUses: Statement<never> = {
    name: 'note_key_uses',
    text: `WITH used AS (
        SELECT k.id, u.at FROM unnest($1::text[], $2::bigint[]) AS u (id, at)
          JOIN ${schema}.api_keys k ON k.id = u.id ORDER BY k.id FOR UPDATE OF k
      )
      UPDATE ${schema}.api_keys k SET last_used_at = used.at
      FROM used WHERE k.id = used.id AND (k.last_used_at IS NULL OR k.last_used_at < used.at)`,
  };
  const putBypass = audited(
    'save_bypass',
    4,
    `INSERT INTO ${schema}.bypass (${BYPASS_COLUMNS}) VALUES ($1, $2, $3, $4)
     ON CONFLICT (network) DO UPDATE SET note = excluded.note, created_at = excluded.created_at,
       expires_at = excluded.expires_at`,
  );
  const removeBypass = audited('delete_bypass', 1, `DELETE FROM ${schema}.bypass WHERE network = $1`);
  const allBypass: Statement<BypassRow> = {
    name: 'list_bypass',
    text: `SELECT ${BYPASS_COLUMNS} FROM ${schema}.bypass ORDER BY network`,
  };

  const putStopped = audited(
    'save_stopped_provider',
    3,
    `INSERT INTO ${schema}.stopped_providers (${STOPPED_PROVIDER_COLUMNS}) VALUES ($1, $2, $3)
     ON CONFLICT (provider) DO UPDATE SET note = excluded.note, stopped_at = excluded.stopped_at`,
  );
  const removeStopped = audited(
    'delete_stopped_provider',
    1,
    `DELETE FROM ${schema}.stopped_providers WHERE provider = $1`,
  );
  const allStopped: Statement<StoppedProviderRow> = {
    name: 'list_stopped_providers',
    text: `SELECT ${STOPPED_PROVIDER_COLUMNS} FROM ${schema}.stopped_providers ORDER BY provider`,
  };
  const addTools: Statement<never> = {
    name: 'add_known_tools',
    text: `INSERT INTO ${schema}.known_tools (key, accepted, waiting, waiting_fingerprint)
      SELECT key, accepted, waiting, waiting_fingerprint
      FROM json_populate_recordset(NULL::${schema}.known_tools, $1) ORDER BY key ON CONFLICT DO NOTHING`,
  };
  const setWaiting: Statement<never> = {
    name: 'set_waiting_tool',
    text: `UPDATE ${schema}.known_tools SET waiting = $2, waiting_fingerprint = $3 WHERE key = $1`,
  };
  const findWaiting: Statement<{ waiting: string }> = {
    name: 'find_waiting_tool',
    text: `SELECT waiting FROM ${schema}.known_tools WHERE key = $1 AND waiting_fingerprint = $2`,
  };
  const acceptWaiting = audited(
    'accept_tool',
    3,
    `UPDATE ${schema}.known_tools SET accepted = $3, waiting = NULL, waiting_fingerprint = NULL
     WHERE key = $1 AND waiting = $2`,
  );
  const removeTool = audited('forget_tool', 1, `DELETE FROM ${schema}.known_tools WHERE key = $1`);
  const allTools: Statement<Pick<ToolRow, 'accepted' | 'waiting'>> = {
    name: 'list_known_tools',
    text: `SELECT accepted, waiting FROM ${schema}.known_tools`,
  };
  const deleteAll: Statement<{ deleted: string }> = {
    name: 'delete_sessions_1',
    text: `SELECT to_json(${schema}.delete_sessions_1($1, $2, $3, $4, $5, $6, $7))::text AS deleted`,
  };
  const putEntry: Statement<never> = {
    name: 'save_audit',
    text: `INSERT INTO ${schema}.audit_log (${AUDIT_COLUMNS}) VALUES ($1, $2, $3, $4, $5)`,
  };

  return {
    async saveClient({ id, name, limits, createdAt, updatedAt }, entry) {
      const { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay } = limits;
      const values = [id, toText(name), rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay];
      await change(putClient, entry, ...values, createdAt, updatedAt);
    },
    listClients: async (page) => mapped(await pageOf<ClientRow>('clients', CLIENT_COLUMNS, page), toClient),
    deleteClient: (clientId, revokedAt, entry) => change(removeClient, entry, clientId, revokedAt),
    async saveKeys(keys, entry) {
      await change(putKeys, entry, JSON.stringify(keys.map(keyRow)));
    },
    listKeys: async () => (await run(allKeys)).map(toKey),
    async noteKeyUses(uses) {
      await run(noteUses, [...uses.keys()], [...uses.values()].map(String));
    },
    async saveBypass({ network, note, createdAt, expiresAt }, entry) {
      await change(putBypass, entry, network, note && toText(note), createdAt, expiresAt);
    },
    deleteBypass: (network, entry) => change(removeBypass, entry, network),
    listBypass: async () => (await run(allBypass)).map(toBypass),
    async saveStoppedProvider({ provider, note, stoppedAt }, entry) {
      await change(putStopped, entry, provider, note && toText(note), stoppedAt);
    },
    deleteStoppedProvider: (provider, entry) => change(removeStopped, entry, provider),
    listStoppedProviders: async () => (await run(allStopped)).map(toStoppedProvider),
    async addKnownTools(tools) {
      await run(addTools, JSON.stringify(tools.map(toolRow)));
    },
    async setWaitingTool(server, name, waiting) {
      const key = toolKey({ server, name });
      await run(setWaiting, key, waiting && sightJson(waiting), waiting?.fingerprint ?? null);
    },
    async acceptTool(server, name, fingerprint, entry) {
      const key = toolKey({ server, name });
      const [row] = await run(findWaiting, key, fingerprint);
      if (row === undefined) return false;
      const accepted = JSON.parse(row.waiting) as ToolSight;
      const record = acceptedJson({ server, name, accepted, waiting: null });
      return change(acceptWaiting, entry, key, row.waiting, record);
    },
    forgetTool: (server, name, entry) => change(removeTool, entry, toolKey({ server, name })),
    async listKnownTools() {
      const rows = await run(allTools);
      return rows.map(({ accepted, waiting }) => parseTool(accepted, waiting)).sort(byServerAndName);
    },
    ownerOf: everybody.ownerOf,
    allSessions: everybody.sessions,
    async deleteSessions(owner, sessionIds, entry) {
      const { deleted } = await one(deleteAll, owner, sessionIds, ...entryValues(entry));
      const gone = new Set(JSON.parse(deleted) as string[]);
      return sessionIds.filter((sessionId) => gone.has(sessionId));
    },
    recentTurns: everybody.turns,
    findTurn: everybody.turn,
    saveUsage: usage.save,
    readUsage: usage.read,
    async saveAudit(entry) {
      await run(putEntry, ...entryValues(entry));
    },
    listAudit: async (page) => mapped(await pageOf<AuditRow>('audit_log', AUDIT_COLUMNS, page), toAudit),
  };

  /** Whether there was something to change; only then there is an entry. */
  async function change(
    statement: Statement<unknown>,
    entry: AuditEntry,
    ...values: Value[]
  ): Promise<boolean> {
    const rows = await run(statement, ...values, ...entryValues(entry));
    return rows.length > 0;
  }

  /** The change's own parameters come first, those of the entry behind them; a second change may look at the first. */
  function audited(name: string, parameters: number, sql: string, second = ''): Statement<unknown> {
    const entry = [1, 2, 3, 4, 5].map((index) => `$${parameters + index}`);
    const [id, at, action, subject, details] = entry;
    return {
      name,
      text: `WITH change AS (${sql} RETURNING 1)${second}
        INSERT INTO ${schema}.audit_log (${AUDIT_COLUMNS})
        SELECT ${id}::text, ${at}::bigint, ${action}::text, ${subject}::text, ${details}::text
        WHERE EXISTS (SELECT FROM change) RETURNING id`,
    };
  }

  /** A page of a table by id. One row more than asked for tells whether there is another page. */
  async function pageOf<Row>(
    table: string,
    columns: string,
    { limit, after, order }: PageRequest,
  ): Promise<Page<Row>> {
    const condition = after === null ? '' : `WHERE id ${order === 'asc' ? '>' : '<'} $2`;
    const statement: Statement<Row> = {
      name: `list_${table}_${after === null ? 'first' : 'after'}_${order}`,
      text: `SELECT ${columns} FROM ${schema}.${table} ${condition} ORDER BY id ${order} LIMIT $1`,
    };
    const rows = await run(statement, limit + 1, ...(after === null ? [] : [after]));
    return { data: rows.slice(0, limit), hasMore: rows.length > limit };
  }
}

function mapped<Row, Element>({ data, hasMore }: Page<Row>, of: (row: Row) => Element): Page<Element> {
  return { data: data.map(of), hasMore };
}

function toClient(row: ClientRow): Client {
  const limits = {
    rps: row.rps,
    burst: row.burst,
    concurrentTurns: row.concurrent_turns,
    tokensPerMinute: row.tokens_per_minute,
    tokensPerDay: row.tokens_per_day,
  };
  const { id, name, created_at: createdAt, updated_at: updatedAt } = row;
  return { id, name: fromText(name), limits, createdAt, updatedAt };
}

export function keyRow({ id, clientId, prefix, hash, note, ...times }: ApiKey): KeyRow {
  return {
    id,
    client: clientId,
    prefix,
    hash,
    note: note && toText(note),
    created_at: times.createdAt,
    expires_at: times.expiresAt,
    revoked_at: times.revokedAt,
    last_used_at: times.lastUsedAt,
  };
}

function toKey(row: KeyRow): ApiKey {
  const { id, client: clientId, prefix, hash, note } = row;
  return {
    id,
    clientId,
    prefix,
    hash,
    note: note && fromText(note),
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
  };
}

function toBypass({ network, note, created_at: createdAt, expires_at: expiresAt }: BypassRow): BypassEntry {
  return { network, note: note && fromText(note), createdAt, expiresAt };
}

function toStoppedProvider({ provider, note, stopped_at: stoppedAt }: StoppedProviderRow): StoppedProvider {
  return { provider, note: note && fromText(note), stoppedAt };
}

export function toolRow(tool: KnownTool): ToolRow {
  const { waiting } = tool;
  return {
    key: toolKey(tool),
    accepted: acceptedJson(tool),
    waiting: waiting && sightJson(waiting),
    waiting_fingerprint: waiting?.fingerprint ?? null,
  };
}

/** The parameters of an entry in the log. */
function entryValues({ id, at, action, subject, details }: AuditEntry): Value[] {
  return [id, at, action, toText(subject), JSON.stringify(details)];
}

function toAudit({ id, at, action, subject, details }: AuditRow): AuditEntry {
  return {
    id,
    at,
    action,
    subject: fromText(subject),
    details: JSON.parse(details) as AuditEntry['details'],
  };
}
