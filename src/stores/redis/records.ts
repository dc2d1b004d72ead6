/**
 * What lies in the hashes of a session, and what it means. It sends nothing. Scripts move JSON as text and never look into
 * it: numbers that they compare stand beside it.
 */

import type { Item } from '../../conversation/item.ts';
import { expiresAt, type Session, type SessionSettings } from '../../conversation/session.ts';
import type { ServedBy, Turn, TurnStatus } from '../../conversation/turn.ts';
import type { TurnSummary } from '../../conversation/turn-summary.ts';
import type { StoredTurn } from '../portable-dump.ts';
import type { PathTurn } from '../store.ts';
import { parseRecord, parseSettings, settingsJson, summaryOf } from '../stored-json.ts';

/** The fields of a session's hash of which a session is made. A script gives them in this order. */
export const SESSION_FIELDS = [
  'owner',
  'settings',
  'head',
  'provider',
  'model',
  'createdAt',
  'updatedAt',
] as const;

/** The fields by their names in Lua. */
export const LUA_SESSION_FIELDS = SESSION_FIELDS.map((field) => `'${field}'`).join(', ');

/** Values of `SESSION_FIELDS`; an empty text stands for null. */
export type SessionValues = [
  owner: string,
  settings: string,
  head: string,
  provider: string,
  model: string,
  createdAt: string,
  updatedAt: string,
];

export function toSession(id: string, values: SessionValues): Session {
  const [owner, settings, head, provider, model, createdAt, updatedAt] = values;
  const servedBy: ServedBy | null = provider === '' ? null : { provider, model };
  return {
    id,
    owner,
    ...parseSettings(settings),
    headTurnId: head === '' ? null : head,
    servedBy,
    createdAt: Number(createdAt),
    updatedAt: Number(updatedAt),
  };
}

/** A session's hash, as names and values in turn. Scripts add `running`, `fence`, `turns` and `revision`. */
export function sessionFields(session: Session): string[] {
  const { owner, headTurnId, servedBy, createdAt, updatedAt } = session;
  const fields = {
    owner,
    head: headTurnId ?? '',
    provider: servedBy?.provider ?? '',
    model: servedBy?.model ?? '',
    createdAt: String(createdAt),
    updatedAt: String(updatedAt),
  };
  return [...settingsFields(session), ...Object.entries(fields).flat()];
}

/** What a change of settings writes: the settings, and of these what scripts compute with. */
export function settingsFields(settings: SessionSettings): string[] {
  const { memoryLimit, ttlSeconds } = settings;
  const fields = {
    settings: settingsJson(settings),
    limit: memoryLimit === null ? '' : String(memoryLimit),
    ttl: ttlSeconds === null ? '' : String(ttlSeconds * 1000),
  };
  return Object.entries(fields).flat();
}

/** When the session expires, as a score; empty if it never does. */
export function expiryScore(session: Session): string {
  const end = expiresAt(session);
  return end === null ? '' : String(end);
}

/**
 * A turn, by its number, in five fields of its session's hash of turns: `7` its place in the tree, `7e` its end, `7i` and
 * `7o` its items, `7r` what else is known of it. Scripts write the first two, in the forms that are taken apart here.
 */
export type TurnValues = [
  place: string,
  end: string | null,
  input: string,
  output: string | null,
  record: string | null,
];

export function toTurn(sessionId: string, values: TurnValues): Turn {
  const [placeText, endText, input, output, record] = values;
  const { id, parentId, createdAt } = parsePlace(placeText);
  const end = endText === null ? null : parseEnd(endText);
  return {
    id,
    sessionId,
    parentId,
    status: end?.status ?? 'in_progress',
    ...parseRecord(record),
    input: parseItems(input),
    // What a turn that runs has noted is not its output yet.
    output: end === null ? [] : parseItems(output),
    createdAt,
    completedAt: end?.completedAt ?? null,
  };
}

/** The turn as it lies there. */
export function toStoredTurn(sessionId: string, values: TurnValues): StoredTurn {
  const [place, endText, input, output, record] = values;
  const { id, parentId, createdAt } = parsePlace(place);
  const end = endText === null ? null : parseEnd(endText);
  // A turn that nobody finished has an end, and perhaps no output.
  const outputText = end === null ? output : (output ?? '[]');
  const [status, completedAt] = [end?.status ?? 'in_progress', end?.completedAt ?? null];
  return {
    id,
    sessionId,
    parentId,
    status,
    createdAt,
    completedAt,
    input,
    output: outputText,
    record,
  } as const;
}

/** The id of the turn whose place this is. */
export function turnIdOf(place: string): string {
  return parsePlace(place).id;
}

/** What operators see of a turn: its place, its end and its record. */
export type SummaryValues = [place: string, end: string | null, record: string | null];

export function toSummary(owner: string, sessionId: string, values: SummaryValues): TurnSummary {
  const [placeText, endText, record] = values;
  const { id, parentId, createdAt } = parsePlace(placeText);
  const end = endText === null ? null : parseEnd(endText);
  return {
    id,
    sessionId,
    owner,
    parentId,
    status: end?.status ?? 'in_progress',
    ...summaryOf(parseRecord(record)),
    createdAt,
    completedAt: end?.completedAt ?? null,
  };
}

/** A path as scripts give it: four values for each turn, newest first. */
export function toPath(values: readonly (string | null)[]): PathTurn[] {
  const path: PathTurn[] = [];
  for (let at = 0; at < values.length; at += 4) {
    const { id, placesBefore, createdAt } = parsePlace(values[at] ?? '');
    path.push({
      id,
      placesBefore,
      input: parseItems(values[at + 2]),
      output: parseItems(values[at + 3]),
      createdAt,
      completedAt: parseEnd(values[at + 1] ?? '').completedAt,
    });
  }
  return path;
}

/** Where a turn stands in the tree, by numbers of turns, 0 for none. */
export interface TreePlace {
  parent: number;
  /** An ancestor, by which distant ones are reached in few steps. */
  jump: number;
  /** How many turns the path to it has. */
  depth: number;
  placesBefore: number;
  /** Places that its input takes. */
  inputPlaces: number;
}

export function placeText(place: TreePlace, turn: Pick<Turn, 'createdAt' | 'parentId' | 'id'>): string {
  const { parent, jump, depth, placesBefore, inputPlaces } = place;
  return [parent, jump, depth, placesBefore, inputPlaces, turn.createdAt, turn.parentId ?? '-', turn.id].join(
    ' ',
  );
}

/** @param places on the path up to and with the turn */
export function endText(status: TurnStatus, joined: boolean, places: number, completedAt: number): string {
  return [status, joined ? 1 : 0, places, completedAt].join(' ');
}

/** Of the turn with that end, null while it runs. */
export function statusOf(endText: string | null): TurnStatus {
  return endText === null ? 'in_progress' : parseEnd(endText).status;
}

/** The same end with another status. */
export function withStatus(endText: string, status: TurnStatus): string {
  return `${status}${endText.slice(endText.indexOf(' '))}`;
}

function parsePlace(text: string) {
  const parts = text.split(' ');
  return {
    placesBefore: Number(parts[3]),
    createdAt: Number(parts[5]),
    parentId: parts[6] === '-' ? null : (parts[6] ?? null),
    id: parts.slice(7).join(' '),
  };
}

function parseEnd(text: string): { status: TurnStatus; completedAt: number } {
  const [status = '', , , completedAt] = text.split(' ');
  return { status: status as TurnStatus, completedAt: Number(completedAt) };
}

/** Null: there are none yet. */
function parseItems(json: string | null | undefined): Item[] {
  return json === null || json === undefined ? [] : (JSON.parse(json) as Item[]);
}
