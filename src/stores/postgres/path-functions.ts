/**
 * The functions in the database that read turns and paths. Every path is read from its newest turn back, and only as
 * far as asked; a distant ancestor is reached over `jump` pointers, so that no read walks the whole of a long
 * conversation. Turns come as one JSON text, put together from the JSON that is stored.
 */

import { BY_INDEX } from './turn-functions.ts';

/**
 * The number of the session's turn of that id, null if there is none. It is found by its id alone and then compared:
 * a planner that takes sessions for short would rather read all turns of this one.
 */
const turnNumber = (schema: string) => `
  CREATE FUNCTION ${schema}.turn_number_1(p_session bigint, p_id text)
  RETURNS integer LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    v_turn record;
  BEGIN
    SELECT t.session, t.number INTO v_turn FROM ${schema}.turns t WHERE t.id = p_id;
    RETURN CASE WHEN v_turn.session = p_session THEN v_turn.number END;
  END
  $function$;
`;

/** What a turn needs to know of the one that it follows; nulls for none. */
const parentOfTurn = (schema: string) => `
  -- Jump pointers after Myers (1983), "An applicative random-access stack": if the parent's last two jumps are equally
  -- long, they become one of twice the length, else the jump leads to the parent. So a path of n turns is climbed in
  -- O(log n) steps, for one pointer per turn and two look-ups when a turn begins. Null is the place before the first
  -- turn, at depth 0, from where every jump leads to itself.
  CREATE FUNCTION ${schema}.parent_of_turn_1(
    p_session bigint, p_number integer,
    OUT number integer, OUT id text, OUT joined boolean, OUT depth integer, OUT places bigint, OUT next_jump integer
  ) LANGUAGE plpgsql STABLE AS $function$
  BEGIN
    SELECT t.number, t.id, coalesce(o.joined, false), t.depth, t.places_before + t.places + coalesce(o.places, 0),
      CASE WHEN t.depth - coalesce(j.depth, 0) = coalesce(j.depth, 0) - coalesce(k.depth, 0)
        THEN k.number ELSE t.number END
    INTO number, id, joined, depth, places, next_jump
    FROM ${schema}.turns t
      LEFT JOIN ${schema}.outcomes o ON o.session = t.session AND o.number = t.number
      LEFT JOIN ${schema}.turns j ON j.session = t.session AND j.number = t.jump
      LEFT JOIN ${schema}.turns k ON k.session = j.session AND k.number = j.jump
    WHERE t.session = p_session AND t.number = p_number;
  END
  $function$;
`;

/** The whole turn, in the words of `StoredTurn`. */
const turnDocument = (schema: string) => `
  CREATE FUNCTION ${schema}.turn_document_1(p_session bigint, p_number integer)
  RETURNS text LANGUAGE plpgsql STABLE AS $function$
  BEGIN
    RETURN (
      SELECT concat('{"id":', to_json(t.id), ',"parentId":', coalesce(to_json(p.id)::text, 'null'),
        ',"status":', to_json(coalesce(o.status, 'in_progress')), ',"createdAt":', t.created_at,
        ',"completedAt":', coalesce(o.completed_at::text, 'null'), ',"record":', coalesce(o.record, 'null'),
        ',"input":', t.items, ',"output":', coalesce(o.items, '[]'), '}')
      FROM ${schema}.turns t
        LEFT JOIN ${schema}.outcomes o ON o.session = t.session AND o.number = t.number
        LEFT JOIN ${schema}.turns p ON p.session = t.session AND p.number = t.parent
      WHERE t.session = p_session AND t.number = p_number);
  END
  $function$;
`;

/**
 * The path from `p_newest` back to the first turn that has no more than `p_floor` places before it, as JSON of
 * `PathTurn`s. Each turn is looked up by its key: the limits keep the planner from joining whole sessions.
 */
const path = (schema: string) => `
  CREATE FUNCTION ${schema}.path_1(p_session bigint, p_newest integer, p_floor bigint)
  RETURNS text LANGUAGE plpgsql STABLE AS $function$
  BEGIN
    RETURN (
      WITH RECURSIVE path AS (
        SELECT t.number, t.parent, t.id, t.places_before, t.created_at, t.items
        FROM ${schema}.turns t WHERE t.session = p_session AND t.number = p_newest
        UNION ALL
        SELECT next.* FROM path CROSS JOIN LATERAL (
          SELECT t.number, t.parent, t.id, t.places_before, t.created_at, t.items
          FROM ${schema}.turns t WHERE t.session = p_session AND t.number = path.parent LIMIT 1
        ) next WHERE path.places_before > p_floor
      )
      SELECT concat('[', string_agg(concat('{"id":', to_json(p.id), ',"placesBefore":', p.places_before,
          ',"input":', p.items, ',"output":', o.items,
          ',"createdAt":', p.created_at, ',"completedAt":', o.completed_at, '}'), ',' ORDER BY p.number DESC), ']')
      FROM path p CROSS JOIN LATERAL (
        SELECT e.items, e.completed_at FROM ${schema}.outcomes e
        WHERE e.session = p_session AND e.number = p.number LIMIT 1
      ) o);
  END
  $function$;

  -- The end of a path: so much of it that so many places are reached.
  CREATE FUNCTION ${schema}.path_end_1(p_session bigint, p_newest integer, p_places bigint, p_wanted bigint)
  RETURNS text LANGUAGE plpgsql STABLE AS $function$
  BEGIN
    RETURN CASE WHEN p_newest IS NULL OR p_wanted <= 0 THEN '[]'
      ELSE ${schema}.path_1(p_session, p_newest, p_places - p_wanted) END;
  END
  $function$;
`;

/** As `Store.readPath` says. */
const readPath = (schema: string) => `
  CREATE FUNCTION ${schema}.read_path_1(
    p_owner text, p_session text, p_turn text, p_wanted bigint, p_default_wanted bigint, p_taken bigint,
    OUT id text, OUT owner text, OUT settings text, OUT head_id text, OUT served_by text,
    OUT created_at bigint, OUT updated_at bigint, OUT path text
  ) LANGUAGE plpgsql STABLE ${BY_INDEX} AS $function$
  DECLARE
    v_session ${schema}.sessions%ROWTYPE;
    v_end record;
  BEGIN
    SELECT * INTO v_session FROM ${schema}.sessions s WHERE s.id = p_session AND s.owner = p_owner;
    IF NOT FOUND THEN
      RETURN;
    END IF;
    SELECT * INTO v_end FROM ${schema}.parent_of_turn_1(v_session.sequence, CASE WHEN p_turn IS NULL
      THEN v_session.head
      ELSE ${schema}.turn_number_1(v_session.sequence, p_turn) END);
    path := CASE WHEN v_end.joined THEN ${schema}.path_end_1(v_session.sequence, v_end.number, v_end.places,
      coalesce(p_wanted, v_session.memory_limit, p_default_wanted) - p_taken) ELSE '[]' END;
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

const ancestors = (schema: string) => `
  -- The newest turn of the path that is not above that number.
  CREATE FUNCTION ${schema}.ancestor_by_number_1(p_session bigint, p_newest integer, p_target integer)
  RETURNS integer LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    v_number integer := p_newest;
  BEGIN
    WHILE v_number > p_target LOOP
      SELECT CASE WHEN t.jump >= p_target THEN t.jump ELSE t.parent END INTO v_number
      FROM ${schema}.turns t WHERE t.session = p_session AND t.number = v_number;
    END LOOP;
    RETURN v_number;
  END
  $function$;

  -- The newest turn of the path with no more than so many places before it.
  CREATE FUNCTION ${schema}.ancestor_by_place_1(p_session bigint, p_newest integer, p_places bigint)
  RETURNS integer LANGUAGE plpgsql STABLE AS $function$
  DECLARE
    v_number integer := p_newest;
    v_next integer;
  BEGIN
    LOOP
      SELECT CASE WHEN t.places_before <= p_places THEN NULL
        WHEN j.places_before > p_places THEN t.jump ELSE t.parent END INTO v_next
      FROM ${schema}.turns t LEFT JOIN ${schema}.turns j ON j.session = t.session AND j.number = t.jump
      WHERE t.session = p_session AND t.number = v_number;
      EXIT WHEN v_next IS NULL;
      v_number := v_next;
    END LOOP;
    RETURN v_number;
  END
  $function$;
`;

/**
 * The turns that hold a page of items, as JSON of `PathTurn`s, newest first: those that the page begins and ends with
 * may hold more than belongs to it. `cursor_id` is the turn of the item to go on from.
 */
const listItems = (schema: string) => `
  CREATE FUNCTION ${schema}.list_items_1(
    p_owner text, p_session text, p_after text, p_limit bigint, p_ascending boolean,
    OUT kind text, OUT path text, OUT cursor_id text
  ) LANGUAGE plpgsql STABLE ${BY_INDEX} AS $function$
  DECLARE
    v_session record;
    v_head record;
    v_cursor record;
    v_before bigint;
    v_end bigint;
    v_newest integer;
  BEGIN
    SELECT s.sequence, s.head INTO v_session FROM ${schema}.sessions s WHERE s.id = p_session AND s.owner = p_owner;
    IF NOT FOUND THEN
      kind := 'missing_session';
      RETURN;
    END IF;
    SELECT * INTO v_head FROM ${schema}.parent_of_turn_1(v_session.sequence, v_session.head);
    v_newest := v_head.number;
    IF p_after IS NOT NULL THEN
      -- A branch is not on the path.
      SELECT t.number, t.id, t.places_before, t.places_before + t.places + o.places AS places INTO v_cursor
      FROM ${schema}.placed_items i
        JOIN ${schema}.turns t ON t.session = i.session AND t.number = i.number
        JOIN ${schema}.outcomes o ON o.session = i.session AND o.number = i.number
      WHERE i.session = v_session.sequence AND i.id = p_after
        AND ${schema}.ancestor_by_number_1(v_session.sequence, v_session.head, i.number) = i.number
      ORDER BY i.number LIMIT 1;
      IF NOT FOUND THEN
        kind := 'invalid_cursor';
        RETURN;
      END IF;
      cursor_id := v_cursor.id;
      v_before := v_cursor.places_before;
      v_end := v_cursor.places;
      v_newest := CASE WHEN p_ascending THEN v_newest ELSE v_cursor.number END;
    END IF;
    kind := 'page';
    path := CASE WHEN v_newest IS NULL THEN '[]'
      WHEN p_ascending THEN ${schema}.path_1(v_session.sequence,
        ${schema}.ancestor_by_place_1(v_session.sequence, v_newest, coalesce(v_end, 0) + p_limit - 1),
        coalesce(v_before, 0))
      ELSE ${schema}.path_1(v_session.sequence, v_newest, coalesce(v_before, v_head.places) - p_limit) END;
  END
  $function$;
`;

/** As `Store.getTurn` says. */
const getTurn = (schema: string) => `
  CREATE FUNCTION ${schema}.get_turn_1(p_owner text, p_session text, p_turn text)
  RETURNS text LANGUAGE plpgsql STABLE ${BY_INDEX} AS $function$
  BEGIN
    RETURN (SELECT ${schema}.turn_document_1(s.sequence, ${schema}.turn_number_1(s.sequence, p_turn))
      FROM ${schema}.sessions s WHERE s.id = p_session AND s.owner = p_owner);
  END
  $function$;
`;

/** As `Store.listTurns` says, as a JSON array of `StoredTurn`s. In the order of the index, so as to stop at the limit. */
const listTurns = (schema: string) => `
  CREATE FUNCTION ${schema}.list_turns_1(
    p_owner text, p_session text, p_after text, p_limit bigint, p_ascending boolean, OUT kind text, OUT turns text
  ) LANGUAGE plpgsql STABLE ${BY_INDEX} SET enable_bitmapscan = off AS $function$
  DECLARE
    v_session bigint;
    v_after integer;
  BEGIN
    SELECT s.sequence INTO v_session FROM ${schema}.sessions s WHERE s.id = p_session AND s.owner = p_owner;
    IF NOT FOUND THEN
      kind := 'missing_session';
      RETURN;
    END IF;
    IF p_after IS NOT NULL THEN
      v_after := ${schema}.turn_number_1(v_session, p_after);
      IF v_after IS NULL THEN
        kind := 'invalid_cursor';
        RETURN;
      END IF;
    END IF;
    kind := 'page';
    IF p_ascending THEN
      turns := (SELECT string_agg(${schema}.turn_document_1(v_session, page.number), ',' ORDER BY page.number)
        FROM (SELECT t.number FROM ${schema}.turns t WHERE t.session = v_session AND t.number > coalesce(v_after, 0)
          ORDER BY t.number LIMIT p_limit) page);
    ELSE
      turns := (SELECT string_agg(${schema}.turn_document_1(v_session, page.number), ',' ORDER BY page.number DESC)
        FROM (SELECT t.number FROM ${schema}.turns t
          WHERE t.session = v_session AND t.number < coalesce(v_after, 2147483647)
          ORDER BY t.number DESC LIMIT p_limit) page);
    END IF;
    turns := concat('[', turns, ']');
  END
  $function$;
`;

export const pathFunctions: readonly ((schema: string) => string)[] = [
  turnNumber,
  parentOfTurn,
  turnDocument,
  path,
  readPath,
  getTurn,
  ancestors,
  listItems,
  listTurns,
];
