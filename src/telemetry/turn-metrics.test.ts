import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Registry } from 'prom-client';
import type { McpCallItem } from '../conversation/item.ts';
import type { Attempt, Turn } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import { createInstruments } from './instruments.ts';
import { createModelLabels } from './model-labels.ts';
import { countTurn } from './turn-metrics.ts';

const BEGIN = 1_700_000_000_000;

const usageOf = (input: number, output: number, cached = 0, reasoning = 0): Usage => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: cached },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: reasoning },
  total_tokens: input + output,
});

function attemptOf(some: Partial<Attempt> = {}): Attempt {
  return {
    provider: 'openai',
    model: 'm',
    status: 'completed',
    error: null,
    startedAt: BEGIN,
    firstTokenMilliseconds: 100,
    milliseconds: 1000,
    usage: usageOf(10, 10),
    ...some,
  };
}

const failed = (kind: string, some: Partial<Attempt> = {}): Attempt =>
  attemptOf({ status: 'failed', error: { kind }, firstTokenMilliseconds: null, usage: null, ...some });

function turnOf(attempts: Attempt[], some: Partial<Turn> = {}): Turn {
  return {
    id: 'turn',
    sessionId: 'session',
    parentId: null,
    status: 'completed',
    input: [],
    output: [],
    provider: 'openai',
    model: 'm',
    providerSource: 'default',
    finishReason: 'stop',
    attempts,
    usage: null,
    error: null,
    seenPlaces: 0,
    trace: [{ kind: 'message', lengths: [5, 5] }],
    createdAt: BEGIN,
    completedAt: BEGIN + 2000,
    ...some,
  };
}

/** The samples that these turns make, of the metrics whose name begins so; of histograms sum and count. */
async function samples(beginning: string, ...turns: Turn[]): Promise<Record<string, number>> {
  const registry = new Registry();
  const instruments = createInstruments(registry);
  const models = createModelLabels([]);
  for (const turn of turns) countTurn(instruments, models, turn);
  const lines = (await registry.metrics()).split('\n');
  const told = lines.filter((line) => line.startsWith(beginning) && !line.includes('_bucket'));
  return Object.fromEntries(
    told.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(beginning.length, space), Number(line.slice(space))];
    }),
  );
}

const TARGET = 'gen_ai_provider_name="openai",gen_ai_request_model="m"';
const OPERATION = `gen_ai_operation_name="chat",${TARGET}`;

describe('a turn', () => {
  it('is counted by how it ended, with its error and how long it took', async () => {
    const error = { code: 'provider_error', message: 'No provider could answer.' } as const;
    const turns = [turnOf([attemptOf()]), turnOf([failed('timeout')], { status: 'failed', error })];
    assert.deepEqual(await samples('parley_turns_total', ...turns), {
      '{status="completed"}': 1,
      '{status="failed"}': 1,
    });
    assert.deepEqual(await samples('parley_turn_errors_total', ...turns), { '{code="provider_error"}': 1 });
    assert.deepEqual(await samples('parley_turn_duration_seconds', ...turns), {
      '_sum{status="completed"}': 2,
      '_count{status="completed"}': 1,
      '_sum{status="failed"}': 2,
      '_count{status="failed"}': 1,
    });
  });

  it('adds the time that failed attempts took to that of its first token', async () => {
    const turn = turnOf([failed('server_error'), attemptOf({ startedAt: BEGIN + 400 })]);
    assert.deepEqual(await samples('parley_turn_time_to_first_token_seconds', turn), {
      _sum: 0.5,
      _count: 1,
    });
    assert.deepEqual(await samples('parley_turn_time_to_first_token_seconds', turnOf([failed('timeout')])), {
      _sum: 0,
      _count: 0,
    });
  });

  it('counts a fallback for every target after the first, and none for a second try', async () => {
    const turn = turnOf([
      failed('server_error'),
      failed('server_error'),
      failed('timeout', { model: 'other-model' }),
      attemptOf({ provider: 'local' }),
    ]);
    assert.deepEqual(await samples('parley_fallbacks_total', turn), {
      '{from_provider="openai",to_provider="openai"}': 1,
      '{from_provider="openai",to_provider="local"}': 1,
    });
  });

  it('counts its restarts', async () => {
    const restart = { kind: 'restart', reason: 'interrupted', message: 'a', reasoning: '' } as const;
    const turn = turnOf([attemptOf()], { trace: [restart, { kind: 'message', lengths: [1] }, restart] });
    assert.deepEqual(await samples('parley_restarts_total', turn), { '{reason="interrupted"}': 2 });
  });

  it('counts and times its calls by their servers', async () => {
    const call = (status: McpCallItem['status'], milliseconds: number): McpCallItem => ({
      type: 'mcp_call',
      id: `mcp_${milliseconds}`,
      call_id: 'c',
      server_label: 'files',
      name: 'whatever its server calls it',
      function_name: 'f',
      arguments: '{}',
      output: null,
      error: null,
      status,
      duration_ms: milliseconds,
      step: 1,
    });
    const output = [call('completed', 500), call('completed', 1000), call('failed', 1500)];
    const turn = turnOf([attemptOf()], { output });
    assert.deepEqual(await samples('parley_tool_calls_total', turn), {
      '{server="files",status="completed"}': 2,
      '{server="files",status="failed"}': 1,
    });
    assert.deepEqual(await samples('parley_tool_call_duration_seconds', turn), {
      '_sum{server="files"}': 3,
      '_count{server="files"}': 3,
    });
  });
});

describe('an attempt', () => {
  it('is counted and timed by what came of it', async () => {
    const turn = turnOf([failed('timeout', { milliseconds: 500, malformedEvents: 3 }), attemptOf()]);
    assert.deepEqual(await samples('parley_attempts_total', turn), {
      [`{${TARGET},outcome="timeout"}`]: 1,
      [`{${TARGET},outcome="completed"}`]: 1,
    });
    assert.deepEqual(await samples('parley_malformed_events_total', turn), { [`{${TARGET}}`]: 3 });
    assert.deepEqual(await samples('gen_ai_client_operation_duration_seconds', turn), {
      [`_sum{${OPERATION},error_type="timeout"}`]: 0.5,
      [`_count{${OPERATION},error_type="timeout"}`]: 1,
      [`_sum{${OPERATION}}`]: 1,
      [`_count{${OPERATION}}`]: 1,
    });
    assert.deepEqual(await samples('gen_ai_server_time_to_first_token_seconds', turn), {
      [`_sum{${OPERATION}}`]: 0.1,
      [`_count{${OPERATION}}`]: 1,
    });
  });

  it('counts its tokens, those of a failed one included', async () => {
    const turn = turnOf([
      failed('interrupted', { usage: usageOf(7, 2) }),
      attemptOf({ usage: usageOf(20, 5, 16, 4) }),
    ]);
    assert.deepEqual(await samples('parley_tokens_total', turn), {
      [`{${TARGET},kind="input"}`]: 27,
      [`{${TARGET},kind="output"}`]: 7,
      [`{${TARGET},kind="cached"}`]: 16,
      [`{${TARGET},kind="reasoning"}`]: 4,
    });
    assert.deepEqual(await samples('gen_ai_client_token_usage', turn), {
      [`_sum{${OPERATION},gen_ai_token_type="input"}`]: 27,
      [`_count{${OPERATION},gen_ai_token_type="input"}`]: 2,
      [`_sum{${OPERATION},gen_ai_token_type="output"}`]: 7,
      [`_count{${OPERATION},gen_ai_token_type="output"}`]: 2,
    });
  });

  it('tells the pace of an answer that came in pieces, and of no other', async () => {
    const name = 'gen_ai_server_time_per_output_token_seconds';
    assert.deepEqual(await samples(name, turnOf([attemptOf()])), {
      [`_sum{${OPERATION}}`]: 0.1,
      [`_count{${OPERATION}}`]: 1,
    });
    const whole = turnOf([attemptOf()], { trace: [{ kind: 'message', lengths: [10] }] });
    const oneToken = turnOf([attemptOf({ usage: usageOf(10, 1) })]);
    const untold = turnOf([attemptOf({ usage: null })]);
    const lost = turnOf([attemptOf()], { trace: null });
    const brokenOff = turnOf([failed('interrupted', { firstTokenMilliseconds: 5, usage: usageOf(1, 9) })]);
    assert.deepEqual(await samples(name, whole, oneToken, untold, lost, brokenOff, turnOf([])), {});
  });

  it('has its model as a label only if a provider has answered for it', async () => {
    const turns = [
      turnOf([failed('model_not_found', { model: 'sk-a-key-in-the-wrong-place' })]),
      turnOf([failed('timeout', { model: 'late' }), attemptOf({ model: 'late' })]),
    ];
    const told = Object.keys(await samples('parley_attempts_total', ...turns));
    assert.deepEqual(
      told.map((labels) => /model="([^"]*)"/.exec(labels)?.[1]),
      ['other', 'late', 'late'],
    );
  });

  it('can say what it likes of its usage, and the clock can be set back', () => {
    const wild = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(-1, Infinity, -Infinity, NaN));
    fc.assert(
      fc.property(fc.tuple(wild, wild, wild, wild), fc.integer(), (numbers, shift) => {
        const registry = new Registry();
        const turn = turnOf([attemptOf({ usage: usageOf(...numbers), milliseconds: shift })], {
          completedAt: BEGIN + shift,
        });
        countTurn(createInstruments(registry), createModelLabels([]), turn);
      }),
    );
  });
});
