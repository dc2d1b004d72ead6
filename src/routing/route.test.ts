import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { finish, never, type ScriptedProvider, scriptedProvider } from '../../test/scripted-provider.ts';
import type { Attempt } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { ProviderFailure } from '../providers/provider.ts';
import type { Clocks } from './attempt.ts';
import { type RouteEvent, route } from './route.ts';
import type { Target, Targets } from './targets.ts';

const PATIENT: Clocks = { firstTokenMilliseconds: 60_000, idleMilliseconds: 60_000 };
const HASTY: Clocks = { firstTokenMilliseconds: 20, idleMilliseconds: 20 };

interface Played {
  events: RouteEvent[];
  error: unknown;
}

/** Runs a route over these providers to its end. */
async function play(
  providers: readonly [ScriptedProvider, ...ScriptedProvider[]],
  { clocks = PATIENT, signal = new AbortController().signal } = {},
): Promise<Played> {
  const [first, ...rest] = providers;
  const targets: Targets = [target(first, 'default'), ...rest.map((one) => target(one, 'fallback'))];
  const events: RouteEvent[] = [];
  const prompt = { instructions: null, items: [], options: {}, stream: true };
  try {
    for await (const event of route(targets, prompt, clocks, signal)) events.push(event);
    return { events, error: null };
  } catch (error) {
    return { events, error };
  }
}

function target(provider: ScriptedProvider, source: Target['source']): Target {
  return { provider, model: provider.defaultModel ?? '', source };
}

function textOf({ events }: Played): string {
  return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
}

function attemptsOf({ events }: Played): Attempt[] {
  return events.filter((event) => event.type === 'attempt-ended').map(({ attempt }) => attempt);
}

function kindsOf(played: Played): (string | null)[] {
  return attemptsOf(played).map(({ error }) => error?.kind ?? null);
}

describe('a route', () => {
  it('passes on what the first target answers, and records the attempt', async () => {
    const usage = {
      input_tokens: 1,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: 2,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 3,
    };
    const first = scriptedProvider('first', ['a', 'b', { ...finish('m-1'), usage } as never]);
    const second = scriptedProvider('second', ['x']);
    const played = await play([first, second]);
    assert.equal(played.error, null);
    assert.deepEqual(
      played.events.map(({ type }) => type),
      ['attempt-started', 'text-delta', 'text-delta', 'finish', 'attempt-ended'],
    );
    const [attempt] = attemptsOf(played);
    assert.equal(attempt?.status, 'completed');
    assert.deepEqual(attempt?.usage, usage);
    assert.notEqual(attempt?.firstTokenMilliseconds, null);
    assert.equal(second.prompts.length, 0);
    assert.equal(first.prompts[0]?.model, 'first-model');
  });

  const passing: ProviderFailure[] = [
    'unreachable',
    'server_error',
    'rate_limited',
    'unauthorized',
    'model_not_found',
    'invalid_answer',
    'interrupted',
  ];
  for (const kind of passing) {
    it(`goes on to the next target after ${kind}`, async () => {
      const played = await play([
        scriptedProvider('first', [{ fail: kind, details: { status: 599 } }]),
        scriptedProvider('second', ['hello']),
      ]);
      assert.equal(played.error, null);
      assert.equal(textOf(played), 'hello');
      assert.deepEqual(kindsOf(played), [kind, null]);
      assert.equal(attemptsOf(played)[0]?.error?.httpStatus, 599);
      const started = played.events.filter((event) => event.type === 'attempt-started');
      assert.deepEqual(
        started.map(({ source }) => source),
        ['default', 'fallback'],
      );
    });
  }

  const own: [ProviderFailure, string][] = [
    ['bad_request', 'provider_rejected_request'],
    ['context_length_exceeded', 'context_length_exceeded'],
    ['content_filter', 'content_filtered'],
  ];
  for (const [kind, code] of own) {
    it(`ends with the caller's own error after ${kind}, in the provider's words`, async () => {
      const second = scriptedProvider('second', ['hello']);
      const details = { status: 400, providerMessage: 'too hot' };
      const played = await play([scriptedProvider('first', [{ fail: kind, details }]), second]);
      assertAppError(played.error, code);
      assert.deepEqual(played.error.details, { provider_message: 'too hot' });
      assert.equal(second.prompts.length, 0);
      assert.deepEqual(kindsOf(played), [kind]);
    });
  }

  const ends: [ProviderFailure[], string][] = [
    [['server_error', 'unreachable'], 'provider_error'],
    [['timeout', 'timeout'], 'provider_timeout'],
    [['rate_limited', 'rate_limited'], 'provider_rate_limited'],
    [['rate_limited', 'timeout'], 'provider_error'],
    [['server_error', 'bad_request'], 'provider_rejected_request'],
  ];
  for (const [[first = 'timeout', second = 'timeout'], code] of ends) {
    it(`is ${code} after ${first} and ${second}, without a word of the provider's unless it is the caller's`, async () => {
      const secret = { providerMessage: 'internal' };
      const played = await play([
        scriptedProvider('first', [{ fail: first, details: secret }]),
        scriptedProvider('second', [{ fail: second }]),
      ]);
      assertAppError(played.error, code);
      assert.doesNotMatch(JSON.stringify(played), /internal/);
      assert.equal(attemptsOf(played).length, 2);
    });
  }

  it('does not start again once something has been passed on', async () => {
    const second = scriptedProvider('second', ['hello']);
    const played = await play([scriptedProvider('first', ['part', { fail: 'interrupted' }]), second]);
    assertAppError(played.error, 'provider_error');
    assert.equal(textOf(played), 'part');
    assert.equal(second.prompts.length, 0);
  });

  it('gives a target the time to its first token, and names that clock', async () => {
    const played = await play([scriptedProvider('slow', [never]), scriptedProvider('second', ['hello'])], {
      clocks: HASTY,
    });
    assert.equal(textOf(played), 'hello');
    assert.deepEqual(attemptsOf(played)[0]?.error, { kind: 'timeout', clock: 'first_token' });
  });

  it('gives a target the time between tokens, and names that clock', async () => {
    const played = await play([scriptedProvider('slow', ['part', never])], { clocks: HASTY });
    assertAppError(played.error, 'provider_timeout');
    assert.deepEqual(attemptsOf(played)[0]?.error, { kind: 'timeout', clock: 'idle' });
  });

  it('ends with the reason of its signal, at once and without another target', async () => {
    const controller = new AbortController();
    const second = scriptedProvider('second', ['hello']);
    const playing = play([scriptedProvider('slow', [never]), second], { signal: controller.signal });
    const reason = new AppError('server_shutting_down');
    setImmediate(() => controller.abort(reason));
    const played = await playing;
    assert.equal(played.error, reason);
    assert.equal(second.prompts.length, 0);
    assert.deepEqual(kindsOf(played), ['aborted']);
  });

  it('does not take a mistake of its own for a failure of the provider', async () => {
    const broken = scriptedProvider('broken');
    broken.stream = () => {
      throw new TypeError('a bug');
    };
    const played = await play([broken, scriptedProvider('second', ['hello'])]);
    assert.ok(played.error instanceof TypeError);
    assert.deepEqual(kindsOf(played), ['internal']);
  });
});

function assertAppError(error: unknown, code: string): asserts error is AppError {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code);
}
