/**
 * The functions in the database that delete an item, and list what is left. An item is found by its id's text, and cut out
 * by the server: functions for JSON refuse half surrogates, and nothing else tells where in a text an item stands. So it is
 * looked for, and deleted if nobody has changed those turns in between.
 */

import { BY_INDEX } from './turn-functions.ts';

/** The session's turns in which the text is, each with the JSON that is stored of it. */
const turnsWith = (schema: string) => `
  CREATE FUNCTION ${schema}.turns_with_1(
    p_owner text, p_session text, p_text text,
    OUT number integer, OUT status text, OUT input text, OUT output text, OUT record text
  ) RETURNS SETOF record LANGUAGE plpgsql STABLE ${BY_INDEX} AS $function$
  BEGIN
    RETURN QUERY SELECT t.number, o.status, t.items, o.items, o.record
    FROM ${schema}.sessions s
      JOIN ${schema}.turns t ON t.session = s.sequence
      LEFT JOIN ${schema}.outcomes o ON o.session = t.session AND o.number = t.number
    WHERE s.id = p_session AND s.owner = p_owner AND (strpos(t.items, p_text) > 0 OR strpos(o.items, p_text) > 0);
  END
  $function$;
`;

/** Puts turns without the item in the place of those that were seen: false, and no effect, if one is another by now. */
const deleteItem = (schema: string) => `
  CREATE FUNCTION ${schema}.delete_item_1(p_owner text, p_session text, p_item text, p_turns json)
  RETURNS boolean LANGUAGE plpgsql ${BY_INDEX} AS $function$
  DECLARE
    v_session bigint;
    v_turn record;
  BEGIN
    SELECT s.sequence INTO v_session FROM ${schema}.sessions s
    WHERE s.id = p_session AND s.owner = p_owner FOR NO KEY UPDATE;
    IF NOT FOUND OR EXISTS (
      SELECT FROM json_to_recordset(p_turns) AS c (number integer, seen_input text, seen_output text)
        LEFT JOIN ${schema}.turns t ON t.session = v_session AND t.number = c.number
        LEFT JOIN ${schema}.outcomes o ON o.session = v_session AND o.number = c.number
      WHERE t.items IS DISTINCT FROM c.seen_input OR o.items IS DISTINCT FROM c.seen_output
    ) THEN
      RETURN false;
    END IF;
    -- One by one: a join might read all turns of the session to find a few.
    FOR v_turn IN SELECT * FROM json_to_recordset(p_turns)
      AS c (number integer, status text, input text, output text, record text)
    LOOP
      UPDATE ${schema}.turns t SET items = v_turn.input
      WHERE t.session = v_session AND t.number = v_turn.number AND t.items <> v_turn.input;
      UPDATE ${schema}.outcomes o SET status = v_turn.status, items = v_turn.output, record = v_turn.record
      WHERE o.session = v_session AND o.number = v_turn.number AND o.items <> v_turn.output;
      DELETE FROM ${schema}.placed_items i
      WHERE i.session = v_session AND i.id = p_item AND i.number = v_turn.number;
    END LOOP;
    RETURN true;
  END
  $function$;
`;

/** As `list_items_1`, and the head: pages that deleted items have left short are read on until it is reached. */
const listItems = (schema: string) => `
  CREATE FUNCTION ${schema}.list_items_2(
    p_owner text, p_session text, p_after text, p_limit bigint, p_ascending boolean,
    OUT kind text, OUT path text, OUT cursor_id text, OUT head_id text
  ) LANGUAGE plpgsql STABLE ${BY_INDEX} AS $function$
  BEGIN
    SELECT s.head_id INTO head_id FROM ${schema}.sessions s WHERE s.id = p_session AND s.owner = p_owner;
    SELECT listed.kind, listed.path, listed.cursor_id INTO kind, path, cursor_id
    FROM ${schema}.list_items_1(p_owner, p_session, p_after, p_limit, p_ascending) listed;
  END
  $function$;
`;

export const itemFunctions: readonly ((schema: string) => string)[] = [turnsWith, deleteItem, listItems];
