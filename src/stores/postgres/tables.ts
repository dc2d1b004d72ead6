/**
 * The tables on PostgreSQL, as forward-only migrations; what runs them is schema.ts. A migration that has been
 * released is never edited.
 */

/**
 * - Nothing that a turn writes is written a second time: its beginning is a row in `turns`, its end one in `outcomes`.
 *   So these tables hold no dead rows, but for those that lost an item (`deleteItem`), and a commit touches one index of
 *   each. A turn without an outcome is in progress.
 * - `turns.number` counts the turns of a session, under the lock of the session's row, and is the turn's fence. A child
 *   has a higher number than its parent, so along a path `number` is the order of the conversation; times order nothing.
 * - Whoever writes to a session's rows has locked its row in `sessions` first (`renewTurns` and `cancelTurn` alone only lock rows of
 *   `running_turns`). That, and `deleteSession`, are what keeps the rows together: there are no foreign keys, whose
 *   checks would cost every insert another lock.
 * - `items` and `settings` are JSON as it came, in `text`: that type holds JSON's escapes of what PostgreSQL cannot hold
 *   in a text, U+0000 above all, while `jsonb` refuses them. No statement looks into them.
 * - Ids sort by their bytes (`COLLATE "C"`), whatever the locale of the database.
 * - `jump` is a distant ancestor (null: before the first turn): with one more pointer per turn any ancestor is found in
 *   logarithmically many steps; see path-functions.ts.
 * - `running_turns` is apart from `sessions` so that the leases that are over are found without an index that every
 *   turn would have to keep, and so that to begin a turn does not rewrite the session's row.
 * - `waiting_turns.place` is drawn under the lock of the session's row, so that a line is in the order of coming.
 * - `placed_items` says which turns have an item with a place of that id: a page of items goes on from it.
 * - A deleted session keeps its row, with an empty owner, which no caller has, until a sweep has removed what was in it.
 * - `sessions.updated_hour` finds idle sessions. An index on `updated_at` itself would be written by every commit; this
 *   one at most once an hour for each session, and in between the row can be changed in its page (HOT).
 * - `session_metadata.pair` is a digest of key and value: an index has no room for long ones.
 */
const FIRST = (schema: string) => `
  CREATE TABLE ${schema}.sessions (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    owner text COLLATE "C" NOT NULL,
    head integer,
    head_id text COLLATE "C",
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    expires_at bigint,
    memory_limit bigint,
    served_by text,
    settings text NOT NULL,
    updated_hour integer NOT NULL GENERATED ALWAYS AS ((updated_at / 3600000)::integer) STORED
  ) WITH (fillfactor = 80);
  CREATE INDEX sessions_by_owner ON ${schema}.sessions (owner, id);
  CREATE INDEX sessions_by_expiry ON ${schema}.sessions (expires_at) WHERE expires_at IS NOT NULL;
  CREATE INDEX sessions_by_hour ON ${schema}.sessions (updated_hour) WHERE owner <> '';

  CREATE TABLE ${schema}.session_metadata (
    session bigint NOT NULL,
    pair text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    session_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (session, pair)
  );
  CREATE INDEX session_metadata_by_pair ON ${schema}.session_metadata (owner, pair, session_id);

  CREATE TABLE ${schema}.session_keys (
    owner text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    session bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (owner, key)
  );
  CREATE INDEX session_keys_by_session ON ${schema}.session_keys (session);
  CREATE INDEX session_keys_by_expiry ON ${schema}.session_keys (expires_at);

  CREATE TABLE ${schema}.turns (
    session bigint NOT NULL,
    number integer NOT NULL,
    id text COLLATE "C" NOT NULL UNIQUE,
    parent integer,
    jump integer,
    depth integer NOT NULL,
    places_before bigint NOT NULL,
    places integer NOT NULL,
    created_at bigint NOT NULL,
    items text NOT NULL,
    PRIMARY KEY (session, number)
  );

  CREATE TABLE ${schema}.outcomes (
    session bigint NOT NULL,
    number integer NOT NULL,
    status text COLLATE "C" NOT NULL,
    joined boolean NOT NULL,
    places integer NOT NULL,
    completed_at bigint NOT NULL,
    items text NOT NULL,
    record text NOT NULL,
    PRIMARY KEY (session, number)
  );

  CREATE TABLE ${schema}.placed_items (
    session bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    number integer NOT NULL
  );
  CREATE INDEX placed_items_by_id ON ${schema}.placed_items (session, id);

  CREATE TABLE ${schema}.turn_keys (
    session bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    number integer NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (session, key)
  );
  CREATE INDEX turn_keys_by_expiry ON ${schema}.turn_keys (expires_at);

  CREATE TABLE ${schema}.running_turns (
    session bigint PRIMARY KEY,
    number integer NOT NULL,
    lease_ends_at timestamptz NOT NULL,
    is_cancelled boolean NOT NULL DEFAULT false,
    calls text
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

  CREATE TABLE ${schema}.waiting_turns (
    session bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    is_front boolean NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (session, id)
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

  CREATE TABLE ${schema}.clients (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    rps double precision,
    burst double precision,
    concurrent_turns double precision,
    tokens_per_minute double precision,
    tokens_per_day double precision,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
  );

  CREATE TABLE ${schema}.api_keys (
    id text COLLATE "C" PRIMARY KEY,
    client text COLLATE "C" NOT NULL,
    prefix text NOT NULL,
    hash text NOT NULL,
    note text,
    created_at bigint NOT NULL,
    expires_at bigint,
    revoked_at bigint,
    last_used_at bigint
  );
  CREATE INDEX api_keys_by_client ON ${schema}.api_keys (client);

  CREATE TABLE ${schema}.bypass (
    network text COLLATE "C" PRIMARY KEY,
    note text,
    created_at bigint NOT NULL,
    expires_at bigint
  );

  CREATE TABLE ${schema}.stopped_providers (
    provider text COLLATE "C" PRIMARY KEY,
    note text,
    stopped_at bigint NOT NULL
  );

  CREATE TABLE ${schema}.usage (
    day text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    provider text COLLATE "C" NOT NULL,
    model text COLLATE "C" NOT NULL,
    writer text COLLATE "C" NOT NULL,
    turns double precision NOT NULL,
    attempts double precision NOT NULL,
    input_tokens double precision NOT NULL,
    output_tokens double precision NOT NULL,
    cached_tokens double precision NOT NULL,
    reasoning_tokens double precision NOT NULL,
    cost double precision NOT NULL,
    PRIMARY KEY (day, owner, provider, model, writer)
  );

  CREATE TABLE ${schema}.audit_log (
    id text COLLATE "C" PRIMARY KEY,
    at bigint NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details text NOT NULL
  );
`;

/** Each makes, in the schema of that quoted name, a version out of the one before. */
export const tableMigrations: readonly ((schema: string) => string)[] = [FIRST];
