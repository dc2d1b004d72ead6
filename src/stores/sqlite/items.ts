/** Deleting items. It is one step inside a transaction, begun by the caller. */

import type { TurnStatus } from '../../conversation/turn.ts';
import { turnWithoutItem } from '../turn-without-item.ts';
import type { Database } from './database.ts';
import { arrayText, type ItemRow, parseItem } from './rows.ts';

type TurnRow = [turn: number, status: TurnStatus, completedAt: number | null, record: string | null];

export function createSqliteItems(database: Database) {
  const turnsWith = database.prepare<TurnRow>(
    `SELECT DISTINCT t.sequence, t.status, t.completed_at, t.record
     FROM items i CROSS JOIN turns t ON t.sequence = i.turn WHERE i.id = ? AND t.session = ?`,
  );
  const itemsOfTurn = database.prepare<[...ItemRow, sequence: number]>(
    'SELECT output, json, sequence FROM items WHERE turn = ? ORDER BY sequence',
  );
  const deleteItem = database.prepare('DELETE FROM items WHERE sequence = ?');
  const changeTurn = database.prepare('UPDATE turns SET status = ?, record = ? WHERE sequence = ?');

  return { remove };

  /** As `Store.deleteItem` says. */
  function remove(session: number, itemId: string): boolean {
    const changed = turnsWith.all(itemId, session).map((turn) => removeFrom(turn, itemId));
    return changed.includes(true);
  }

  function removeFrom([turn, status, completedAt, record]: TurnRow, itemId: string): boolean {
    const items = itemsOfTurn.all(turn);
    const rows = items.map(([output, json]): ItemRow => [output, json]);
    const output = completedAt === null ? null : arrayText(rows, 1);
    const left = turnWithoutItem({ status, input: arrayText(rows, 0), output, record }, itemId);
    // A text that is no Unicode has the row's id in common with others.
    if (left === null) return false;
    for (const [, json, sequence] of items) if (parseItem(json).id === itemId) deleteItem.run(sequence);
    const isChanged = left.record !== record || left.status !== status;
    if (isChanged) changeTurn.run(left.status, left.record, turn);
    return true;
  }
}
