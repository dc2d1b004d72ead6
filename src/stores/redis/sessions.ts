/** Sessions on Redis: making, changing and removing them. Their lists are in listing.ts. */

import { countPlaces } from '../../conversation/item.ts';
import type { RequestKey } from '../../conversation/request-key.ts';
import { isExpired, type Session, type SessionChange } from '../../conversation/session.ts';
import { joinsConversation, type Turn } from '../../conversation/turn.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import { script } from '../../redis/script.ts';
import type { CreateOutcome } from '../store.ts';
import { recordJson } from '../stored-json.ts';
import { type Keyspace, type SessionKeys, sessionKeys } from './keyspace.ts';
import type { createRedisListing } from './listing.ts';
import {
  endText,
  expiryScore,
  placeText,
  type SessionValues,
  sessionFields,
  settingsFields,
  type TreePlace,
  toSession,
} from './records.ts';
import {
  ADD_SESSION,
  KEEP_STAGED,
  REMOVE_SESSION,
  STAGE_SESSION,
  UPDATE_SESSION,
} from './session-scripts.ts';
import { placedIds } from './turns.ts';

/**
 * Makes the key stand for a session, unless it stands for one already and has not expired: then it returns what it stands
 * for. One that the caller has looked at, and found to be gone, is passed as the third parameter and gives way.
 */
const CLAIM_KEY = script(`
local sessionKeys, sessionKeyEnds = unpack(KEYS)
local field, now, seen, entry, expiresAt = unpack(ARGV)
local known = redis.call('HGET', sessionKeys, field)
if known and known ~= seen and tonumber(string.match(known, '^%d+')) > tonumber(now) then return known end
redis.call('HSET', sessionKeys, field, entry)
redis.call('ZADD', sessionKeyEnds, expiresAt, field)
return ''
`);

/** Turns that are written at once when a session is made with many. */
const TURNS_AT_ONCE = 100;

export function createRedisSessions(
  connection: RedisConnection,
  keyspace: Keyspace,
  listing: ReturnType<typeof createRedisListing>,
) {
  return { create, findUnder, update, remove, discard, stage, keepStaged, addStaged };

  /**
   * With a key, three slots are written to. First the session, which nobody can know of yet, and which says under which
   * key it is made (`claim`); then the key, which decides who was first; then the lists. So a key never stands for a
   * session that is still to come: if there is none, it is gone. Who was second removes what it has made. A crash leaves
   * a session that is not listed, and the sweep finds out by the key whether to list or to remove it.
   */
  async function create(
    session: Session,
    turns: readonly Turn[],
    key: RequestKey | null,
  ): Promise<CreateOutcome> {
    refuseWrongTurns(session, turns);
    const known = key === null ? null : await madeBefore(session.owner, key, session.createdAt);
    if (known?.outcome && !key?.takesOver) return known.outcome;
    const claim = key === null ? null : keyspace.sessionKeyOf(session.owner, key.value);
    const revision = await add(session, turns, claim?.field ?? null);
    const outcome = key === null ? null : await claimKey(session, key, known?.seen ?? '');
    if (outcome !== null) {
      await discard(session.owner, session.id);
      return outcome;
    }
    await listing.list({ owner: session.owner, sessionId: session.id, session, revision });
    return { kind: 'created' };
  }

  async function findUnder(owner: string, key: RequestKey, now: number): Promise<Session | null> {
    const known = key.takesOver ? null : await madeBefore(owner, key, now);
    return known?.outcome?.kind === 'replay' ? known.outcome.session : null;
  }

  /** What the key has made before, if that is still there, and what it stands for. */
  async function madeBefore(
    owner: string,
    key: RequestKey,
    now: number,
  ): Promise<{ outcome: CreateOutcome | null; seen: string } | null> {
    const { bucket, field } = keyspace.sessionKeyOf(owner, key.value);
    const entry = await connection.send<string | null>(bucket.sessionKeys, [
      'HGET',
      bucket.sessionKeys,
      field,
    ]);
    if (entry === null || Number(entry.split(' ', 1)[0]) <= now) return null;
    return { outcome: await outcomeOf(owner, entry, key, now), seen: entry };
  }

  /** Null if what the key stands for is gone: a key is forgotten with its session. */
  async function outcomeOf(
    owner: string,
    entry: string,
    key: RequestKey,
    now: number,
  ): Promise<CreateOutcome | null> {
    const [, sessionId = '', ...fingerprint] = entry.split(' ');
    const session = await listing.find(owner, sessionId);
    if (session === null || isExpired(session, now)) return null;
    if (fingerprint.join(' ') !== key.fingerprint) return { kind: 'key_reused' };
    // This acknowledges it, perhaps for the first time.
    await listing.listNoted(owner, sessionId);
    return { kind: 'replay', session };
  }

  /** Null if the key stands for the session from now on. */
  async function claimKey(
    { id, owner, createdAt }: Session,
    key: RequestKey,
    seenBefore: string,
  ): Promise<CreateOutcome | null> {
    const { bucket, field } = keyspace.sessionKeyOf(owner, key.value);
    const entry = `${key.expiresAt} ${id} ${key.fingerprint}`;
    for (let seen = seenBefore; ; ) {
      const parameters = [field, createdAt, seen, entry, key.expiresAt];
      const keys = [bucket.sessionKeys, bucket.sessionKeyEnds];
      const other = await connection.run<string>(CLAIM_KEY, keys, parameters);
      if (other === '') return null;
      const outcome = await outcomeOf(owner, other, key, createdAt);
      if (outcome !== null && !key.takesOver) return outcome;
      seen = other;
    }
  }

  /** Adds the session with its turns and returns its revision. It is not listed yet. */
  async function add(session: Session, turns: readonly Turn[], claim: string | null): Promise<string> {
    if (turns.length > 0) {
      const bucket = keyspace.bucketOf(session.id);
      await stage(session.id);
      await addTurns(session.id, sessionKeys(bucket, session.id), bucket.turnIds, turns);
    }
    return addAlone(session, turns.length, claim);
  }

  /** Makes ready for the turns of a session that is still to be added. The sweep gives it a minute (sweep.ts). */
  async function stage(sessionId: string): Promise<void> {
    const bucket = keyspace.bucketOf(sessionId);
    const { session, turns, items } = sessionKeys(bucket, sessionId);
    const keys = [session, turns, items, bucket.unlisted, bucket.removed];
    await connection.run(STAGE_SESSION, keys, [sessionId, bucket.base]);
  }

  /** Gives whoever has staged the session another minute. */
  async function keepStaged(sessionId: string): Promise<void> {
    await connection.run(KEEP_STAGED, [keyspace.bucketOf(sessionId).unlisted], [sessionId]);
  }

  /** Adds a session whose turns are there, and lists it. */
  async function addStaged(session: Session, turnCount: number): Promise<void> {
    const revision = await addAlone(session, turnCount, null);
    await listing.list({ owner: session.owner, sessionId: session.id, session, revision });
  }

  function addAlone(session: Session, turnCount: number, claim: string | null): Promise<string> {
    const bucket = keyspace.bucketOf(session.id);
    const keys = sessionKeys(bucket, session.id);
    return connection.run<string>(
      ADD_SESSION,
      [keys.session, keys.turns, bucket.expiry, bucket.idle, bucket.unlisted, bucket.gone, bucket.sessionIds],
      [
        session.id,
        turnCount,
        session.updatedAt,
        expiryScore(session),
        ...sessionFields(session),
        ...(claim === null ? [] : ['claim', claim]),
      ],
    );
  }

  /** In pieces: a long conversation must not keep everybody waiting. */
  async function addTurns(
    sessionId: string,
    keys: SessionKeys,
    turnIds: string,
    turns: readonly Turn[],
  ): Promise<void> {
    const written = toFields(turns);
    for (let from = 0; from < written.length; from += TURNS_AT_ONCE) {
      const some = written.slice(from, from + TURNS_AT_ONCE);
      const items = some.flatMap((turn) => turn.items);
      await Promise.all([
        connection.send(keys.turns, ['HSET', keys.turns, ...some.flatMap((turn) => turn.fields)]),
        connection.send(turnIds, ['ZADD', turnIds, ...some.flatMap(({ id }) => [0, `${id} ${sessionId}`])]),
        ...(items.length === 0 ? [] : [connection.send(keys.items, ['HSET', keys.items, ...items])]),
      ]);
    }
  }

  async function update(
    owner: string,
    sessionId: string,
    change: SessionChange,
    updatedAt: number,
  ): Promise<Session | null> {
    const bucket = keyspace.bucketOf(sessionId);
    const { session: sessionKey } = sessionKeys(bucket, sessionId);
    for (;;) {
      const found = await listing.read(sessionId);
      if (found[0] !== owner) return null;
      const before = toSession(sessionId, found);
      const after: Session = { ...before, ...change, updatedAt };
      const relist = change.metadata !== undefined;
      const reply = await connection.run<[revision: string, SessionValues] | 0 | null>(
        UPDATE_SESSION,
        [sessionKey, bucket.expiry, bucket.idle, bucket.unlisted],
        [
          owner,
          sessionId,
          found[1],
          updatedAt,
          expiryScore(after),
          change.servedBy === null ? 1 : 0,
          relist ? 1 : 0,
          ...settingsFields(after),
        ],
      );
      if (reply === null) return null;
      // Somebody else has changed the settings in between: once more, from theirs.
      if (reply === 0) continue;
      const [revision, values] = reply;
      if (relist) await listing.list({ owner, sessionId, session: after, revision });
      return toSession(sessionId, values);
    }
  }

  async function remove(owner: string, sessionId: string): Promise<boolean> {
    const revision = await removeAlone(owner, sessionId);
    if (revision === null) return false;
    await listing.list({ owner, sessionId, session: null, revision });
    return true;
  }

  /** Removes a session that was never listed. */
  async function discard(owner: string, sessionId: string): Promise<void> {
    const revision = await removeAlone(owner, sessionId);
    if (revision !== null) await listing.settle(sessionId, revision);
  }

  function removeAlone(owner: string, sessionId: string): Promise<string | null> {
    const bucket = keyspace.bucketOf(sessionId);
    const { session } = sessionKeys(bucket, sessionId);
    const { base, running, expiry, idle, unlisted, gone, sessionIds, removed } = bucket;
    return connection.run<string | null>(
      REMOVE_SESSION,
      [session, running, expiry, idle, unlisted, gone, sessionIds, removed],
      [base, sessionId, owner],
    );
  }
}

function refuseWrongTurns(session: Session, turns: readonly Turn[]): void {
  if (session.headTurnId !== (turns.at(-1)?.id ?? null)) {
    throw new Error(`The head of session ${session.id} must be the last of its turns.`);
  }
  for (const turn of turns) {
    if (!joinsConversation(turn) || turn.completedAt === null) {
      throw new Error(`Turn ${turn.id} is ${turn.status} and cannot be part of a conversation.`);
    }
  }
  if (new Set(turns.map(({ id }) => id)).size < turns.length) throw new Error('Two turns have the same id.');
}

/** The fields that hold turns, each following the one before, and those that find their items. */
function toFields(turns: readonly Turn[]): { id: string; fields: string[]; items: string[] }[] {
  const jumps = [0];
  const numbersOf = new Map<string, number[]>();
  let places = 0;
  return turns.map((turn, index) => {
    const number = index + 1;
    const place: TreePlace = {
      parent: index,
      jump: jumpAfter(jumps, index),
      depth: number,
      placesBefore: places,
      inputPlaces: countPlaces(turn.input),
    };
    jumps.push(place.jump);
    places += place.inputPlaces + countPlaces(turn.output);
    const end = endText(turn.status, true, places, turn.completedAt ?? 0);
    const items = placedIds([...turn.input, ...turn.output]).flatMap((id) => {
      const numbers = [...(numbersOf.get(id) ?? []), number];
      numbersOf.set(id, numbers);
      return [id, numbers.join(' ')];
    });
    return {
      id: turn.id,
      fields: [
        `${number}`,
        placeText(place, { ...turn, parentId: turns[index - 1]?.id ?? null }),
        `${number}e`,
        end,
        `${number}i`,
        JSON.stringify(turn.input),
        `${number}o`,
        JSON.stringify(turn.output),
        `${number}r`,
        recordJson(turn),
        `#${turn.id}`,
        `${number}`,
      ],
      items,
    };
  });
}

/** Where the turn after this one jumps to, in a path whose turns are numbered by their depth (begin-turn-script.ts). */
function jumpAfter(jumps: readonly number[], parent: number): number {
  const jump = jumps[parent] ?? 0;
  const second = jumps[jump] ?? 0;
  return parent > 0 && parent - jump === jump - second ? second : parent;
}
