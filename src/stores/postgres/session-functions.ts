/**
 * The functions in the database that make, change and remove sessions: each is one round trip, and one transaction.
 */

import { BY_INDEX } from './turn-functions.ts';

/** "Prls" in ASCII: beside it, the lock of a schema's sweeps is a hash of its name. Migrations have one beside it. */
const SWEEP_LOCKS = 0x50726c73;

/**
 * As `Store.createSession` says; `replay` comes with the session. Turns come with all that their rows hold, worked out
 * beforehand: a conversation without branches.
 */
const createSession = (schema: string) => `
  CREATE FUNCTION ${schema}.create_session_1(
    p_session text, p_owner text, p_created_at bigint, p_updated_at bigint, p_expires_at bigint,
    p_memory_limit bigint, p_served_by text, p_settings text, p_pairs text[],
    p_head_id text, p_turns json, p_placed json,
    p_key text, p_fingerprint text, p_key_expires_at bigint, p_takes_over boolean,
    OUT kind text, OUT id text, OUT owner text, OUT settings text, OUT head_id text, OUT served_by text,
    OUT created_at bigint, OUT updated_at bigint
  ) LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_sequence bigint := nextval('${schema}.sessions_sequence_seq');
    v_known record;
  BEGIN
    WHILE p_key IS NOT NULL LOOP
      -- Of several at once the first makes the session. The others wait here for it, and then look what it was.
      INSERT INTO ${schema}.session_keys (owner, key, fingerprint, session, expires_at)
      VALUES (p_owner, p_key, p_fingerprint, v_sequence, p_key_expires_at) ON CONFLICT DO NOTHING;
      EXIT WHEN FOUND;
      SELECT k.fingerprint, k.expires_at, k.session INTO v_known FROM ${schema}.session_keys k
      WHERE k.owner = p_owner AND k.key = p_key FOR UPDATE;
      -- Swept in between: once more.
      CONTINUE WHEN NOT FOUND;
      IF v_known.expires_at > p_created_at AND NOT p_takes_over THEN
        -- A session that has expired has taken its key along, though both may still be there.
        SELECT s.id, s.owner, s.settings, s.head_id, s.served_by, s.created_at, s.updated_at
        INTO id, owner, settings, head_id, served_by, created_at, updated_at
        FROM ${schema}.sessions s WHERE s.sequence = v_known.session AND s.owner = p_owner
          AND (s.expires_at IS NULL OR s.expires_at > p_created_at);
        IF FOUND THEN
          kind := CASE WHEN v_known.fingerprint = p_fingerprint THEN 'replay' ELSE 'key_reused' END;
          RETURN;
        END IF;
      END IF;
      UPDATE ${schema}.session_keys k
      SET fingerprint = p_fingerprint, session = v_sequence, expires_at = p_key_expires_at
      WHERE k.owner = p_owner AND k.key = p_key;
      EXIT;
    END LOOP;

    INSERT INTO ${schema}.sessions (sequence, id, owner, head, head_id, created_at, updated_at, expires_at,
      memory_limit, served_by, settings)
    OVERRIDING SYSTEM VALUE
    VALUES (v_sequence, p_session, p_owner, nullif(json_array_length(p_turns), 0), p_head_id, p_created_at,
      p_updated_at, p_expires_at, p_memory_limit, p_served_by, p_settings);
    INSERT INTO ${schema}.session_metadata (session, pair, owner, session_id)
    SELECT v_sequence, pairs.pair, p_owner, p_session FROM unnest(p_pairs) AS pairs (pair);
    IF p_head_id IS NOT NULL THEN
      INSERT INTO ${schema}.turns
        (session, number, id, parent, jump, depth, places_before, places, created_at, items)
      SELECT v_sequence, t.number, t.id, nullif(t.number - 1, 0), t.jump, t.number, t.places_before, t.places,
        t.created_at, t.input
      FROM json_to_recordset(p_turns) AS t (number integer, id text, jump integer, places_before bigint,
        places integer, created_at bigint, input text);
      INSERT INTO ${schema}.outcomes (session, number, status, joined, places, completed_at, items, record)
      SELECT v_sequence, t.number, t.status, true, t.output_places, t.completed_at, t.output, t.record
      FROM json_to_recordset(p_turns) AS t (number integer, status text, output_places integer,
        completed_at bigint, output text, record text);
      INSERT INTO ${schema}.placed_items (session, id, number)
      SELECT v_sequence, i.id, i.number FROM json_to_recordset(p_placed) AS i (id text, number integer);
    END IF;
    kind := 'created';
  END
  $function$;
`;

/**
 * Puts new settings in the place of those that the caller has seen: `changed` if they are others by now, and nothing
 * has happened. Metadata is replaced if there are pairs, which an empty array is as well.
 */
const updateSession = (schema: string) => `
  CREATE FUNCTION ${schema}.update_session_1(
    p_owner text, p_session text, p_seen text, p_settings text, p_memory_limit bigint, p_updated_at bigint,
    p_ttl_milliseconds bigint, p_clears_served_by boolean, p_pairs text[],
    OUT kind text, OUT id text, OUT owner text, OUT settings text, OUT head_id text, OUT served_by text,
    OUT created_at bigint, OUT updated_at bigint
  ) LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_session ${schema}.sessions%ROWTYPE;
  BEGIN
    SELECT * INTO v_session FROM ${schema}.sessions s
    WHERE s.id = p_session AND s.owner = p_owner FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      kind := 'missing_session';
      RETURN;
    ELSIF v_session.settings <> p_seen THEN
      kind := 'changed';
      RETURN;
    END IF;
    UPDATE ${schema}.sessions s SET settings = p_settings, memory_limit = p_memory_limit, updated_at = p_updated_at,
      expires_at = p_updated_at + p_ttl_milliseconds,
      served_by = CASE WHEN p_clears_served_by THEN NULL ELSE s.served_by END
    WHERE s.sequence = v_session.sequence
    RETURNING s.id, s.owner, s.settings, s.head_id, s.served_by, s.created_at, s.updated_at
    INTO id, owner, settings, head_id, served_by, created_at, updated_at;
    IF p_pairs IS NOT NULL THEN
      DELETE FROM ${schema}.session_metadata m WHERE m.session = v_session.sequence;
      INSERT INTO ${schema}.session_metadata (session, pair, owner, session_id)
      SELECT v_session.sequence, pairs.pair, p_owner, p_session FROM unnest(p_pairs) AS pairs (pair);
    END IF;
    kind := 'updated';
  END
  $function$;
`;

const removeSessions = (schema: string) => `
  -- Takes a session, whose row is locked, from its owner, with everything by which it, its turns or its keys could be
  -- found. What was in it is removed by a sweep.
  CREATE FUNCTION ${schema}.detach_session_1(p_sequence bigint) RETURNS void LANGUAGE plpgsql AS $function$
  BEGIN
    UPDATE ${schema}.sessions
    SET owner = '', head = NULL, head_id = NULL, expires_at = NULL, settings = '{}' WHERE sequence = p_sequence;
    DELETE FROM ${schema}.session_metadata WHERE session = p_sequence;
    DELETE FROM ${schema}.running_turns WHERE session = p_sequence;
    DELETE FROM ${schema}.waiting_turns WHERE session = p_sequence;
    DELETE FROM ${schema}.session_keys WHERE session = p_sequence;
  END
  $function$;

  CREATE FUNCTION ${schema}.delete_session_1(p_owner text, p_session text)
  RETURNS boolean LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_sequence bigint;
  BEGIN
    SELECT s.sequence INTO v_sequence FROM ${schema}.sessions s
    WHERE s.id = p_session AND s.owner = p_owner FOR UPDATE;
    IF NOT FOUND THEN
      RETURN false;
    END IF;
    PERFORM ${schema}.detach_session_1(v_sequence);
    RETURN true;
  END
  $function$;

  -- As AdminStore.deleteSessions says. Rows are locked in one order, whoever else deletes some of the same.
  CREATE FUNCTION ${schema}.delete_sessions_1(
    p_owner text, p_sessions text[], p_entry text, p_at bigint, p_action text, p_subject text, p_details text
  ) RETURNS text[] LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_session record;
    v_deleted text[] := '{}';
  BEGIN
    FOR v_session IN SELECT s.sequence, s.id FROM ${schema}.sessions s
      WHERE s.id = ANY (p_sessions) AND s.owner = p_owner ORDER BY s.id FOR UPDATE
    LOOP
      PERFORM ${schema}.detach_session_1(v_session.sequence);
      v_deleted := v_deleted || v_session.id;
    END LOOP;
    IF cardinality(v_deleted) > 0 THEN
      INSERT INTO ${schema}.audit_log (id, at, action, subject, details)
      VALUES (p_entry, p_at, p_action, p_subject, p_details);
    END IF;
    RETURN v_deleted;
  END
  $function$;
`;

/**
 * As `Store.sweep` says. The most that one statement removes or detaches bounds its time; what another server has
 * locked for a turn is left for the next time, and everything while another sweeps: a sweep never waits. Two of them
 * would come upon the same keys, as those that are over and as those of a session that is gone, in different orders.
 *
 * What is looked for by time is wanted in its order, so that only the index of that time will do. Without, a plan that is
 * made for any time takes a third of the table to be due, and reads it by another key until it has found a few.
 */
const sweep = (schema: string) => `
  CREATE FUNCTION ${schema}.detach_some_1(p_sequences bigint[]) RETURNS integer LANGUAGE plpgsql AS $function$
  DECLARE
    v_sequence bigint;
    v_detached integer := 0;
  BEGIN
    FOREACH v_sequence IN ARRAY p_sequences LOOP
      -- Looked at again, now that the row is locked.
      CONTINUE WHEN EXISTS (SELECT FROM ${schema}.running_turns r WHERE r.session = v_sequence);
      PERFORM ${schema}.detach_session_1(v_sequence);
      v_detached := v_detached + 1;
    END LOOP;
    RETURN v_detached;
  END
  $function$;

  -- Removes some of what a detached session has left, and with the last of it the session; how many rows.
  CREATE FUNCTION ${schema}.remove_some_1(p_sequence bigint) RETURNS integer LANGUAGE plpgsql AS $function$
  DECLARE
    v_last integer;
    v_keys integer;
    v_rows integer;
    v_items integer;
  BEGIN
    DELETE FROM ${schema}.turn_keys k WHERE k.session = p_sequence AND k.key IN
      (SELECT o.key FROM ${schema}.turn_keys o WHERE o.session = p_sequence LIMIT 50);
    GET DIAGNOSTICS v_keys = ROW_COUNT;
    DELETE FROM ${schema}.placed_items i WHERE i.ctid = ANY (ARRAY
      (SELECT o.ctid FROM ${schema}.placed_items o WHERE o.session = p_sequence LIMIT 200));
    GET DIAGNOSTICS v_items = ROW_COUNT;
    SELECT max(oldest.number) INTO v_last FROM (SELECT t.number FROM ${schema}.turns t
      WHERE t.session = p_sequence ORDER BY t.number LIMIT 50) oldest;
    DELETE FROM ${schema}.outcomes o WHERE o.session = p_sequence AND o.number <= v_last;
    DELETE FROM ${schema}.turns t WHERE t.session = p_sequence AND t.number <= v_last;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_keys < 50 AND v_items < 200 AND v_rows < 50 THEN
      DELETE FROM ${schema}.sessions s WHERE s.sequence = p_sequence;
    END IF;
    RETURN v_keys + v_items + v_rows + 1;
  END
  $function$;

  CREATE FUNCTION ${schema}.sweep_1(
    p_now bigint, p_idle_before bigint, OUT sessions integer, OUT more boolean
  ) LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_found bigint[];
    v_sequence bigint;
    v_count integer;
    v_rows integer := 0;
  BEGIN
    sessions := 0;
    more := false;
    IF NOT pg_try_advisory_xact_lock(${SWEEP_LOCKS}, hashtext('${schema}')) THEN
      RETURN;
    END IF;
    v_found := ARRAY(SELECT s.sequence FROM ${schema}.sessions s WHERE s.expires_at <= p_now
      AND NOT EXISTS (SELECT FROM ${schema}.running_turns r WHERE r.session = s.sequence)
      ORDER BY s.expires_at LIMIT 20 FOR UPDATE OF s SKIP LOCKED);
    sessions := ${schema}.detach_some_1(v_found);
    more := cardinality(v_found) = 20;

    DELETE FROM ${schema}.turn_keys k WHERE k.ctid = ANY (ARRAY
      (SELECT o.ctid FROM ${schema}.turn_keys o WHERE o.expires_at <= p_now
        ORDER BY o.expires_at LIMIT 50 FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    more := more OR v_count = 50;
    DELETE FROM ${schema}.session_keys k WHERE k.ctid = ANY (ARRAY
      (SELECT o.ctid FROM ${schema}.session_keys o WHERE o.expires_at <= p_now
        ORDER BY o.expires_at LIMIT 50 FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    more := more OR v_count = 50;

    IF p_idle_before IS NOT NULL THEN
      v_found := ARRAY(SELECT s.sequence FROM ${schema}.sessions s
        WHERE s.updated_hour <= p_idle_before / 3600000 AND s.updated_at < p_idle_before AND s.owner <> ''
          AND NOT EXISTS (SELECT FROM ${schema}.running_turns r WHERE r.session = s.sequence)
        ORDER BY s.updated_hour LIMIT 20 FOR UPDATE OF s SKIP LOCKED);
      sessions := sessions + ${schema}.detach_some_1(v_found);
      more := more OR cardinality(v_found) = 20;
    END IF;

    LOOP
      SELECT s.sequence INTO v_sequence FROM ${schema}.sessions s WHERE s.owner = '' LIMIT 1 FOR UPDATE SKIP LOCKED;
      EXIT WHEN NOT FOUND OR v_rows >= 200;
      v_rows := v_rows + ${schema}.remove_some_1(v_sequence);
    END LOOP;
    more := more OR v_sequence IS NOT NULL;
  END
  $function$;
`;

export const sessionFunctions: readonly ((schema: string) => string)[] = [
  createSession,
  updateSession,
  removeSessions,
  sweep,
];
