/**
 * What operators keep, on Redis: small hashes in one slot, so that every change is one script with its entry in the log.
 * What a script compares or keeps lies beside the JSON of a record, as a field of its own.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client } from '../../conversation/client.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import type { StoppedProvider } from '../../conversation/stopped-provider.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import type { Script } from '../../redis/script.ts';
import type { AdminStore } from '../admin-store.ts';
import {
  ADD_ENTRY,
  DELETE_CLIENT,
  DELETE_RECORD,
  LIST_KEYS,
  NOTE_KEY_USES,
  PAGE_OF_RECORDS,
  SAVE_CLIENT,
  SAVE_KEYS,
  SAVE_RECORD,
} from './admin-scripts.ts';
import type { createRedisEverybody } from './everybody.ts';
import type { Keyspace } from './keyspace.ts';
import { createRedisKnownTools } from './known-tools.ts';
import type { createRedisUsage } from './usage.ts';

/** A client without the time of its making, which is kept beside it. */
type ClientRecord = Omit<Client, 'createdAt'>;
/** What stays of a key, and what can change. */
type KeyRecord = Pick<ApiKey, 'id' | 'clientId' | 'prefix' | 'hash' | 'createdAt'>;
type KeyChange = Pick<ApiKey, 'note' | 'expiresAt'>;
/** What the rest of the store does for operators. */
export interface AdminParts {
  everybody: ReturnType<typeof createRedisEverybody>;
  usage: ReturnType<typeof createRedisUsage>;
  remove(owner: string, sessionId: string): Promise<boolean>;
}

type KeyValues = [record: string, change: string, revokedAt: string | null, lastUsedAt: string | null];

export function createRedisAdmin(
  connection: RedisConnection,
  { admin: base }: Keyspace,
  { everybody, usage, remove }: AdminParts,
): AdminStore {
  const named = (...names: string[]) => names.map((name) => base + name);
  const audit = named('audit', 'audit-ids');
  const clients = named('clients', 'client-ids', 'client-beginnings');
  const keys = named('keys', 'key-changes', 'key-revocations', 'key-uses');
  const bypass = named('bypass');
  const stopped = named('stopped-providers');
  const tools = createRedisKnownTools(connection, [`${base}known-tools`, `${base}waiting-tools`], change);

  return {
    saveClient: async ({ createdAt, ...client }, entry) => {
      await change(SAVE_CLIENT, clients, entry, [client.id, JSON.stringify(clientRecord(client)), createdAt]);
    },
    listClients: (page) => pageOf(clients, page, toClient),
    deleteClient: (clientId, revokedAt, entry) =>
      change(DELETE_CLIENT, [...clients, ...keys], entry, [clientId, revokedAt, base]),
    saveKeys: async (saved, entry) => {
      await change(SAVE_KEYS, keys, entry, [base, ...saved.flatMap(keyParameters)]);
    },
    async listKeys() {
      const found = await connection.run<KeyValues[]>(LIST_KEYS, keys, []);
      return found.map(toKey).sort((one, other) => (one.id < other.id ? -1 : 1));
    },
    async noteKeyUses(uses) {
      if (uses.size > 0) await connection.run(NOTE_KEY_USES, keys, [...uses].flat());
    },
    saveBypass: async (entry, auditEntry) => {
      await change(SAVE_RECORD, bypass, auditEntry, [entry.network, JSON.stringify(entry)]);
    },
    deleteBypass: (network, entry) => change(DELETE_RECORD, bypass, entry, [network]),
    listBypass: () => allOf(bypass, ({ network }: BypassEntry) => network),
    saveStoppedProvider: async (provider, entry) => {
      await change(SAVE_RECORD, stopped, entry, [provider.provider, JSON.stringify(provider)]);
    },
    deleteStoppedProvider: (provider, entry) => change(DELETE_RECORD, stopped, entry, [provider]),
    listStoppedProviders: () => allOf(stopped, ({ provider }: StoppedProvider) => provider),
    ownerOf: everybody.ownerOf,
    allSessions: everybody.sessions,
    deleteSessions,
    recentTurns: everybody.turns,
    findTurn: everybody.turn,
    saveUsage: usage.save,
    readUsage: usage.read,
    addKnownTools: tools.add,
    setWaitingTool: tools.setWaiting,
    acceptTool: tools.accept,
    forgetTool: tools.forget,
    listKnownTools: tools.list,
    saveAudit: async (entry) => {
      await change(ADD_ENTRY, [], entry, []);
    },
    listAudit: (page) =>
      pageOf([...audit, ...audit.slice(0, 1)], page, ([text]) => JSON.parse(text) as AuditEntry),
  };

  /** Makes the change with its entry; false if there was nothing to change. Rejects if the entry is there already. */
  async function change(
    script: Script,
    keys: readonly string[],
    entry: AuditEntry,
    parameters: readonly (string | number)[],
  ): Promise<boolean> {
    const { id, at, action, subject, details } = entry;
    const text = JSON.stringify({ id, at, action, subject, details } satisfies AuditEntry);
    return (await connection.run<0 | 1>(script, [...audit, ...keys], [id, text, ...parameters])) === 1;
  }

  /**
   * The log and the sessions are in different slots. The entry comes first: if it cannot be written nothing is deleted,
   * and there is no change without its entry. A crash in the middle leaves some of the sessions, and whoever deletes
   * them again finds those.
   */
  async function deleteSessions(
    owner: string,
    sessionIds: readonly string[],
    entry: AuditEntry,
  ): Promise<string[]> {
    const owners = await Promise.all(sessionIds.map((id) => everybody.ownerOf(id)));
    const there = sessionIds.filter((_, index) => owners[index] === owner);
    if (there.length === 0) return [];
    await change(ADD_ENTRY, [], entry, []);
    const removed = await Promise.all(there.map((id) => remove(owner, id)));
    return there.filter((_, index) => removed[index]);
  }

  /** Records that are few, in the order of their names. */
  async function allOf<Element>(
    [key = '']: readonly string[],
    nameOf: (element: Element) => string,
  ): Promise<Element[]> {
    const texts = await connection.send<string[]>(key, ['HVALS', key]);
    const found = texts.map((text) => JSON.parse(text) as Element);
    return found.sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  }

  /** A page of records by id, each with what is kept beside it. */
  async function pageOf<Element>(
    [records = '', ids = '', beside = '']: readonly string[],
    { limit, after, order }: PageRequest,
    of: (values: [record: string, beside: string]) => Element,
  ): Promise<Page<Element>> {
    // One record more tells whether there is another page.
    const parameters = [after ?? '', order, limit + 1];
    const found = await connection.run<[string, string][]>(
      PAGE_OF_RECORDS,
      [records, ids, beside],
      parameters,
    );
    return { data: found.slice(0, limit).map(of), hasMore: found.length > limit };
  }
}

/** Named one by one: a caller's object may hold more. */
export function clientRecord({ id, name, limits, updatedAt }: ClientRecord): ClientRecord {
  const { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay } = limits;
  return { id, name, limits: { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay }, updatedAt };
}

function toClient([record, createdAt]: [record: string, createdAt: string]): Client {
  const { updatedAt, ...client } = JSON.parse(record) as ClientRecord;
  return { ...client, createdAt: Number(createdAt), updatedAt };
}

/** As SAVE_KEYS takes them: six for each key. */
export function keyParameters(key: ApiKey): (string | number)[] {
  const { id, clientId, prefix, hash, note, createdAt, expiresAt, revokedAt, lastUsedAt } = key;
  const record: KeyRecord = { id, clientId, prefix, hash, createdAt };
  const change: KeyChange = { note, expiresAt };
  return [id, clientId, JSON.stringify(record), JSON.stringify(change), revokedAt ?? '', lastUsedAt ?? ''];
}

function toKey([record, change, revokedAt, lastUsedAt]: KeyValues): ApiKey {
  return {
    ...(JSON.parse(record) as KeyRecord),
    ...(JSON.parse(change) as KeyChange),
    revokedAt: revokedAt === null ? null : Number(revokedAt),
    lastUsedAt: lastUsedAt === null ? null : Number(lastUsedAt),
  };
}
