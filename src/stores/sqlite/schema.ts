/**
 * The tables, as forward-only migrations: number n brings a database from version n-1 to n, in a transaction.
 * A migration that has been released is never edited.
 */

import type { Database } from './database.ts';

/** "Prly" in ASCII, in the file's header: tells a Parley database from any other SQLite file. */
const APPLICATION_ID = 0x50726c79;

/**
 * - Keys inside are the integers `sequence`: small, and given by the store in the order of insertion. A child
 *   is always inserted after its parent, so along a path, and within a turn, `sequence` is the order of the
 *   conversation; times order nothing.
 * - Turns are deleted only together with their session. Hence `head`, `parent`, `jump` and
 *   `running_turns.turn` cannot dangle, and need neither a foreign key nor the index that one would cost.
 * - `jump` is a distant ancestor (null: before the first turn): with one more pointer per turn any ancestor
 *   is found in logarithmically many steps; see paths.ts.
 * - `running_turns` is apart from `sessions` so that what a crash left can be found without reading them all,
 *   and so that beginning a turn does not rewrite the session's row.
 * - `items.id` is not unique: a fork has the items of its origin, ids included.
 * - `session_metadata` is the index of the metadata filter, ordered as the list is; the metadata itself is
 *   read from `settings`.
 */
const FIRST = `
  CREATE TABLE sessions (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    head INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    settings TEXT NOT NULL
  ) STRICT;
  CREATE INDEX sessions_by_owner ON sessions (owner, id);

  CREATE TABLE session_metadata (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    owner TEXT NOT NULL,
    session_id TEXT NOT NULL,
    PRIMARY KEY (session, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX session_metadata_by_pair ON session_metadata (owner, key, value, session_id);

  CREATE TABLE turns (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    parent INTEGER,
    jump INTEGER,
    depth INTEGER NOT NULL,
    places_before INTEGER NOT NULL,
    places INTEGER NOT NULL,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    record TEXT
  ) STRICT;
  CREATE INDEX turns_by_session ON turns (session);

  CREATE TABLE running_turns (
    session INTEGER PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    turn INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE items (
    sequence INTEGER PRIMARY KEY,
    turn INTEGER NOT NULL REFERENCES turns ON DELETE CASCADE,
    output INTEGER NOT NULL,
    placed INTEGER NOT NULL,
    id TEXT NOT NULL,
    json TEXT NOT NULL
  ) STRICT;
  CREATE INDEX items_by_turn ON items (turn);
  CREATE INDEX items_by_id ON items (id);
`;

/**
 * - `sessions.expires_at` is `updated_at` and the session's time to live, null without one: only sessions that can
 *   expire are in its index. The target in `served_*` is the one of the head.
 * - A deleted session keeps its row, with an empty owner, which no caller has, until a sweep has removed what was
 *   in it. So deleting costs the same for every session, and `sessions_by_owner` is the list of what is left to do.
 * - `turns.joined`: whether the turn is part of the conversation, which the status of a cancelled one does not
 *   tell. The default is what nearly all existing rows need, so that few of them are written anew.
 * - A key is found from its session or its owner, and swept by its age. `turn_keys.turn` needs no index: it goes
 *   with its session, as the turn does.
 */
const SECOND = `
  ALTER TABLE sessions ADD COLUMN expires_at INTEGER;
  ALTER TABLE sessions ADD COLUMN served_provider TEXT;
  ALTER TABLE sessions ADD COLUMN served_model TEXT;
  CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;

  ALTER TABLE turns ADD COLUMN joined INTEGER NOT NULL DEFAULT 1;
  UPDATE turns SET joined = 0 WHERE status NOT IN ('completed', 'incomplete');

  CREATE TABLE turn_keys (
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    turn INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX turn_keys_by_expiry ON turn_keys (expires_at);

  CREATE TABLE session_keys (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    session INTEGER NOT NULL REFERENCES sessions ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX session_keys_by_session ON session_keys (session);
  CREATE INDEX session_keys_by_expiry ON session_keys (expires_at);
`;

/**
 * What operators keep, found by the ids that they were given: these tables are small, and most are read whole.
 * - `api_keys.client` refers to a client that may be deleted, whose keys stay; hence no foreign key.
 * - `audit_log` is only ever added to, at its end.
 */
const THIRD = `
  CREATE TABLE clients (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    rps REAL,
    burst REAL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    client TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL,
    note TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    last_used_at INTEGER
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX api_keys_by_client ON api_keys (client);

  CREATE TABLE bypass (
    network TEXT NOT NULL PRIMARY KEY,
    note TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE audit_log (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    details TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** Limits of a client's turns; null leaves each to the server's own. */
const FOURTH = `
  ALTER TABLE clients ADD COLUMN concurrent_turns INTEGER;
  ALTER TABLE clients ADD COLUMN tokens_per_minute INTEGER;
  ALTER TABLE clients ADD COLUMN tokens_per_day INTEGER;
`;

/**
 * `usage` is read by day, in the order of its key. Numbers of tokens are what providers say, some of them in fractions.
 */
const FIFTH = `
  CREATE TABLE usage (
    day TEXT NOT NULL,
    owner TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    writer TEXT NOT NULL,
    turns INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    input_tokens REAL NOT NULL,
    output_tokens REAL NOT NULL,
    cached_tokens REAL NOT NULL,
    reasoning_tokens REAL NOT NULL,
    cost REAL NOT NULL,
    PRIMARY KEY (day, owner, provider, model, writer)
  ) STRICT, WITHOUT ROWID;
`;

/** Providers that operators have taken out of service. */
const SIXTH = `
  CREATE TABLE stopped_providers (
    provider TEXT NOT NULL PRIMARY KEY,
    note TEXT,
    stopped_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** Calls that a turn is about to make, and has made, as JSON: what there is of it if the server dies. */
const SEVENTH = 'ALTER TABLE running_turns ADD COLUMN calls TEXT';

/** Tools of servers: what was accepted of each, and what waits for an operator; both as JSON. */
const EIGHTH = `
  CREATE TABLE known_tools (
    key TEXT NOT NULL PRIMARY KEY,
    accepted TEXT NOT NULL,
    waiting TEXT,
    waiting_fingerprint TEXT
  ) STRICT, WITHOUT ROWID;
`;

const migrations: readonly string[] = [FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH];

/** The version that this program writes. */
export const SCHEMA_VERSION = migrations.length;

/**
 * Throws unless the file is empty or a Parley database of this version or an older one. It changes nothing,
 * so that a file that is not ours is left as it was.
 */
export function refuseForeignDatabase(database: Database, path: string): void {
  const version = readInteger(database, 'PRAGMA user_version');
  const isParley = readInteger(database, 'PRAGMA application_id') === APPLICATION_ID;
  const isEmpty = version === 0 && readInteger(database, 'SELECT count(*) FROM sqlite_schema') === 0;
  if (!isParley && !isEmpty) {
    throw new Error(`${path} is an SQLite database, but not one of Parley's.`);
  }
  if (version > SCHEMA_VERSION) {
    throw new Error(
      `${path} was written by a newer Parley (database version ${version}, this program knows ` +
        `${SCHEMA_VERSION}). Start that version, or restore a backup made before the upgrade.`,
    );
  }
}

/** Brings the database to `SCHEMA_VERSION`. If a migration fails, the database stays at the one before. */
export function migrate(database: Database): void {
  const version = readInteger(database, 'PRAGMA user_version');
  for (const [index, migration] of migrations.entries()) {
    if (index < version) continue;
    database.transaction(() => {
      database.execute(migration);
      database.execute(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}`);
    });
  }
}

function readInteger(database: Database, sql: string): number {
  return database.prepare<[number]>(sql).get()?.[0] ?? 0;
}
