/** Rows as tuples, and what they mean. It runs no query. */

import type { Item } from '../../conversation/item.ts';
import type { Session } from '../../conversation/session.ts';
import type { ServedBy, Turn, TurnStatus } from '../../conversation/turn.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import { parseRecord, parseSettings, summaryOf } from '../stored-json.ts';

export const SESSION_COLUMNS = `s.sequence, s.head, s.id, s.owner, s.settings,
  (SELECT h.id FROM turns h WHERE h.sequence = s.head), s.created_at, s.updated_at,
  s.served_provider, s.served_model`;

export type SessionRow = [
  sequence: number,
  head: number | null,
  id: string,
  owner: string,
  settings: string,
  headTurnId: string | null,
  createdAt: number,
  updatedAt: number,
  servedProvider: string | null,
  servedModel: string | null,
];

export function toSession(row: SessionRow): Session {
  const [, , id, owner, settings, headTurnId, createdAt, updatedAt, provider, model] = row;
  const servedBy: ServedBy | null = provider === null || model === null ? null : { provider, model };
  return {
    id,
    owner,
    ...parseSettings(settings),
    headTurnId,
    servedBy,
    createdAt,
    updatedAt,
  };
}

export const TURN_COLUMNS = `t.sequence, t.id,
  (SELECT p.id FROM turns p WHERE p.sequence = t.parent), t.status, t.created_at, t.completed_at, t.record`;

export type TurnRow = [
  sequence: number,
  id: string,
  parentId: string | null,
  status: TurnStatus,
  createdAt: number,
  completedAt: number | null,
  record: string | null,
];

export function toTurn(sessionId: string, row: TurnRow, items: readonly ItemRow[]): Turn {
  const [, id, parentId, status, createdAt, completedAt, record] = row;
  return {
    id,
    sessionId,
    parentId,
    status,
    ...parseRecord(record),
    ...splitItems(items),
    createdAt,
    completedAt,
  };
}

export const SUMMARY_COLUMNS = `t.id, s.id, s.owner,
  (SELECT p.id FROM turns p WHERE p.sequence = t.parent), t.status, t.created_at, t.completed_at, t.record`;

export type SummaryRow = [
  id: string,
  sessionId: string,
  owner: string,
  parentId: string | null,
  status: TurnStatus,
  createdAt: number,
  completedAt: number | null,
  record: string | null,
];

export function toSummary(row: SummaryRow): TurnSummary {
  const [id, sessionId, owner, parentId, status, createdAt, completedAt, record] = row;
  return {
    id,
    sessionId,
    owner,
    parentId,
    status,
    ...summaryOf(parseRecord(record)),
    createdAt,
    completedAt,
  };
}

export type ItemRow = [output: 0 | 1, json: string];

/** The items of one side of a turn, as they were written. */
export function arrayText(items: readonly ItemRow[], side: 0 | 1): string {
  return `[${items.flatMap(([output, json]) => (output === side ? [json] : [])).join(',')}]`;
}

function splitItems(rows: readonly ItemRow[]): { input: Item[]; output: Item[] } {
  const input: Item[] = [];
  const output: Item[] = [];
  for (const [isOutput, json] of rows) (isOutput ? output : input).push(parseItem(json));
  return { input, output };
}

export function parseItem(json: string): Item {
  return JSON.parse(json) as Item;
}

/** What a client has used in a day of one model, as one writer has counted it. */
export type UsageRow = [
  owner: string,
  provider: string,
  model: string,
  writer: string,
  turns: number,
  attempts: number,
  inputTokens: number,
  outputTokens: number,
  cachedTokens: number,
  reasoningTokens: number,
  cost: number,
];
