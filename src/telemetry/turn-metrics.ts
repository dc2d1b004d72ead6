/** What a turn that is over adds to the metrics, its attempts included. */

import type { Attempt, Turn } from '../conversation/turn.ts';
import { countable } from '../conversation/usage.ts';
import type { Instruments } from './instruments.ts';
import type { ModelLabels } from './model-labels.ts';

export function countTurn(instruments: Instruments, models: ModelLabels, turn: Turn): void {
  const { status, error, attempts, createdAt, trace } = turn;
  instruments.turns.inc({ status });
  if (error !== null) instruments.turnErrors.inc({ code: error.code });
  if (error?.code === 'rate_limited') {
    instruments.rateLimits.inc({ decision: 'denied', limit: String(error.details?.['limit']) });
  }
  instruments.turnSeconds.observe({ status }, seconds((turn.completedAt ?? createdAt) - createdAt));
  const toFirstToken = millisecondsToFirstToken(turn);
  if (toFirstToken !== null) instruments.turnFirstTokenSeconds.observe(seconds(toFirstToken));
  for (const step of trace ?? []) {
    if (step.kind === 'restart') instruments.restarts.inc({ reason: step.reason });
  }

  for (const attempt of attempts) if (attempt.status === 'completed') models.learn(attempt.model);
  for (const [index, attempt] of attempts.entries()) {
    const before = attempts[index - 1];
    if (before !== undefined && !isSameTarget(before, attempt)) {
      instruments.fallbacks.inc({ from_provider: before.provider, to_provider: attempt.provider });
    }
    countAttempt(instruments, models, attempt);
  }
  countPace(instruments, models, turn);
  countCalls(instruments, turn);
}

/** By their servers, which the configuration names: the names of tools are the servers' own, and without number. */
function countCalls(instruments: Instruments, { output }: Turn): void {
  for (const item of output) {
    if (item.type !== 'mcp_call') continue;
    const { server_label: server, status, duration_ms: milliseconds } = item;
    instruments.toolCalls.inc({ server, status });
    instruments.toolCallSeconds.observe({ server }, seconds(milliseconds));
  }
}

function countAttempt(instruments: Instruments, models: ModelLabels, attempt: Attempt): void {
  const target = targetOf(models, attempt);
  const operation = operationOf(models, attempt);
  const { error, usage, firstTokenMilliseconds, malformedEvents = 0 } = attempt;
  instruments.attempts.inc({ ...target, outcome: error?.kind ?? 'completed' });
  instruments.operationSeconds.observe(
    error === null ? operation : { ...operation, error_type: error.kind },
    seconds(attempt.milliseconds),
  );
  if (firstTokenMilliseconds !== null) {
    instruments.firstTokenSeconds.observe(operation, seconds(firstTokenMilliseconds));
  }
  if (malformedEvents > 0) instruments.malformedEvents.inc(target, malformedEvents);
  if (usage === null) return;
  const input = countable(usage.input_tokens);
  const output = countable(usage.output_tokens);
  const cached = countable(usage.input_tokens_details.cached_tokens);
  const reasoning = countable(usage.output_tokens_details.reasoning_tokens);
  instruments.tokenUsage.observe({ ...operation, gen_ai_token_type: 'input' }, input);
  instruments.tokenUsage.observe({ ...operation, gen_ai_token_type: 'output' }, output);
  for (const [kind, tokens] of Object.entries({ input, output, cached, reasoning })) {
    instruments.tokens.inc({ ...target, kind }, tokens);
  }
}

/** The pace of the answer that the turn has. One that came in a single piece says nothing of it. */
function countPace(instruments: Instruments, models: ModelLabels, { attempts, trace }: Turn): void {
  const answered = attempts.at(-1);
  if (answered?.status !== 'completed' || answered.usage === null) return;
  const last = trace?.at(-1);
  const cameInPieces = last !== undefined && 'lengths' in last && last.lengths.length > 1;
  const { firstTokenMilliseconds, milliseconds, usage } = answered;
  if (!cameInPieces || firstTokenMilliseconds === null || countable(usage.output_tokens) < 2) return;
  const each = (milliseconds - firstTokenMilliseconds) / (usage.output_tokens - 1);
  instruments.outputTokenSeconds.observe(operationOf(models, answered), seconds(each));
}

function millisecondsToFirstToken({ attempts, createdAt }: Turn): number | null {
  const first = attempts.find(({ firstTokenMilliseconds }) => firstTokenMilliseconds !== null);
  if (first === undefined) return null;
  return first.startedAt + (first.firstTokenMilliseconds ?? 0) - createdAt;
}

function isSameTarget(one: Attempt, other: Attempt): boolean {
  return one.provider === other.provider && one.model === other.model;
}

function targetOf(models: ModelLabels, { provider, model }: Attempt) {
  return { gen_ai_provider_name: provider, gen_ai_request_model: models.of(model) };
}

function operationOf(models: ModelLabels, attempt: Attempt) {
  return { gen_ai_operation_name: 'chat', ...targetOf(models, attempt) };
}

/** Times are those of a clock that can be set back in between. */
function seconds(milliseconds: number): number {
  return Math.max(0, milliseconds) / 1000;
}
