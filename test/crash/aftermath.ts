/**
 * What blows against servers that share a store may leave behind, and for how long. Pure: it judges turns by when they
 * began and ended, and usage by what was counted. All clocks are those of one machine.
 */

import type { TurnRecord } from './history.ts';

/** Times in milliseconds since the epoch. */
export interface Blow {
  kind: string;
  /** Whose link, or process, was hit; null for all of them. */
  server: number | null;
  begunAt: number;
  /** When whoever was not hit could go on: the lease counts from here. Infinity as long as the blow lasts. */
  passedAt: number;
}

/** One process of a server: it counts what is used under a model of its own. */
export interface ServerLife {
  server: number;
  model: string;
  /** Null for one that was not killed. */
  killedAt: number | null;
}

/** Usage is stored every second; half of one more for a machine that is busy. */
const FORGETS_MILLISECONDS = 1500;

/**
 * Turns that held their session longer than a blow explains.
 * @param most milliseconds that a turn may last, counted from the last blow in it
 */
export function stuckTurns(turns: readonly TurnRecord[], blows: readonly Blow[], most: number): string[] {
  return turns.flatMap(({ id, session_id: sessionId, created_at: createdAt, completed_at: completedAt }) => {
    if (completedAt === null) return [];
    const [begun, ended] = [Date.parse(createdAt), Date.parse(completedAt)];
    const felt = blows.filter((blow) => blow.begunAt <= ended && blow.passedAt >= begun);
    const from = Math.max(begun, ...felt.map(({ passedAt }) => passedAt));
    return ended - from > most
      ? [`session ${sessionId}: 4: turn ${id} held it for ${ended - from} ms after the last blow`]
      : [];
  });
}

/** Tokens that a process has counted too little, beyond what one that is killed may forget. */
export function missingUsage(
  turns: readonly TurnRecord[],
  lives: readonly ServerLife[],
  blows: readonly Blow[],
  counted: ReadonlyMap<string, number>,
): string[] {
  return lives.flatMap((life) => {
    const { model } = life;
    const until = rememberedUntil(life, blows);
    const used = turns
      .filter((turn) => turn.model === model && turn.status === 'completed')
      .filter(({ completed_at: completedAt }) => Date.parse(completedAt ?? '') < until)
      .reduce((sum, { usage }) => sum + (usage?.total_tokens ?? 0), 0);
    const known = counted.get(model) ?? 0;
    return known < used ? [`usage: ${model} used ${used} tokens, and ${known} are counted`] : [];
  });
}

/** What a killed process had counted before is stored, unless it could not reach the store then. */
function rememberedUntil({ server, killedAt }: ServerLife, blows: readonly Blow[]): number {
  if (killedAt === null) return Infinity;
  let until = killedAt - FORGETS_MILLISECONDS;
  const felt = blows
    .filter((blow) => blow.begunAt < killedAt && (blow.server === null || blow.server === server))
    .toSorted((one, other) => other.begunAt - one.begunAt);
  for (const { begunAt, passedAt } of felt)
    if (passedAt > until) until = Math.min(until, begunAt - FORGETS_MILLISECONDS);
  return until;
}
