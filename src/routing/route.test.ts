import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { finish, never, type ScriptedProvider, scriptedProvider } from '../../test/scripted-provider.ts';
import type { Attempt } from '../conversation/turn.ts';
import { AppError } from '../errors.ts';
import type { ProviderErrorDetails, ProviderEvent, ProviderFailure } from '../providers/provider.ts';
import { createBreakers } from './breaker.ts';
import { failureTable } from './failure.ts';
import { type RouteConditions, type RouteEvent, route } from './route.ts';
import type { Target, Targets } from './target.ts';

const HASTY = { firstTokenMilliseconds: 20, idleMilliseconds: 20 };
const BROKEN = { fail: 'interrupted' } as const;
const CALL: ProviderEvent = { type: 'tool-call', callId: 'c', name: 'look', arguments: '{}' };

/** Conditions under which no clock runs out, no pause takes time, and the breakers' clock stands still. */
function conditions(some: Partial<RouteConditions> = {}): RouteConditions {
  return {
    firstTokenMilliseconds: 60_000,
    idleMilliseconds: 60_000,
    turnMilliseconds: 60_000,
    answerMaxBytes: 1000,
    breakers: createBreakers({
      onChange: () => undefined,
      now: () => 0,
    }),
    random: () => 0,
    ...some,
  };
}

interface Played {
  events: RouteEvent[];
  error: unknown;
}

interface Playing extends Partial<RouteConditions> {
  signal?: AbortSignal;
  onEvent?: (event: RouteEvent) => void;
}

/** Runs a route over these providers to its end. */
async function play(
  providers: readonly [ScriptedProvider, ...ScriptedProvider[]],
  { signal = new AbortController().signal, onEvent = () => undefined, ...some }: Playing = {},
): Promise<Played> {
  const [first, ...rest] = providers;
  const targets: Targets = [target(first, 'default'), ...rest.map((one) => target(one, 'fallback'))];
  const events: RouteEvent[] = [];
  const prompt = { instructions: 'Be kind.', items: [], options: { seed: 1 }, stream: true };
  try {
    await route(targets, prompt, conditions(some), signal, (event) => {
      events.push(event);
      onEvent(event);
    });
    return { events, error: null };
  } catch (error) {
    return { events, error };
  }
}

function target(provider: ScriptedProvider, source: Target['source']): Target {
  const { contextTokens } = provider;
  return { provider, model: provider.defaultModel ?? '', source, contextTokens };
}

/** The text that the client has at the end. */
function textOf({ events }: Played): string {
  const start = events.findLastIndex(({ type }) => type === 'restart') + 1;
  return events
    .slice(start)
    .map((event) => (event.type === 'text-delta' ? event.text : ''))
    .join('');
}

function typesOf({ events }: Played): string[] {
  return events.map(({ type }) => type);
}

function attemptsOf({ events }: Played): Attempt[] {
  return events.filter((event) => event.type === 'attempt-ended').map(({ attempt }) => attempt);
}

/** How the attempts ended, as `provider kind`. */
function courseOf(played: Played): string[] {
  return attemptsOf(played).map(({ provider, error }) => `${provider} ${error?.kind ?? 'completed'}`);
}

function failing(name: string, kind: ProviderFailure, details: ProviderErrorDetails = {}): ScriptedProvider {
  return scriptedProvider(name, [{ fail: kind, details }]);
}

function assertAppError(error: unknown, code: string, details?: object): asserts error is AppError {
  assert.ok(error instanceof AppError, String(error));
  assert.equal(error.code, code);
  assert.deepEqual(error.details, details);
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
    const last = { ...finish('m-1'), usage, malformedEvents: 1 };
    const first = scriptedProvider('first', ['a', 'b', last]);
    const second = scriptedProvider('second', ['x']);
    const played = await play([first, second]);
    assert.equal(played.error, null);
    assert.deepEqual(typesOf(played), [
      'attempt-started',
      'text-delta',
      'text-delta',
      'finish',
      'attempt-ended',
    ]);
    const [attempt] = attemptsOf(played);
    assert.deepEqual([attempt?.status, attempt?.error], ['completed', null]);
    assert.deepEqual(attempt?.usage, usage);
    assert.equal(attempt?.malformedEvents, 1);
    assert.notEqual(attempt?.firstTokenMilliseconds, null);
    assert.deepEqual(first.prompts, [
      {
        model: 'first-model',
        instructions: 'Be kind.',
        items: [],
        options: { seed: 1 },
        stream: true,
        continueFrom: null,
      },
    ]);
    assert.equal(second.prompts.length, 0);
  });

  for (const [kind, { again, next }] of Object.entries(failureTable)) {
    if (next !== 'yes') continue;
    it(`goes on to the next target after ${kind}`, async () => {
      const first = failing('first', kind as ProviderFailure, { status: 599, retryAfterMilliseconds: 9000 });
      const played = await play([first, scriptedProvider('second', ['hello'])]);
      assert.equal(played.error, null);
      assert.equal(textOf(played), 'hello');
      const failed = Array.from({ length: again === 'once' ? 2 : 1 }, () => `first ${kind}`);
      assert.deepEqual(courseOf(played), [...failed, 'second completed']);
      assert.deepEqual(attemptsOf(played)[0]?.error, { kind, httpStatus: 599 });
      assert.equal(attemptsOf(played)[0]?.firstTokenMilliseconds, null);
      const started = played.events.filter((event) => event.type === 'attempt-started');
      assert.deepEqual(
        started.map(({ provider, model, source }) => `${provider} ${model} ${source}`),
        [...failed.map(() => 'first first-model default'), 'second second-model fallback'],
      );
    });
  }

  it('asks the same target again', async () => {
    const first = scriptedProvider('first', [{ fail: 'server_error' }], ['hello']);
    const played = await play([first]);
    assert.equal(textOf(played), 'hello');
    assert.deepEqual(courseOf(played), ['first server_error', 'first completed']);
  });

  for (const kind of ['bad_request', 'context_length_exceeded', 'content_filter'] as const) {
    it(`ends with the caller's own error after ${kind}, in the provider's words`, async () => {
      const second = scriptedProvider('second', ['hello']);
      const played = await play([failing('first', kind, { providerMessage: 'too hot' }), second]);
      assertAppError(played.error, failureTable[kind].code, { provider_message: 'too hot' });
      assert.equal(second.prompts.length, 0);
      assert.deepEqual(courseOf(played), [`first ${kind}`]);
    });
  }

  it('ends with what all failures have in common, without a word of the providers', async () => {
    const secret = { providerMessage: 'internal', retryAfterMilliseconds: 99_000 };
    const mixed = await play([
      failing('first', 'rate_limited', secret),
      failing('second', 'timeout', secret),
    ]);
    assertAppError(mixed.error, 'provider_error');
    assert.deepEqual(courseOf(mixed), ['first rate_limited', 'second timeout']);
    assert.doesNotMatch(JSON.stringify(mixed), /internal/);
    const other = { retryAfterMilliseconds: 70_000 };
    const limited = await play([
      failing('first', 'rate_limited', secret),
      failing('second', 'rate_limited', other),
    ]);
    assertAppError(limited.error, 'provider_rate_limited', { retry_after: 70 });
  });

  it('asks nobody when all want to be left alone for longer than there is time, and says until when', async () => {
    const given = conditions();
    for (const [provider, milliseconds] of [
      ['first', 90_000],
      ['second', 80_500],
    ] as const) {
      given.breakers
        .of({ provider, model: `${provider}-model` })
        .begin()
        .rest(milliseconds);
    }
    const played = await play([scriptedProvider('first', ['a']), scriptedProvider('second', ['b'])], given);
    assertAppError(played.error, 'provider_rate_limited', { retry_after: 81 });
    assert.deepEqual(played.events, []);
  });

  it('does not take a mistake of its own for a failure of the provider', async () => {
    const broken = scriptedProvider('broken');
    broken.stream = () => {
      throw new TypeError('a bug');
    };
    const played = await play([broken, scriptedProvider('second', ['hello'])]);
    assert.ok(played.error instanceof TypeError);
    assert.deepEqual(courseOf(played), ['broken internal']);
  });

  it('tells the breakers how attempts end', async () => {
    const given = conditions();
    const states = () => given.breakers.states().map(({ provider, state }) => `${provider} ${state}`);
    await play(
      [
        failing('refusing', 'unauthorized'),
        failing('limiting', 'rate_limited'),
        failing('bad', 'bad_request'),
      ],
      given,
    );
    assert.deepEqual(states(), ['refusing open', 'limiting resting', 'bad closed']);
    const breaking = scriptedProvider('breaking', ['part', BROKEN]);
    for (let turn = 0; turn < 5; turn += 1) await play([breaking], given);
    assert.equal(states().at(-1), 'breaking open');
    await play([scriptedProvider('breaking', ['whole'])], given);
    assert.equal(states().at(-1), 'breaking closed');
  });
});

describe('the clocks of a route', () => {
  it('give a target the time to its first token, and name that clock', async () => {
    const played = await play(
      [scriptedProvider('slow', [never]), scriptedProvider('second', ['hello'])],
      HASTY,
    );
    assert.equal(textOf(played), 'hello');
    assert.deepEqual(attemptsOf(played)[0]?.error, { kind: 'timeout', clock: 'first_token' });
  });

  it('give the whole turn its time, and name that clock, whoever is left', async () => {
    const second = scriptedProvider('second', ['hello']);
    const played = await play([scriptedProvider('slow', [never]), second], { turnMilliseconds: 20 });
    assertAppError(played.error, 'provider_timeout', { clock: 'turn' });
    assert.deepEqual(attemptsOf(played)[0]?.error, { kind: 'timeout', clock: 'turn' });
    assert.equal(second.prompts.length, 0);
  });

  it('end a rescue with the turn’s time', async () => {
    const providers = ['second', 'third'].map((name) => scriptedProvider(name, [never]));
    const [second, third] = providers as [ScriptedProvider, ScriptedProvider];
    const first = scriptedProvider('first', ['part', BROKEN]);
    const played = await play([first, second, third], { turnMilliseconds: 50 });
    assertAppError(played.error, 'provider_timeout', { clock: 'turn' });
    assert.equal(textOf(played), 'part');
    assert.equal(third.prompts.length, 0);
  });
});

describe('the signal of a route', () => {
  const reason = new AppError('server_shutting_down');

  it('ends an attempt with its reason, at once and without another target', async () => {
    const controller = new AbortController();
    const second = scriptedProvider('second', ['hello']);
    const given = conditions();
    const played = await play([scriptedProvider('slow', ['part', never]), second], {
      ...given,
      signal: controller.signal,
      onEvent: ({ type }) => type === 'text-delta' && setImmediate(() => controller.abort(reason)),
    });
    assert.equal(played.error, reason);
    assert.equal(second.prompts.length, 0);
    assert.deepEqual(courseOf(played), ['slow aborted']);
    assert.equal(given.breakers.states()[0]?.state, 'closed');
  });

  it('ends a pause', async () => {
    const controller = new AbortController();
    const first = failing('first', 'rate_limited', { retryAfterMilliseconds: 50_000 });
    const played = await play([first], {
      signal: controller.signal,
      onEvent: ({ type }) => type === 'attempt-ended' && setImmediate(() => controller.abort(reason)),
    });
    assert.equal(played.error, reason);
    assert.equal(first.prompts.length, 1);
  });
});

describe('an answer that breaks off', () => {
  const TEXT = 'Once upon a time';

  it('fails where nobody is left, with its own error', async () => {
    const played = await play([
      scriptedProvider('first', [TEXT, { fail: 'rate_limited', details: { retryAfterMilliseconds: 5000 } }]),
    ]);
    assertAppError(played.error, 'provider_rate_limited', { retry_after: 5 });
    assert.equal(textOf(played), TEXT);
    assert.deepEqual(courseOf(played), ['first rate_limited']);
  });

  it('is repeated by another target without a seam', async () => {
    const second = scriptedProvider('second', [`${TEXT}, th`, 'ere']);
    const played = await play([scriptedProvider('first', [TEXT, BROKEN]), second]);
    assert.equal(played.error, null);
    assert.equal(textOf(played), `${TEXT}, there`);
    assert.equal(typesOf(played).includes('restart'), false);
    assert.equal(second.prompts[0]?.continueFrom, null);
    assert.deepEqual(courseOf(played), ['first interrupted', 'second completed']);
  });

  it('is continued by one that can, and again by the first if that breaks off too', async () => {
    const first = scriptedProvider(
      { name: 'first', continuation: 'prefill' },
      [`${TEXT} `, BROKEN],
      [' end'],
    );
    const second = scriptedProvider({ name: 'second', continuation: 'instruct' }, [
      ' a time there was the',
      BROKEN,
    ]);
    const played = await play([first, second]);
    assert.equal(textOf(played), `${TEXT} a time there was the end`);
    assert.equal(second.prompts[0]?.continueFrom, TEXT);
    assert.equal(first.prompts[1]?.continueFrom, `${TEXT} a time there was the`);
    assert.deepEqual(courseOf(played), ['first interrupted', 'second interrupted', 'first completed']);
  });

  it('is taken back for what ended the attempt that made it, not for what failed since', async () => {
    const played = await play(
      [
        scriptedProvider('first', [TEXT, never]),
        failing('second', 'unauthorized'),
        scriptedProvider('third', ['There', ' was', BROKEN]),
        scriptedProvider('fourth', ['It', ' is']),
      ],
      HASTY,
    );
    assert.equal(played.error, null);
    assert.equal(textOf(played), 'It is');
    const reasons = played.events.map((event) => (event.type === 'restart' ? event.reason : null));
    assert.deepEqual(
      reasons.filter((reason) => reason !== null),
      ['timeout', 'interrupted'],
    );
  });

  it('is made by the second attempt of a target that fails for a moment', async () => {
    const first = scriptedProvider('first', [TEXT, BROKEN]);
    const second = scriptedProvider('second', [{ fail: 'server_error' }], [`${TEXT}.`]);
    const played = await play([first, second]);
    assert.equal(textOf(played), `${TEXT}.`);
    assert.equal(attemptsOf(played).length, 3);
  });

  it('is not refused for what a rescue is refused for', async () => {
    const first = scriptedProvider('first', [TEXT, BROKEN]);
    const refusing = failing('second', 'bad_request', { providerMessage: 'no beginnings' });
    const third = scriptedProvider('third', [`${TEXT}.`]);
    assert.equal(textOf(await play([first, refusing, third])), `${TEXT}.`);
    const played = await play([first, refusing]);
    assertAppError(played.error, 'provider_error');
    assert.equal(textOf(played), TEXT);
  });

  it('is taken back where there was reasoning alone', async () => {
    const thought: ProviderEvent = { type: 'reasoning-delta', text: 'hm' };
    const second = scriptedProvider({ name: 'second', continuation: 'prefill' }, [TEXT]);
    const played = await play([scriptedProvider('first', [thought, BROKEN]), second]);
    assert.equal(textOf(played), TEXT);
    assert.equal(typesOf(played).filter((type) => type === 'restart').length, 1);
    assert.equal(second.prompts[0]?.continueFrom, null);
  });

  for (const [what, script] of [
    ['a call was passed on, which may be done already', [TEXT, CALL, BROKEN]],
    ['it failed for good', [TEXT, { fail: 'content_filter' }]],
    ['it is too large', [TEXT, 'x'.repeat(1000)]],
  ] as const) {
    it(`is not rescued when ${what}`, async () => {
      const second = scriptedProvider('second', [`${TEXT}.`]);
      const played = await play([
        scriptedProvider({ name: 'first', continuation: 'prefill' }, [...script]),
        second,
      ]);
      assert.ok(played.error instanceof AppError);
      assert.equal(textOf(played), TEXT);
      assert.equal(second.prompts.length, 0);
      assert.equal(attemptsOf(played).length, 1);
    });
  }
});
