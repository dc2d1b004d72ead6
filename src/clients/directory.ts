/**
 * The directory: who is who. It holds all clients and keys in memory, so that a request's key is recognised without
 * asking the store, and brings every change to the store before it holds here. Texts of keys are handed out once,
 * when they are made, and kept nowhere.
 *
 * It does not limit, and knows nothing of HTTP; what a key may do is decided by whoever asks.
 */

import {
  type ApiKey,
  type AuditEntry,
  type Client,
  type ClientLimits,
  NO_LIMITS,
} from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { Page, PageRequest } from '../conversation/page.ts';
import { AppError } from '../errors.ts';
import type { AdminStore } from '../stores/admin-store.ts';
import { createKeyRing } from './key-ring.ts';
import { hashKey, keyPrefix, newKeyText } from './key-text.ts';
import { createKeyUses } from './key-uses.ts';

/** What is to be known of whoever sends a request. */
export type KnownClient = Pick<Client, 'id' | 'name' | 'limits'>;

export type Identity =
  | { kind: 'client'; client: KnownClient; keyId: string }
  | { kind: 'unknown' }
  | { kind: 'revoked' }
  | { kind: 'expired' };

/** A key as operators see it. */
export type ShownKey = Omit<ApiKey, 'hash'>;

export interface NewKey {
  key: ShownKey;
  /** The key itself, which cannot be had again. */
  text: string;
}

export interface KeySettings {
  note?: string | null;
  /** Milliseconds since the epoch; null = never. */
  expiresAt?: number | null;
}

export interface Directory {
  /** Whose key that is, or why it opens nothing. Any text may be asked for. */
  identify(keyText: string): Identity;
  /**
   * Whether there has never been a key, neither in the settings nor a managed one, so that nobody can be told from
   * anybody else. A key that was revoked or has expired keeps the server closed: taking away the last key must not
   * let everybody in.
   */
  isOpen(): boolean;
  /** How the owner of a session is called; null for one that is no client, or none any more. */
  nameOf(owner: string): string | null;

  listClients(page: PageRequest): Promise<Page<Client>>;
  createClient(client: { name: string; limits?: Partial<ClientLimits> }): Promise<Client>;
  /** Changes what is present, also of the limits. Throws `client_not_found`. */
  updateClient(clientId: string, change: { name?: string; limits?: Partial<ClientLimits> }): Promise<Client>;
  /** Deletes the client and revokes its keys; its sessions stay. Throws `client_not_found`. */
  deleteClient(clientId: string): Promise<void>;

  /** The client's keys in the order of their making, revoked ones included. Throws `client_not_found`. */
  listKeys(clientId: string): ShownKey[];
  /** Throws `client_not_found`. */
  createKey(clientId: string, settings?: KeySettings): Promise<NewKey>;
  /**
   * Makes a key in the place of another: of the same client, with its note, and good for as long as that one was
   * from its making. The old one is revoked when the grace is over.
   * Throws `key_not_found`, also for a key that is revoked: access that was taken away is not renewed.
   * @param graceSeconds how long both are good
   */
  rotateKey(keyId: string, graceSeconds?: number): Promise<NewKey>;
  /** From now on the key is refused; nothing happens to one that is already. Throws `key_not_found`. */
  revokeKey(keyId: string): Promise<void>;

  /** Reads all clients and keys anew: other servers may have changed them. */
  reload(): Promise<void>;
  /** Brings the last uses of keys to the store, and rejects if that cannot be. */
  close(): Promise<void>;
}

export interface DirectoryOptions {
  adminStore: AdminStore;
  /** Keys from the settings, each of a client of its own: `static:` and the name is its id. */
  staticKeys: readonly { name: string; key: string }[];
  /** Milliseconds since the epoch. */
  now?: () => number;
  /** Told once when the last uses of keys cannot be stored, and again only after it has worked in between. */
  onFailure?: (error: unknown) => void;
}

/** Clients that are read from the store at once, at the start. */
const PAGE = 1000;

/** Reads all clients and keys. Rejects with `store_unavailable` if they cannot be read. */
export async function createDirectory(options: DirectoryOptions): Promise<Directory> {
  const { adminStore, staticKeys, now = Date.now, onFailure = () => undefined } = options;
  const clients = new Map((await allClients(adminStore)).map((client) => [client.id, client]));
  const ring = createKeyRing(await adminStore.listKeys(), staticKeys);
  const uses = createKeyUses(adminStore, onFailure);
  let lastChange: Promise<unknown> = Promise.resolve();

  return {
    identify,
    isOpen: ring.isEmpty,
    nameOf: (owner) => clients.get(owner)?.name ?? ring.staticName(owner) ?? null,
    listClients: (page) => adminStore.listClients(page),
    createClient: (client) => inTurn(() => createClient(client)),
    updateClient: (clientId, change) => inTurn(() => updateClient(clientId, change)),
    deleteClient: (clientId) => inTurn(() => deleteClient(clientId)),
    listKeys: (clientId) => ring.ofClient(clientOf(clientId).id).map(shown),
    createKey: (clientId, settings = {}) => inTurn(() => createKey(clientId, settings)),
    rotateKey: (keyId, graceSeconds = 0) => inTurn(() => rotateKey(keyId, graceSeconds)),
    revokeKey: (keyId) => inTurn(() => revokeKey(keyId)),
    reload: () => inTurn(reload),
    async close() {
      await lastChange;
      await uses.close();
    },
  };

  function identify(keyText: string): Identity {
    const found = ring.find(keyText);
    if (found === undefined) return { kind: 'unknown' };
    if (found.kind === 'static') {
      const { id, name } = found;
      return { kind: 'client', client: { id, name, limits: NO_LIMITS }, keyId: id };
    }
    const { key } = found;
    const at = now();
    if (isRevoked(key, at)) return { kind: 'revoked' };
    if (key.expiresAt !== null && key.expiresAt <= at) return { kind: 'expired' };
    const client = clients.get(key.clientId);
    if (client === undefined) return { kind: 'revoked' };
    key.lastUsedAt = at;
    uses.note(key.id, at);
    const { id, name, limits } = client;
    return { kind: 'client', client: { id, name, limits }, keyId: key.id };
  }

  async function reload(): Promise<void> {
    const [all, keys] = [await allClients(adminStore), await adminStore.listKeys()];
    clients.clear();
    for (const client of all) clients.set(client.id, client);
    ring.update(keys);
  }

  /** One change after another: each begins with what the one before has left. */
  function inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const done = lastChange.then(change);
    lastChange = done.catch(() => undefined);
    return done;
  }

  async function createClient(given: { name: string; limits?: Partial<ClientLimits> }): Promise<Client> {
    const at = now();
    const limits = { ...NO_LIMITS, ...given.limits };
    const client: Client = { id: newId(), name: given.name, limits, createdAt: at, updatedAt: at };
    await adminStore.saveClient(client, audit('client.create', client.id, { name: client.name, limits }));
    clients.set(client.id, client);
    return client;
  }

  async function updateClient(
    clientId: string,
    change: { name?: string; limits?: Partial<ClientLimits> },
  ): Promise<Client> {
    const before = clientOf(clientId);
    const { name = before.name } = change;
    const limits = { ...before.limits, ...change.limits };
    const client: Client = { ...before, name, limits, updatedAt: now() };
    await adminStore.saveClient(client, audit('client.update', clientId, { name, limits }));
    clients.set(clientId, client);
    return client;
  }

  async function deleteClient(clientId: string): Promise<void> {
    const { name } = clientOf(clientId);
    const at = now();
    // Nothing to delete is what an earlier try has left that was told of a failure: then it is to hold here as well.
    await adminStore.deleteClient(clientId, at, audit('client.delete', clientId, { name }));
    for (const key of ring.ofClient(clientId)) if (!isRevoked(key, at)) key.revokedAt = at;
    clients.delete(clientId);
  }

  async function createKey(clientId: string, settings: KeySettings): Promise<NewKey> {
    clientOf(clientId);
    const { note = null, expiresAt = null } = settings;
    const { key, text } = newKey({ clientId, note, expiresAt });
    const details = { client_id: clientId, prefix: key.prefix, note, expires_at: expiresAt };
    await adminStore.saveKeys([key], audit('key.create', key.id, details));
    ring.add(key);
    return { key: shown(key), text };
  }

  async function rotateKey(keyId: string, graceSeconds: number): Promise<NewKey> {
    const old = keyOf(keyId);
    const at = now();
    if (isRevoked(old, at)) throw new AppError('key_not_found');
    const { clientId, note } = old;
    const expiresAt = old.expiresAt === null ? null : at + (old.expiresAt - old.createdAt);
    const end = at + graceSeconds * 1000;
    const revokedAt = old.revokedAt === null ? end : Math.min(old.revokedAt, end);
    const { key, text } = newKey({ clientId, note, expiresAt });
    const details = { client_id: clientId, by: key.id, prefix: key.prefix, grace_seconds: graceSeconds };
    await adminStore.saveKeys([{ ...old, revokedAt }, key], audit('key.rotate', keyId, details));
    old.revokedAt = revokedAt;
    ring.add(key);
    return { key: shown(key), text };
  }

  async function revokeKey(keyId: string): Promise<void> {
    const key = keyOf(keyId);
    const at = now();
    if (isRevoked(key, at)) return;
    const details = { client_id: key.clientId, prefix: key.prefix };
    await adminStore.saveKeys([{ ...key, revokedAt: at }], audit('key.revoke', keyId, details));
    key.revokedAt = at;
  }

  function newKey(given: Pick<ApiKey, 'clientId' | 'note' | 'expiresAt'>): { key: ApiKey; text: string } {
    const text = newKeyText();
    const made = { id: newId(), prefix: keyPrefix(text), hash: hashKey(text), createdAt: now() };
    return { key: { ...made, ...given, revokedAt: null, lastUsedAt: null }, text };
  }

  function clientOf(clientId: string): Client {
    const client = clients.get(clientId);
    if (client === undefined) throw new AppError('client_not_found');
    return client;
  }

  function keyOf(keyId: string): ApiKey {
    const key = ring.withId(keyId);
    if (key === undefined) throw new AppError('key_not_found');
    return key;
  }

  function audit(action: string, subject: string, details: AuditEntry['details']): AuditEntry {
    return { id: newId(), at: now(), action, subject, details };
  }
}

function isRevoked({ revokedAt }: ApiKey, at: number): boolean {
  return revokedAt !== null && revokedAt <= at;
}

/** Field by field, so that what is added to keys one day is not shown unless somebody means to. */
function shown(key: ApiKey): ShownKey {
  const { id, clientId, prefix, note, createdAt, expiresAt, revokedAt, lastUsedAt } = key;
  return { id, clientId, prefix, note, createdAt, expiresAt, revokedAt, lastUsedAt };
}

async function allClients(adminStore: AdminStore): Promise<Client[]> {
  const all: Client[] = [];
  for (let after: string | null = null; ; ) {
    const { data, hasMore }: Page<Client> = await adminStore.listClients({
      limit: PAGE,
      after,
      order: 'asc',
    });
    all.push(...data);
    if (!hasMore) return all;
    after = data.at(-1)?.id ?? null;
  }
}
