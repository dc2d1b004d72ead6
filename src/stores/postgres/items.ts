/** Deleting items: what goes to the functions of item-functions.ts, and what comes back. */

import type { TurnStatus } from '../../conversation/turn.ts';
import { turnWithoutItem } from '../turn-without-item.ts';
import type { Connections, Statement } from './connections.ts';

/** Nulls of a turn that runs. */
interface TurnRow {
  number: number;
  status: TurnStatus | null;
  input: string;
  output: string | null;
  record: string | null;
}

/** @param schema its quoted name */
export function createPostgresItems({ run, one }: Connections, schema: string) {
  const turnsWith: Statement<TurnRow> = {
    name: 'turns_with_1',
    text: `SELECT * FROM ${schema}.turns_with_1($1, $2, $3)`,
  };
  const deleteOne: Statement<{ deleted: boolean }> = {
    name: 'delete_item_1',
    text: `SELECT ${schema}.delete_item_1($1, $2, $3, $4) AS deleted`,
  };

  return { remove };

  /** Looks, and deletes if nobody has changed the turns in between; whoever has, made progress. */
  async function remove(owner: string, sessionId: string, itemId: string): Promise<boolean> {
    for (;;) {
      const rows = await run(turnsWith, owner, sessionId, JSON.stringify(itemId));
      const turns = rows.flatMap((row) => withoutItem(row, itemId));
      if (turns.length === 0) return false;
      const { deleted } = await one(deleteOne, owner, sessionId, itemId, JSON.stringify(turns));
      if (deleted) return true;
    }
  }
}

/** The parameter of `delete_item_1` for that turn; none if it only speaks of the item. */
function withoutItem({ number, ...seen }: TurnRow, itemId: string) {
  const left = turnWithoutItem({ ...seen, status: seen.status ?? 'in_progress' }, itemId);
  return left === null ? [] : [{ number, seen_input: seen.input, seen_output: seen.output, ...left }];
}
