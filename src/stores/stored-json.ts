/** What every store keeps as JSON because no query asks for it. The one place where it is named and read back. */

import type { SessionSettings } from '../conversation/session.ts';
import type { TurnOutcome } from '../conversation/turn.ts';
import type { TurnSummary } from '../conversation/turn-summary.ts';

/** What settings from before a setting was known do not have. */
const LATER_SETTINGS = { ttlSeconds: null, tools: null } satisfies Partial<SessionSettings>;

export function parseSettings(json: string): SessionSettings {
  return { ...LATER_SETTINGS, ...(JSON.parse(json) as SessionSettings) };
}

/** The settings alone, named one by one: a caller's object may hold more. */
export function settingsJson(settings: SessionSettings): string {
  const { title, provider, model, fallbackProviders, memoryLimit } = settings;
  const { maxContextTokens, instructions, tools, metadata, ttlSeconds } = settings;
  return JSON.stringify({
    title,
    provider,
    model,
    fallbackProviders,
    memoryLimit,
    maxContextTokens,
    instructions,
    tools,
    metadata,
    ttlSeconds,
  } satisfies SessionSettings);
}

/** What a turn's row keeps as JSON. */
export type TurnRecord = Omit<TurnOutcome, 'status' | 'output' | 'completedAt'>;

/** Of a turn that runs; also what records from before a field was known do not have. */
const UNFINISHED: TurnRecord = {
  provider: null,
  model: null,
  providerSource: null,
  finishReason: null,
  attempts: [],
  usage: null,
  error: null,
  seenPlaces: 0,
  trace: null,
};

export function recordJson(outcome: TurnRecord): string {
  const { provider, model, providerSource, finishReason, attempts, usage, error, seenPlaces, trace } =
    outcome;
  const { asked } = outcome;
  return JSON.stringify({
    provider,
    model,
    providerSource,
    finishReason,
    attempts,
    usage,
    error,
    seenPlaces,
    trace,
    ...(asked === undefined ? {} : { asked }),
  } satisfies TurnRecord);
}

/** Of a turn that runs there is none. */
export function parseRecord(json: string | null): TurnRecord {
  return { ...UNFINISHED, ...(json === null ? undefined : (JSON.parse(json) as TurnRecord)) };
}

/** What operators see of a record: what was said before a restart is no part of it. */
export function summaryOf(
  record: TurnRecord,
): Pick<TurnSummary, Exclude<keyof TurnRecord, 'seenPlaces' | 'trace' | 'asked'>> {
  const { provider, model, providerSource, finishReason, attempts, usage, error } = record;
  return { provider, model, providerSource, finishReason, attempts, usage, error };
}

/** The record of a turn that nobody finished. */
export function interruptedRecordJson(error: TurnRecord['error']): string {
  return recordJson({ ...UNFINISHED, error });
}
