/**
 * The names of all keys, and which of them lie together. It sends nothing.
 *
 * On a cluster only keys of one slot can be changed in one step, and the text in braces decides the slot. Sessions are
 * dealt to 64 buckets by their id, and each bucket is one slot: a session's keys lie together with the bucket's lists
 * of running turns, of expiries and of idle sessions, so that a turn's beginning and its end change all of them in one
 * script. A slot for each session instead would leave these lists elsewhere, to be repaired after every crash; and a
 * cluster cannot use more than 64 masters this way, which is more than anybody will give a chat. The number and the tags
 * can never change: they say where what is stored is found. The tags s0 … s63 lie evenly over the slots.
 *
 * Lists of an owner have a slot for each owner, what operators keep has one of its own.
 */

const BUCKETS = 64;

/** What is known in one slot of the sessions that it holds. */
export interface Bucket {
  /** What every key of the bucket begins with. */
  readonly base: string;
  /** Session ids by the end of their running turn's lease. */
  readonly running: string;
  /** Ids of sessions without a running turn by the time at which they expire. */
  readonly expiry: string;
  /** Ids of sessions without a running turn by the time of their last change. */
  readonly idle: string;
  /** Ids of all sessions, in their order. */
  readonly sessionIds: string;
  /** `<turn id> <session id>` of all turns, in the order of turns' ids; also of sessions that are removed, until a sweep. */
  readonly turnIds: string;
  /** `<revision> <session id>` of removed sessions whose turns are still to be taken out of the list of turns. */
  readonly removed: string;
  /** `<session id> <key>` by the time at which the request key of a turn expires. */
  readonly turnKeyEnds: string;
  /** By owner and key, which session the key has made. Not of the sessions in this bucket: dealt by the key. */
  readonly sessionKeys: string;
  /** The same by the time of their expiry. */
  readonly sessionKeyEnds: string;
  /** Ids of sessions whose owner's lists may not be up to date, by revision. */
  readonly unlisted: string;
  /** The owners of those that are deleted. */
  readonly gone: string;
}

export interface SessionKeys {
  /** The session itself. Its fields are in records.ts. */
  readonly session: string;
  /** The turns with their items, and their numbers by their ids. */
  readonly turns: string;
  /** By an item's id, the numbers of the turns that have it. */
  readonly items: string;
  /** By a request key, the turn that it stands for. */
  readonly keys: string;
  /** The line, in its order. */
  readonly line: string;
  /** The same places by the time at which they are gone. */
  readonly places: string;
}

export interface OwnerKeys {
  /** Ids of the owner's sessions, in their order. */
  readonly sessions: string;
  /** By session id, the revision and the pairs under which it is listed. */
  readonly listed: string;
  /** Begins the keys of the lists by metadata. */
  readonly pairs: string;
}

export interface Keyspace {
  readonly buckets: readonly Bucket[];
  bucketOf(sessionId: string): Bucket;
  /** Where the request key of a session is kept, and under which field. */
  sessionKeyOf(owner: string, key: string): { bucket: Bucket; field: string };
  ownerKeys(owner: string): OwnerKeys;
  /** Begins the keys of what operators keep. */
  readonly admin: string;
}

/** @param prefix begins every key */
export function createKeyspace(prefix: string): Keyspace {
  const buckets = Array.from({ length: BUCKETS }, (_, number) => bucketAt(`${prefix}{s${number}}:`));
  const bucketOf = (text: string) => buckets[hash(text) % BUCKETS] as Bucket;
  return {
    buckets,
    bucketOf,
    sessionKeyOf(owner, key) {
      const field = JSON.stringify([owner, key]);
      return { bucket: bucketOf(field), field };
    },
    ownerKeys(owner) {
      const base = `${prefix}{o:${owner}}:`;
      return { sessions: `${base}sessions`, listed: `${base}listed`, pairs: `${base}pair:` };
    },
    admin: `${prefix}{admin}:`,
  };
}

/** The keys of a session in its bucket. The scripts that walk a bucket make the same names. */
export function sessionKeys({ base }: Bucket, sessionId: string): SessionKeys {
  const session = `${base}session:${sessionId}`;
  return {
    session,
    turns: `${session}:turns`,
    items: `${session}:items`,
    keys: `${session}:keys`,
    line: `${session}:line`,
    places: `${session}:places`,
  };
}

function bucketAt(base: string): Bucket {
  return {
    base,
    running: `${base}running`,
    expiry: `${base}expiry`,
    idle: `${base}idle`,
    sessionIds: `${base}session-ids`,
    turnIds: `${base}turn-ids`,
    removed: `${base}removed`,
    turnKeyEnds: `${base}turn-key-ends`,
    sessionKeys: `${base}session-keys`,
    sessionKeyEnds: `${base}session-key-ends`,
    unlisted: `${base}unlisted`,
    gone: `${base}gone`,
  };
}

/** FNV-1a over UTF-16 units: even, quick, and the same in every version. */
function hash(text: string): number {
  let value = 0x81_1c_9d_c5;
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01_00_01_93);
  }
  return value >>> 0;
}
