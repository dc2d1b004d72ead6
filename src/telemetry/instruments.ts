/**
 * What is counted and timed as it happens: every counter and histogram with its name, its labels and its buckets.
 * `docs/metrics.md` shows the same table, held together by a test. What is read when somebody asks is in `gauges.ts`.
 *
 * No label takes a value without a bound: patterns of routes, statuses, codes of the catalogue, configured
 * providers, and models as `model-labels.ts` allows them.
 */

import { Counter, Histogram, type Registry } from 'prom-client';

/** From what needs no model to an answer that is streamed for minutes. */
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
/** From a read in memory to a disk in trouble. */
const STORE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
/** The buckets below are those that OpenTelemetry prescribes for its names. */
const OPERATION_SECONDS = [
  0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const FIRST_TOKEN_SECONDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
];
const OUTPUT_TOKEN_SECONDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
const TOKENS = Array.from({ length: 14 }, (_, power) => 4 ** power);

/** A target by the names that OpenTelemetry gives to provider and model. */
export const TARGET_LABELS = ['gen_ai_provider_name', 'gen_ai_request_model'] as const;
const OPERATION_LABELS = ['gen_ai_operation_name', ...TARGET_LABELS] as const;

export type Instruments = ReturnType<typeof createInstruments>;

/** Registers all of them, each with its value at zero. */
export function createInstruments(registry: Registry) {
  const registers = [registry];
  return {
    ...httpInstruments(registers),
    ...turnInstruments(registers),
    ...modelInstruments(registers),
    targetStateChanges: new Counter({
      name: 'parley_target_state_changes_total',
      help: 'Changes of a target, by the state that it came to.',
      labelNames: [...TARGET_LABELS, 'state'] as const,
      registers,
    }),
    storeSeconds: new Histogram({
      name: 'parley_store_call_duration_seconds',
      help: 'How long the store takes for a call, by the method of its contract and whether the store failed.',
      labelNames: ['method', 'outcome'] as const,
      buckets: STORE_SECONDS,
      registers,
    }),
  };
}

function httpInstruments(registers: Registry[]) {
  return {
    requests: new Counter({
      name: 'parley_http_requests_total',
      help: 'Requests that are over; the status is none where the client left before the answer began.',
      labelNames: ['method', 'route', 'status'] as const,
      registers,
    }),
    requestSeconds: new Histogram({
      name: 'parley_http_request_duration_seconds',
      help: 'From the head of a request to the end of its answer, streams included.',
      labelNames: ['method', 'route'] as const,
      buckets: REQUEST_SECONDS,
      registers,
    }),
    errors: new Counter({
      name: 'parley_http_errors_total',
      help: 'Requests that were answered with an error, by its code.',
      labelNames: ['code'] as const,
      registers,
    }),
    rateLimits: new Counter({
      name: 'parley_rate_limit_decisions_total',
      help: 'Requests that were allowed or denied by the limits, and the limit that denied them.',
      labelNames: ['decision', 'limit'] as const,
      registers,
    }),
  };
}

function turnInstruments(registers: Registry[]) {
  return {
    turns: new Counter({
      name: 'parley_turns_total',
      help: 'Turns that are over, by how they ended.',
      labelNames: ['status'] as const,
      registers,
    }),
    turnErrors: new Counter({
      name: 'parley_turn_errors_total',
      help: 'Turns that ended with an error, by its code.',
      labelNames: ['code'] as const,
      registers,
    }),
    turnSeconds: new Histogram({
      name: 'parley_turn_duration_seconds',
      help: 'From the beginning of a turn to its end, every attempt and wait included.',
      labelNames: ['status'] as const,
      buckets: REQUEST_SECONDS,
      registers,
    }),
    turnFirstTokenSeconds: new Histogram({
      name: 'parley_turn_time_to_first_token_seconds',
      help: 'From the beginning of a turn to its first token, failed attempts before it included.',
      buckets: FIRST_TOKEN_SECONDS,
      registers,
    }),
    fallbacks: new Counter({
      name: 'parley_fallbacks_total',
      help: 'Attempts at another target because the one before had failed, by their providers.',
      labelNames: ['from_provider', 'to_provider'] as const,
      registers,
    }),
    restarts: new Counter({
      name: 'parley_restarts_total',
      help: 'Answers that were begun anew after the client had seen part of one, by the kind of failure.',
      labelNames: ['reason'] as const,
      registers,
    }),
    toolCalls: new Counter({
      name: 'parley_tool_calls_total',
      help: 'Calls of tools inside turns, by how they ended; incomplete ones may have been done all the same.',
      labelNames: ['server', 'status'] as const,
      registers,
    }),
    toolCallSeconds: new Histogram({
      name: 'parley_tool_call_duration_seconds',
      help: 'How long a call of a tool takes.',
      labelNames: ['server'] as const,
      buckets: OPERATION_SECONDS,
      registers,
    }),
  };
}

function modelInstruments(registers: Registry[]) {
  return {
    attempts: new Counter({
      name: 'parley_attempts_total',
      help: 'Tries at a target, by completed or the kind of failure.',
      labelNames: [...TARGET_LABELS, 'outcome'] as const,
      registers,
    }),
    malformedEvents: new Counter({
      name: 'parley_malformed_events_total',
      help: 'Events of the streams of providers that could not be read and were skipped.',
      labelNames: TARGET_LABELS,
      registers,
    }),
    tokens: new Counter({
      name: 'parley_tokens_total',
      help: 'Tokens used: input and output; cached ones are part of input, reasoning ones of output.',
      labelNames: [...TARGET_LABELS, 'kind'] as const,
      registers,
    }),
    operationSeconds: new Histogram({
      name: 'gen_ai_client_operation_duration_seconds',
      help: 'How long an attempt takes, by the kind of failure if it failed.',
      labelNames: [...OPERATION_LABELS, 'error_type'] as const,
      buckets: OPERATION_SECONDS,
      registers,
    }),
    tokenUsage: new Histogram({
      name: 'gen_ai_client_token_usage',
      help: 'Tokens of an attempt, input or output.',
      labelNames: [...OPERATION_LABELS, 'gen_ai_token_type'] as const,
      buckets: TOKENS,
      registers,
    }),
    firstTokenSeconds: new Histogram({
      name: 'gen_ai_server_time_to_first_token_seconds',
      help: 'From the beginning of an attempt to its first token.',
      labelNames: OPERATION_LABELS,
      buckets: FIRST_TOKEN_SECONDS,
      registers,
    }),
    outputTokenSeconds: new Histogram({
      name: 'gen_ai_server_time_per_output_token_seconds',
      help: 'Seconds for each token after the first, of answers that came in pieces.',
      labelNames: OPERATION_LABELS,
      buckets: OUTPUT_TOKEN_SECONDS,
      registers,
    }),
  };
}
