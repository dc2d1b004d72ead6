/** Turns on Redis: each method is one script, and so one round trip, in the slot of its session. */

import { countPlaces, type Item, type McpCallItem, takesPlace } from '../../conversation/item.ts';
import type { Page, PageRequest } from '../../conversation/page.ts';
import { joinsConversation, servedBy, type Turn, type TurnError } from '../../conversation/turn.ts';
import { AppError } from '../../errors.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import type { BeginOutcome, Renewed, TurnBegin, TurnClaim, TurnCommit, TurnRenewal } from '../store.ts';
import { interruptedRecordJson, recordJson } from '../stored-json.ts';
import { BEGIN_TURN } from './begin-turn-script.ts';
import { type Bucket, type Keyspace, sessionKeys } from './keyspace.ts';
import { type SessionValues, type TurnValues, toPath, toSession, toTurn } from './records.ts';
import {
  CANCEL_TURN,
  COMMIT_TURN,
  FAIL_TURNS,
  GET_TURN,
  LIST_TURNS,
  NOTE_CALLS,
  RENEW,
} from './turn-scripts.ts';

/** Turns that one script fails at most: what a server leaves behind, and still a short step. */
const FAILED_AT_ONCE = 50;

type BeginReply =
  | ['missing', 'session' | 'parent']
  | ['key_reused']
  | ['unusable_parent']
  | ['replay', TurnValues]
  | ['busy', string?]
  | [
      'begun',
      fence: number,
      parentId: string,
      session: SessionValues,
      path: (string | null)[],
      retries: TurnValues | null,
    ];

export function createRedisTurns(connection: RedisConnection, keyspace: Keyspace) {
  return { begin, commit, noteCalls, renew, cancel, leaveLine, get, list, failInterrupted };

  async function begin(request: TurnBegin): Promise<BeginOutcome> {
    const { owner, sessionId, turnId, parentTurnId, input, createdAt, reach, key } = request;
    const bucket = keyspace.bucketOf(sessionId);
    const { session, turns, items, keys, line, places } = sessionKeys(bucket, sessionId);
    const { running, expiry, idle, turnKeyEnds, turnIds } = bucket;
    const reply = await connection.run<BeginReply>(
      BEGIN_TURN,
      [session, turns, items, keys, line, places, running, expiry, idle, turnKeyEnds, turnIds],
      [
        owner,
        sessionId,
        turnId,
        parentText(parentTurnId),
        createdAt,
        JSON.stringify(input),
        countPlaces(input),
        reach.places ?? '',
        reach.defaultPlaces,
        reach.taken,
        key?.value ?? '',
        key?.fingerprint ?? '',
        key?.expiresAt ?? '',
        key?.takesOver ? 1 : '',
        request.mayBegin ? 1 : '',
        request.leaseMilliseconds,
        request.line ?? '',
        ...placedIds(input),
      ],
    );
    return toOutcome(sessionId, reply);
  }

  async function commit({ sessionId, turnId, fence, outcome }: TurnCommit): Promise<boolean> {
    const bucket = keyspace.bucketOf(sessionId);
    const { session, turns, items } = sessionKeys(bucket, sessionId);
    const { status, output, completedAt } = outcome;
    const served = servedBy(outcome);
    const held = await connection.run<0 | 1>(
      COMMIT_TURN,
      [session, turns, items, bucket.running, bucket.expiry, bucket.idle],
      [
        sessionId,
        turnId,
        fence,
        status,
        joinsConversation(outcome) ? 1 : 0,
        completedAt,
        countPlaces(output),
        JSON.stringify(output),
        recordJson(outcome),
        served?.provider ?? '',
        served?.model ?? '',
        ...placedIds(output),
      ],
    );
    return held === 1;
  }

  async function noteCalls(
    { sessionId, turnId, fence }: TurnClaim,
    calls: readonly McpCallItem[],
  ): Promise<boolean> {
    const { session, turns } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    const parameters = [turnId, fence, JSON.stringify(calls)];
    return (await connection.run<0 | 1>(NOTE_CALLS, [session, turns], parameters)) === 1;
  }

  async function renew({ running, waiting, leaseMilliseconds }: TurnRenewal): Promise<Renewed> {
    const asked = [...running, ...waiting.map((place): Asked => ({ ...place, fence: null }))];
    const byBucket = Map.groupBy(asked, ({ sessionId }) => keyspace.bucketOf(sessionId));
    const renewed = await Promise.all(
      [...byBucket].map(([bucket, claims]) => renewIn(bucket, claims, leaseMilliseconds)),
    );
    const idsOf = (kind: 'missing' | 'cancelled') => {
      const those = new Set(renewed.flatMap((one) => one[kind]));
      return asked.filter((claim) => those.has(claim)).map(({ turnId }) => turnId);
    };
    return { lost: idsOf('missing'), cancelled: idsOf('cancelled') };
  }

  async function renewIn(bucket: Bucket, claims: Asked[], leaseMilliseconds: number) {
    const [missing, cancelled] = await connection.run<[number[], number[]]>(
      RENEW,
      [bucket.running],
      [
        bucket.base,
        leaseMilliseconds,
        ...claims.flatMap(({ sessionId, turnId, fence }) => [sessionId, turnId, fence ?? '-']),
      ],
    );
    const at = (index: number) => claims[index] ?? [];
    return { missing: missing.flatMap(at), cancelled: cancelled.flatMap(at) };
  }

  async function cancel(owner: string, sessionId: string, turnId: string): Promise<void> {
    const { session } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    await connection.run(CANCEL_TURN, [session], [owner, turnId]);
  }

  async function leaveLine(sessionId: string, turnId: string): Promise<void> {
    const { line, places } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    // First out of the line, which decides; a place that is left in the other list goes when its time is over.
    await connection.send(line, ['ZREM', line, turnId]);
    await connection.send(places, ['ZREM', places, turnId]);
  }

  async function get(owner: string, sessionId: string, turnId: string): Promise<Turn | null> {
    const { session, turns } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    const values = await connection.run<TurnValues | null>(GET_TURN, [session, turns], [owner, turnId]);
    return values && toTurn(sessionId, values);
  }

  async function list(owner: string, sessionId: string, page: PageRequest): Promise<Page<Turn> | null> {
    const { limit, after, order } = page;
    const { session, turns } = sessionKeys(keyspace.bucketOf(sessionId), sessionId);
    // One turn more tells whether there is another page.
    const parameters = [owner, after ?? '', order, limit + 1];
    const found = await connection.run<TurnValues[] | 0 | null>(LIST_TURNS, [session, turns], parameters);
    if (found === null) return null;
    if (found === 0) throw new AppError('invalid_cursor');
    return {
      data: found.slice(0, limit).map((values) => toTurn(sessionId, values)),
      hasMore: found.length > limit,
    };
  }

  async function failInterrupted(reason: TurnError, completedAt: number): Promise<number> {
    const record = interruptedRecordJson(reason);
    const counts = keyspace.buckets.map((bucket) => failIn(bucket, record, completedAt));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  async function failIn(bucket: Bucket, record: string, completedAt: number): Promise<number> {
    const { base, running, expiry, idle } = bucket;
    for (let failed = 0; ; ) {
      const parameters = [base, FAILED_AT_ONCE, completedAt, record];
      const count = await connection.run<number>(FAIL_TURNS, [running, expiry, idle], parameters);
      failed += count;
      if (count < FAILED_AT_ONCE) return failed;
    }
  }
}

type Asked = Omit<TurnClaim, 'fence'> & { fence: number | null };

function toOutcome(sessionId: string, reply: BeginReply): BeginOutcome {
  const [kind] = reply;
  if (kind === 'begun') {
    const [, fence, parentId, values, path, retries] = reply;
    return {
      kind,
      session: toSession(sessionId, values),
      path: toPath(path),
      parentId: parentId === '-' ? null : parentId,
      fence,
      retries: retries && toTurn(sessionId, retries),
    };
  }
  if (kind === 'replay') return { kind, turn: toTurn(sessionId, reply[1]) };
  if (kind === 'busy') return { kind, turnId: reply[1] ?? null };
  if (kind === 'missing') return { kind, what: reply[1] };
  return { kind };
}

/** As the script knows parents: the head, none, or a turn. */
function parentText(parentTurnId: string | null | undefined): string {
  if (parentTurnId === undefined) return '';
  return parentTurnId === null ? '0' : `#${parentTurnId}`;
}

/** Each once, for an item may be there twice. */
export function placedIds(items: readonly Item[]): string[] {
  return [...new Set(items.filter(takesPlace).map(({ id }) => id))];
}
