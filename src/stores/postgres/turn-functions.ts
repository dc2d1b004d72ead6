/**
 * The functions in the database that begin and end turns: each is one round trip, and one transaction. They are
 * PL/pgSQL and not one statement because of what they lock: a statement sees the database as it was when it began, so
 * one that has waited for the session's row would decide by what it saw before; each statement of a function looks anew.
 */

/** What a session's row gives to `toSession`, in this order and under these names. */
const SESSION_OUT = `OUT id text, OUT owner text, OUT settings text, OUT head_id text, OUT served_by text,
  OUT created_at bigint, OUT updated_at bigint`;

/**
 * Plans are made once per connection, perhaps when the tables were all but empty; then a scan of the whole table, or
 * a join by way of it, is the cheapest of plans, and a slow one for as long as the plan is kept. Every look-up here has
 * its index.
 */
export const BY_INDEX = 'SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off';

/** As `Store.beginTurn` says. The order of the checks is the contract's. */
const beginTurn = (schema: string) => `
  CREATE FUNCTION ${schema}.begin_turn_1(
    p_owner text, p_session text, p_turn text, p_parent text, p_follows_head boolean, p_items text, p_places integer,
    p_placed text[], p_created_at bigint, p_wanted bigint, p_default_wanted bigint, p_taken bigint,
    p_key text, p_fingerprint text, p_key_expires_at bigint, p_takes_over boolean, p_may_begin boolean,
    p_lease_milliseconds double precision, p_line text,
    OUT kind text, OUT turn text, ${SESSION_OUT}, OUT parent_id text, OUT fence integer, OUT path text
  ) LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_session ${schema}.sessions%ROWTYPE;
    v_key record;
    v_retries text;
    v_parent record;
    v_number integer;
    v_place bigint;
    v_others boolean;
    v_lease_ends_at timestamptz;
  BEGIN
    SELECT * INTO v_session FROM ${schema}.sessions s
    WHERE s.id = p_session AND s.owner = p_owner FOR NO KEY UPDATE;
    IF NOT FOUND OR v_session.expires_at <= p_created_at THEN
      kind := 'missing_session';
      RETURN;
    END IF;

    IF p_key IS NOT NULL AND NOT p_takes_over THEN
      SELECT k.fingerprint, k.number, o.status INTO v_key FROM ${schema}.turn_keys k
      LEFT JOIN ${schema}.outcomes o ON o.session = k.session AND o.number = k.number
      WHERE k.session = v_session.sequence AND k.key = p_key AND k.expires_at > p_created_at;
      IF FOUND AND v_key.fingerprint <> p_fingerprint THEN
        kind := 'key_reused';
        RETURN;
      ELSIF FOUND AND v_key.status IS DISTINCT FROM 'failed' THEN
        kind := 'replay';
        turn := ${schema}.turn_document_1(v_session.sequence, v_key.number);
        RETURN;
      ELSIF FOUND THEN
        v_retries := ${schema}.turn_document_1(v_session.sequence, v_key.number);
      END IF;
    END IF;

    v_lease_ends_at := clock_timestamp() + p_lease_milliseconds * interval '1 millisecond';
    IF p_line IS NOT NULL THEN
      SELECT w.place INTO v_place FROM ${schema}.waiting_turns w
      WHERE w.session = v_session.sequence AND w.id = p_turn AND w.ends_at > clock_timestamp();
    END IF;
    SELECT
      (SELECT t.id FROM ${schema}.running_turns r
        JOIN ${schema}.turns t ON t.session = r.session AND t.number = r.number
        WHERE r.session = v_session.sequence),
      EXISTS (SELECT FROM ${schema}.waiting_turns w
        WHERE w.session = v_session.sequence AND w.id <> p_turn AND w.ends_at > clock_timestamp()
          AND (p_line IS NULL OR (NOT w.is_front) < (p_line <> 'front')
            OR ((NOT w.is_front) = (p_line <> 'front') AND (v_place IS NULL OR w.place < v_place)))),
      (SELECT max(t.number) FROM ${schema}.turns t WHERE t.session = v_session.sequence)
    INTO turn, v_others, v_number;
    IF turn IS NOT NULL OR v_others OR NOT p_may_begin THEN
      kind := 'busy';
      IF p_line IS NOT NULL THEN
        DELETE FROM ${schema}.waiting_turns w
        WHERE w.session = v_session.sequence AND w.ends_at <= clock_timestamp();
        INSERT INTO ${schema}.waiting_turns AS w (session, id, is_front, ends_at)
        VALUES (v_session.sequence, p_turn, p_line = 'front', v_lease_ends_at)
        ON CONFLICT ON CONSTRAINT waiting_turns_pkey
        DO UPDATE SET is_front = excluded.is_front, ends_at = excluded.ends_at;
      END IF;
      RETURN;
    END IF;

    SELECT * INTO v_parent FROM ${schema}.parent_of_turn_1(v_session.sequence,
      CASE WHEN p_follows_head THEN v_session.head
      ELSE ${schema}.turn_number_1(v_session.sequence, p_parent) END);
    IF v_parent.number IS NULL AND NOT p_follows_head AND p_parent IS NOT NULL THEN
      kind := 'missing_parent';
      RETURN;
    ELSIF NOT v_parent.joined THEN
      kind := 'unusable_parent';
      RETURN;
    END IF;

    fence := coalesce(v_number, 0) + 1;
    INSERT INTO ${schema}.turns
      (session, number, id, parent, jump, depth, places_before, places, created_at, items)
    VALUES (v_session.sequence, fence, p_turn, v_parent.number, v_parent.next_jump,
      coalesce(v_parent.depth, 0) + 1, coalesce(v_parent.places, 0), p_places, p_created_at, p_items);
    INSERT INTO ${schema}.placed_items (session, id, number)
    SELECT v_session.sequence, placed.id, fence FROM unnest(p_placed) AS placed (id);
    INSERT INTO ${schema}.running_turns (session, number, lease_ends_at)
    VALUES (v_session.sequence, fence, v_lease_ends_at);
    IF p_key IS NOT NULL THEN
      -- An expired key, or that of a failed turn, is there already and stands for the new turn from now on.
      INSERT INTO ${schema}.turn_keys AS k (session, key, fingerprint, number, expires_at)
      VALUES (v_session.sequence, p_key, p_fingerprint, fence, p_key_expires_at)
      ON CONFLICT ON CONSTRAINT turn_keys_pkey
      DO UPDATE SET fingerprint = excluded.fingerprint, number = excluded.number, expires_at = excluded.expires_at;
    END IF;
    IF p_line IS NOT NULL THEN
      DELETE FROM ${schema}.waiting_turns w WHERE w.session = v_session.sequence AND w.id = p_turn;
    END IF;

    kind := 'begun';
    turn := v_retries;
    parent_id := v_parent.id;
    path := ${schema}.path_end_1(v_session.sequence, v_parent.number, v_parent.places,
      coalesce(p_wanted, v_session.memory_limit, p_default_wanted) - p_taken);
    id := v_session.id;
    owner := v_session.owner;
    settings := v_session.settings;
    head_id := v_session.head_id;
    served_by := v_session.served_by;
    created_at := v_session.created_at;
    updated_at := v_session.updated_at;
  END
  $function$;
`;

/** As `Store.noteCalls` says. */
const noteCalls = (schema: string) => `
  CREATE FUNCTION ${schema}.note_calls_1(p_session text, p_turn text, p_fence bigint, p_calls text)
  RETURNS boolean LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_session bigint;
  BEGIN
    SELECT s.sequence INTO v_session FROM ${schema}.sessions s WHERE s.id = p_session FOR NO KEY UPDATE;
    UPDATE ${schema}.running_turns r SET calls = p_calls WHERE r.session = v_session AND r.number = p_fence
      AND EXISTS (SELECT FROM ${schema}.turns t WHERE t.session = r.session AND t.number = r.number AND t.id = p_turn);
    RETURN FOUND;
  END
  $function$;
`;

/** As `Store.commitTurn` says. */
const commitTurn = (schema: string) => `
  CREATE FUNCTION ${schema}.commit_turn_1(
    p_session text, p_turn text, p_fence bigint, p_status text, p_joined boolean, p_items text, p_places integer,
    p_placed text[], p_record text, p_completed_at bigint, p_served_by text
  ) RETURNS boolean LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_session bigint;
  BEGIN
    SELECT s.sequence INTO v_session FROM ${schema}.sessions s WHERE s.id = p_session FOR NO KEY UPDATE;
    DELETE FROM ${schema}.running_turns r WHERE r.session = v_session AND r.number = p_fence
      AND EXISTS (SELECT FROM ${schema}.turns t WHERE t.session = r.session AND t.number = r.number AND t.id = p_turn);
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    INSERT INTO ${schema}.outcomes (session, number, status, joined, places, completed_at, items, record)
    VALUES (v_session, p_fence, p_status, p_joined, p_places, p_completed_at, p_items, p_record);
    IF p_joined THEN
      INSERT INTO ${schema}.placed_items (session, id, number)
      SELECT v_session, placed.id, p_fence FROM unnest(p_placed) AS placed (id);
      -- The right-hand sides see the row as it was: the difference is the session's time to live, or null.
      UPDATE ${schema}.sessions SET head = p_fence, head_id = p_turn, served_by = p_served_by,
        updated_at = p_completed_at, expires_at = p_completed_at + (expires_at - updated_at)
      WHERE sequence = v_session;
    END IF;
    RETURN true;
  END
  $function$;
`;

export const turnFunctions: readonly ((schema: string) => string)[] = [beginTurn, noteCalls, commitTurn];
