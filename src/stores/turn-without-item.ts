/** Taking an item out of a turn as stores keep it: as JSON text, of which the rest stays what it is to the byte. */

import type { Item } from '../conversation/item.ts';
import { joinsConversation, type TurnStatus } from '../conversation/turn.ts';
import { elementsOf } from './json-text.ts';
import { parseRecord, recordJson } from './stored-json.ts';

/** A turn as JSON texts: arrays of items, and a `TurnRecord`. A turn that runs has neither output nor record. */
export interface TurnTexts {
  status: TurnStatus;
  input: string;
  output: string | null;
  record: string | null;
}

/**
 * What is left of the turn, as `Store.deleteItem` says: without the items of that id and, if one of them was output,
 * without its trace. Null if it has no such item.
 */
export function turnWithoutItem(turn: TurnTexts, itemId: string): TurnTexts | null {
  const input = itemsWithout(turn.input, itemId);
  const output = turn.output === null ? null : itemsWithout(turn.output, itemId);
  if (turn.output === null || output === null) return input === null ? null : { ...turn, input };
  return {
    status: statusWith(output, turn.status, turn.output),
    input: input ?? turn.input,
    output,
    record: turn.record && recordJson({ ...parseRecord(turn.record), trace: null }),
  };
}

/** Null if there is no such item. */
function itemsWithout(json: string, itemId: string): string | null {
  const items = elementsOf(json);
  const left = items.filter((item) => (JSON.parse(item) as Item).id !== itemId);
  return left.length === items.length ? null : `[${left.join(',')}]`;
}

/** A cancelled turn is told by its message to be part of the conversation, where it stays when that is gone. */
function statusWith(output: string, status: TurnStatus, before: string): TurnStatus {
  const joins = (json: string) => joinsConversation({ status, output: JSON.parse(json) as Item[] });
  return joins(before) && !joins(output) ? 'incomplete' : status;
}
