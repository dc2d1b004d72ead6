import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { finish, never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { type Prompt, ProviderError, type ProviderEvent } from '../providers/provider.ts';
import { type AttemptLimits, attempt } from './attempt.ts';

const prompt: Prompt = {
  model: 'm',
  instructions: null,
  items: [],
  options: {},
  stream: true,
  continueFrom: null,
};
const patient: AttemptLimits = {
  firstTokenMilliseconds: 60_000,
  idleMilliseconds: 60_000,
  remainingMilliseconds: 60_000,
  answerMaxBytes: 20,
};
const hello: ProviderEvent = { type: 'text-delta', text: 'hello' };

/** Runs an attempt to its end; `upstream` is the signal that the provider was given. */
async function run(
  script: Step[],
  limits: Partial<AttemptLimits> = {},
  signal = new AbortController().signal,
) {
  const provider = scriptedProvider('p', script);
  const stream = provider.stream.bind(provider);
  let upstream: AbortSignal | undefined;
  let isOver = false;
  provider.stream = async function* (prompt, given) {
    upstream = given;
    try {
      yield* stream(prompt, given);
    } finally {
      isOver = true;
    }
  };
  const events: ProviderEvent[] = [];
  const attempted = attempt(provider, prompt, { ...patient, ...limits }, signal, (event) =>
    events.push(event),
  );
  const error = await attempted.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.equal(isOver, true, 'the upstream call goes on');
  return { events, error, upstream };
}

function assertFailure(error: unknown, kind: string, clock?: string): void {
  assert.ok(error instanceof ProviderError, String(error));
  assert.deepEqual([error.kind, error.clock], [kind, clock]);
}

describe('an attempt', () => {
  it('tells of the events as they come', async () => {
    const { events, error } = await run(['hello']);
    assert.equal(error, null);
    assert.deepEqual(events, [hello, finish('m')]);
  });

  it('throws what the provider throws', async () => {
    const { events, error } = await run(['hello', { fail: 'interrupted' }]);
    assertFailure(error, 'interrupted');
    assert.deepEqual(events, [hello]);
  });

  const clocks: [keyof AttemptLimits, Step[], string][] = [
    ['firstTokenMilliseconds', [never], 'first_token'],
    ['idleMilliseconds', ['hello', never], 'idle'],
    ['remainingMilliseconds', [never], 'turn'],
    ['remainingMilliseconds', ['hello', never], 'turn'],
  ];
  for (const [limit, script, clock] of clocks) {
    it(`is ended by the clock ${clock} after ${script.length - 1} tokens`, async () => {
      const { error, upstream } = await run(script, { [limit]: 10 });
      assertFailure(error, 'timeout', clock);
      assert.equal(upstream?.aborted, true);
    });
  }

  it('is not ended by clocks that do not run yet, or not any more', async () => {
    const soon = Promise.withResolvers<void>();
    setTimeout(soon.resolve, 30);
    const early = await run([{ until: soon.promise }, 'hello'], { idleMilliseconds: 10 });
    assert.equal(early.error, null);
    const later = Promise.withResolvers<void>();
    setTimeout(later.resolve, 30);
    const late = await run(['hello', { until: later.promise }], { firstTokenMilliseconds: 10 });
    assert.equal(late.error, null);
  });

  it('ends with the reason of its signal', async () => {
    const reason = new Error('enough');
    const before = await run(['hello'], {}, AbortSignal.abort(reason));
    assert.equal(before.error, reason);
    assert.deepEqual(before.events, []);
    const controller = new AbortController();
    setImmediate(() => controller.abort(reason));
    const { error, events, upstream } = await run(['hello', never], {}, controller.signal);
    assert.equal(error, reason);
    assert.deepEqual(events, [hello]);
    assert.equal(upstream?.aborted, true);
  });

  it('counts the bytes of everything that the model made, and stops what is too large', async () => {
    const call: ProviderEvent = {
      type: 'tool-call',
      callId: 'c'.repeat(50),
      name: 'look',
      arguments: '{"é"}',
    };
    const parts: ProviderEvent[] = [
      { type: 'reasoning-delta', text: 'é' },
      { type: 'text-delta', text: '€' },
      { type: 'refusal-delta', text: 'No.' },
      call,
    ];
    const fitting = await run([...parts, '!!', finish('m')]);
    assert.equal(fitting.error, null);
    assert.equal(fitting.events.length, 6);
    const { error, events } = await run([...parts, '!!!', finish('m')]);
    assertFailure(error, 'answer_too_large');
    assert.deepEqual(events, parts);
  });

  it('lets what it tells to end it', async () => {
    const mistake = new TypeError('a bug');
    const provider = scriptedProvider('p', ['hello', never]);
    const telling = attempt(provider, prompt, patient, new AbortController().signal, () => {
      throw mistake;
    });
    await assert.rejects(telling, (error) => error === mistake);
  });
});
