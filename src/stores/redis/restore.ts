/**
 * Taking a whole store in, on Redis. The turns of a session are written before it, as in sessions.ts: nobody sees them
 * while it is not there, and if it never comes the sweep removes them.
 */

import { countPlaces, type Item } from '../../conversation/item.ts';
import type { Session } from '../../conversation/session.ts';
import { joinsConversation } from '../../conversation/turn.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import type { KeptRecord, RestoreTarget } from '../portable-restore.ts';
import type { PortableSessionKey, PortableTurn, PortableTurnKey } from '../portable-store.ts';
import { createTurnTree } from '../turn-tree.ts';
import { clientRecord, keyParameters } from './admin.ts';
import { ADD_TOOLS } from './admin-scripts.ts';
import type { createRedisEverybody } from './everybody.ts';
import { type Keyspace, sessionKeys } from './keyspace.ts';
import { toolParameters } from './known-tools.ts';
import { endText, placeText } from './records.ts';
import {
  ADD_CLIENTS,
  ADD_ENTRIES,
  ADD_KEYS,
  ADD_RECORDS,
  ADD_SESSION_KEY,
  ADD_TURNS,
} from './restore-scripts.ts';
import type { createRedisSessions } from './sessions.ts';
import { placedIds } from './turns.ts';
import type { createRedisUsage } from './usage.ts';

export interface RestoreParts {
  everybody: ReturnType<typeof createRedisEverybody>;
  sessions: ReturnType<typeof createRedisSessions>;
  usage: ReturnType<typeof createRedisUsage>;
}

/** Milliseconds: a sweep takes whoever was silent for a minute to be dead (sweep.ts). */
const KEEP_EVERY = 15_000;

/** A target for one restore. */
export function createRedisRestore(
  connection: RedisConnection,
  keyspace: Keyspace,
  { everybody, sessions, usage }: RestoreParts,
): RestoreTarget {
  /** Of the session that was begun. */
  let tree = createTurnTree();
  let turnCount = 0;
  /** Tells the sweeps of servers, while records of it come, that it is still to be added. */
  let keeping: NodeJS.Timeout | undefined;

  return {
    addKept,
    addUsage: usage.save,
    beginSession,
    addTurns,
    addTurnKeys,
    async endSession(session) {
      await sessions.addStaged(session, turnCount);
      clearInterval(keeping);
    },
    // Its turns are taken for those of a session that nobody came to make.
    dropSession: async () => clearInterval(keeping),
    addSessionKeys: async (keys) => {
      await Promise.all(keys.map(addSessionKey));
    },
    finish: async () => undefined,
    release: async () => clearInterval(keeping),
  };

  async function addKept(records: readonly KeptRecord[]): Promise<void> {
    for (const [kind, some] of Map.groupBy(records, (record) => record.kind)) {
      const { script, keys, first } = KEPT[kind];
      const { admin: base } = keyspace;
      const parameters = [...(first ? [base] : []), ...some.flatMap(keptParameters)];
      await connection.run(
        script,
        keys.map((key) => base + key),
        parameters,
      );
    }
  }

  async function beginSession({ id }: Session): Promise<boolean> {
    if ((await everybody.ownerOf(id)) !== null) return false;
    await sessions.stage(id);
    // Should that fail, so does what is to be written.
    keeping = setInterval(() => void sessions.keepStaged(id).catch(() => undefined), KEEP_EVERY).unref();
    tree = createTurnTree();
    turnCount = 0;
    return true;
  }

  async function addTurns(turns: readonly PortableTurn[]): Promise<void> {
    const [{ sessionId } = { sessionId: '' }] = turns;
    const bucket = keyspace.bucketOf(sessionId);
    const keys = sessionKeys(bucket, sessionId);
    const parameters = turns.flatMap(turnParameters);
    await connection.run(ADD_TURNS, [keys.turns, keys.items, bucket.turnIds], [sessionId, ...parameters]);
    turnCount += turns.length;
  }

  /** As ADD_TURNS takes them. */
  function turnParameters(turn: PortableTurn): (string | number)[] {
    const { status, completedAt } = turn;
    const input = JSON.parse(turn.input) as Item[];
    const output = JSON.parse(turn.output) as Item[];
    const places = { inputPlaces: countPlaces(input), outputPlaces: countPlaces(output) };
    const place = tree.add({ ...turn, ...places });
    const end = endText(status, joinsConversation({ status, output }), place.placesAfter, completedAt);
    const items = new Set([...placedIds(input), ...placedIds(output)]);
    const texts = [turn.input, turn.output, turn.record];
    return [place.number, turn.id, placeText(place, turn), end, ...texts, items.size, ...items];
  }

  async function addTurnKeys(added: readonly PortableTurnKey[]): Promise<void> {
    const [{ sessionId } = { sessionId: '' }] = added;
    const bucket = keyspace.bucketOf(sessionId);
    const { turnKeyEnds } = bucket;
    const { keys } = sessionKeys(bucket, sessionId);
    const entries = added.flatMap(({ turnId, value, fingerprint, expiresAt }) => [
      value,
      `${expiresAt} ${tree.numberOf(turnId)} ${fingerprint}`,
    ]);
    const ends = added.flatMap(({ value, expiresAt }) => [expiresAt, `${sessionId} ${value}`]);
    // First when they end: the sweep finds what is left if nothing comes after it.
    await connection.send(turnKeyEnds, ['ZADD', turnKeyEnds, ...ends]);
    await connection.send(keys, ['HSET', keys, ...entries]);
  }

  async function addSessionKey(key: PortableSessionKey): Promise<void> {
    const { owner, sessionId, value, fingerprint, expiresAt } = key;
    if ((await everybody.ownerOf(sessionId)) !== owner) return;
    const { bucket, field } = keyspace.sessionKeyOf(owner, value);
    const entry = `${expiresAt} ${sessionId} ${fingerprint}`;
    await connection.run(
      ADD_SESSION_KEY,
      [bucket.sessionKeys, bucket.sessionKeyEnds],
      [field, entry, expiresAt],
    );
  }
}

/** How records of each kind are added: the keys by what follows the names' beginning, which some scripts take first. */
const KEPT = {
  client: { script: ADD_CLIENTS, keys: ['clients', 'client-ids', 'client-beginnings'], first: false },
  key: { script: ADD_KEYS, keys: ['keys', 'key-changes', 'key-revocations', 'key-uses'], first: true },
  bypass: { script: ADD_RECORDS, keys: ['bypass'], first: false },
  stoppedProvider: { script: ADD_RECORDS, keys: ['stopped-providers'], first: false },
  knownTool: { script: ADD_TOOLS, keys: ['known-tools', 'waiting-tools'], first: false },
  audit: { script: ADD_ENTRIES, keys: ['audit', 'audit-ids'], first: false },
} as const;

function keptParameters({ kind, value }: KeptRecord): (string | number)[] {
  switch (kind) {
    case 'client':
      return [value.id, JSON.stringify(clientRecord(value)), value.createdAt];
    case 'key':
      return keyParameters(value);
    case 'bypass':
      return [value.network, JSON.stringify(value)];
    case 'stoppedProvider':
      return [value.provider, JSON.stringify(value)];
    case 'knownTool':
      return toolParameters(value);
    case 'audit':
      return [value.id, JSON.stringify(value)];
  }
}
