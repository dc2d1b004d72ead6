/** Rows and JSON texts of PostgreSQL, and what they mean. It runs no query. */

import { createHash } from 'node:crypto';
import type { Session } from '../../conversation/session.ts';
import type { ServedBy, Turn, TurnStatus } from '../../conversation/turn.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import { parseRecord, parseSettings, summaryOf, type TurnRecord } from '../stored-json.ts';

export const SESSION_COLUMNS =
  's.id, s.owner, s.settings, s.head_id, s.served_by, s.created_at, s.updated_at';

/** Functions give it with nulls alone where there is no session. */
export interface SessionRow {
  id: string;
  owner: string;
  settings: string;
  head_id: string | null;
  served_by: string | null;
  created_at: number;
  updated_at: number;
}

export function toSession(row: SessionRow): Session {
  return {
    id: row.id,
    owner: row.owner,
    ...parseSettings(row.settings),
    headTurnId: row.head_id,
    servedBy: row.served_by === null ? null : (JSON.parse(row.served_by) as ServedBy),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

export function servedByJson(served: ServedBy | null): string | null {
  return served && JSON.stringify({ provider: served.provider, model: served.model } satisfies ServedBy);
}

/** What `turn_document_1` puts together. */
interface StoredTurn extends Omit<Turn, 'sessionId' | keyof TurnRecord> {
  record: TurnRecord | null;
}

export function toTurn(sessionId: string, document: string): Turn {
  return fromStored(sessionId, JSON.parse(document) as StoredTurn);
}

export function toTurns(sessionId: string, documents: string): Turn[] {
  return (JSON.parse(documents) as StoredTurn[]).map((stored) => fromStored(sessionId, stored));
}

function fromStored(sessionId: string, { record, ...turn }: StoredTurn): Turn {
  return { ...turn, sessionId, ...parseRecord(null), ...record };
}

/** The owner of deleted sessions. No client has an empty name, so nobody finds them. */
export const NOBODY = '';

export interface SummaryRow {
  id: string;
  session_id: string;
  owner: string;
  parent_id: string | null;
  /** Null while the turn is in progress, as are the last two. */
  status: TurnStatus | null;
  created_at: number;
  completed_at: number | null;
  record: string | null;
}

export function toSummary(row: SummaryRow): TurnSummary {
  return {
    id: row.id,
    sessionId: row.session_id,
    owner: row.owner,
    parentId: row.parent_id,
    status: row.status ?? 'in_progress',
    ...summaryOf(parseRecord(row.record)),
    createdAt: row.created_at,
    completedAt: row.completed_at,
  };
}

/** People's texts may hold what a text of PostgreSQL does not: so they are JSON, as everything else that came so. */
export function toText(text: string): string {
  return JSON.stringify(text);
}

export function fromText(json: string): string {
  return JSON.parse(json) as string;
}

/** A pair of metadata as its index knows it: as long for every pair. */
export function metadataPairs(metadata: Readonly<Record<string, string>>): string[] {
  return Object.entries(metadata).map((pair) =>
    createHash('sha256').update(JSON.stringify(pair)).digest('base64url'),
  );
}
