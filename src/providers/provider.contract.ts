/**
 * The contract of providers as two suites: `providerContract` for every implementation, `upstreamContract` for
 * those that ask somebody over the network, played by the double.
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { ProviderDouble } from '../../test/provider-double.ts';
import type { PromptItem } from '../conversation/item.ts';
import {
  type Prompt,
  type Provider,
  ProviderError,
  type ProviderEvent,
  type ProviderFailure,
} from './provider.ts';

interface ContractSubject {
  provider: Provider;
  double: ProviderDouble | null;
  /** Whether it has its answers whole, and so in one delta. */
  hasWholeAnswers?: boolean;
}

/** Registers the suite for one implementation; `open` is called for each test. */
export function providerContract(name: string, open: () => Promise<ContractSubject>): void {
  describe(`provider contract: ${name}`, () => {
    let provider: Provider;
    let double: ProviderDouble | null;
    let hasWholeAnswers: boolean;

    beforeEach(async () => {
      ({ provider, double, hasWholeAnswers = false } = await open());
    });

    afterEach(async () => {
      await provider.close();
      await double?.close();
    });

    test('it says who it is', () => {
      assert.match(provider.name, /^[a-z0-9][a-z0-9_-]*$/);
      assert.notEqual(provider.defaultModel, '');
      if (provider.defaultModel !== null) assert.ok(provider.models.includes(provider.defaultModel));
      assert.equal(new Set(provider.models).size, provider.models.length);
      assert.equal(typeof provider.modelsHaveSlashes, 'boolean');
      assert.ok(provider.contextTokens === null || provider.contextTokens > 0);
      assert.ok(['prefill', 'instruct', 'none'].includes(provider.continuation));
    });

    test('a stream ends with one finish that tells model, reason and usage', async () => {
      const events = await collect(provider, promptOf('Hello there'));
      const finish = events.at(-1);
      assert.ok(finish?.type === 'finish');
      assert.equal(events.filter((event) => event.type === 'finish').length, 1);
      assert.equal(finish.reason, 'stop');
      assert.equal(finish.model, 'model-1');
      const { usage } = finish;
      assert.ok(usage !== null && usage.input_tokens > 0 && usage.output_tokens > 0);
      assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
    });

    test('a streamed answer comes in several deltas, in order, unless it is only there whole', async () => {
      const deltas = await texts(provider, promptOf('one two three'));
      assert.equal(deltas.length === 1, hasWholeAnswers);
      assert.match(deltas.join(''), /one two three/);
    });

    test('an answer that is not streamed is the same text in one delta', async () => {
      const streamed = await texts(provider, promptOf('one two three'));
      const whole = await texts(provider, { ...promptOf('one two three'), stream: false });
      assert.deepEqual(whole, [streamed.join('')]);
    });

    test('tool calls are whole, with arguments and an id, streamed or not', async () => {
      const calls = [{ id: 'call_1', name: 'get_weather', arguments: ['{"city"', ': "Lyon"}'] }];
      double?.respond({ toolCalls: calls });
      for (const stream of [true, false]) {
        const prompt = promptOf('get_weather {"city": "Lyon"}');
        const events = await collect(provider, { ...prompt, options: { tools: [weatherTool] }, stream });
        const [call, finish] = events;
        assert.equal(events.length, 2);
        assert.ok(call?.type === 'tool-call' && finish?.type === 'finish');
        assert.equal(call.name, 'get_weather');
        assert.deepEqual(JSON.parse(call.arguments), { city: 'Lyon' });
        assert.match(call.callId, /^call_/);
        assert.equal(finish.reason, 'tool_calls');
      }
    });

    test('the whole prompt is seen: instructions and all items', async () => {
      double?.respond(({ body }) => ({ text: JSON.stringify(body.messages) }));
      const short = await collect(provider, promptOf('Hello'));
      const long = await collect(provider, {
        ...promptOf('Hello', 'Earlier words'),
        instructions: 'Be brief.',
      });
      if (double === null) assert.ok(inputTokens(long) > inputTokens(short));
      else assert.match(textOf(long), /Be brief.*Earlier words.*Hello/);
    });

    test('frames are told only where they are taken, and with them what is told without', async () => {
      for (const stream of [true, false]) {
        const prompt = { ...promptOf('one two three'), stream };
        const events = await collect(provider, prompt);
        assert.ok(events.every(({ type }) => type !== 'frame'));
        const framed = await collect(provider, { ...prompt, takesFrames: true });
        assert.deepEqual(
          framed.filter(({ type }) => type !== 'frame'),
          events,
        );
        const frames = framed.flatMap((event) => (event.type === 'frame' ? [event.frame] : []));
        for (const { data } of frames) assert.equal(typeof JSON.parse(data), 'object');
        // Who tells of frames tells of all, and of each before what was read from it.
        if (frames.length > 0) assert.equal(framed[0]?.type, 'frame');
      }
    });

    test('it keeps no state: the same prompt again, and at once, gives the same', async () => {
      const [first, second, other] = await Promise.all([
        texts(provider, promptOf('same words')),
        texts(provider, promptOf('same words')),
        texts(provider, promptOf('other words')),
      ]);
      assert.deepEqual(first, second);
      assert.deepEqual(await texts(provider, promptOf('same words')), first);
      assert.match(other.join(''), /other words/);
      assert.doesNotMatch(other.join(''), /same words/);
    });

    test('one that can go on with an answer is given its beginning, and gives what follows', async (t) => {
      if (provider.continuation === 'none') return t.skip('it can only answer anew');
      const prompt = promptOf('one two three');
      const whole = (await texts(provider, prompt)).join('');
      const beginning = whole.slice(0, whole.indexOf('two'));
      double?.respond({ text: ['two ', 'three'] });
      for (const stream of [true, false]) {
        const events = await collect(provider, { ...prompt, stream, continueFrom: beginning });
        assert.equal(events.at(-1)?.type, 'finish');
        if (double === null) assert.equal(beginning + textOf(events), whole);
        else {
          assert.equal(textOf(events), 'two three');
          assert.ok(double.last.body.messages.some(({ content }) => content === beginning));
        }
      }
    });

    test('being able to go on changes nothing for prompts that ask for a whole answer', async () => {
      double?.respond(({ body }) => ({ text: JSON.stringify(body.messages) }));
      const before = await texts(provider, promptOf('one two three'));
      if (provider.continuation !== 'none') {
        await collect(provider, { ...promptOf('one two three'), continueFrom: before.join('').slice(0, 12) });
      }
      assert.deepEqual(await texts(provider, promptOf('one two three')), before);
      if (double !== null) {
        assert.deepEqual(double.last.body.messages, [{ role: 'user', content: 'one two three' }]);
      }
    });

    test('a signal that aborted before is thrown as its reason, and nobody is asked', async () => {
      const reason = new Error('stopped before');
      await assert.rejects(
        collect(provider, promptOf('Hello'), AbortSignal.abort(reason)),
        (error) => error === reason,
      );
      assert.equal(double?.requests.length ?? 0, 0);
    });

    test('a signal that aborts between events is thrown as its reason, whatever has arrived', async () => {
      const controller = new AbortController();
      const reason = { not: 'an error' };
      const pieces = ['one ', 'two'].map((content) => JSON.stringify({ choices: [{ delta: { content } }] }));
      double?.respond({ raw: [pieces.map((piece) => `data: ${piece}\n\n`).join('')], hang: true });
      const events = provider.stream(promptOf('one two'), controller.signal)[Symbol.asyncIterator]();
      await events.next();
      controller.abort(reason);
      await assert.rejects(events.next(), (error) => error === reason);
      if (double !== null) await assertAborted(double);
    });

    test('a consumer that stops early ends the upstream request', async () => {
      double?.respond({ text: ['one ', 'two'], hang: true, done: false });
      for await (const event of provider.stream(promptOf('one two'), live())) {
        assert.equal(event.type, 'text-delta');
        break;
      }
      if (double !== null) await assertAborted(double);
    });

    test('an abort after finish changes nothing', async () => {
      const controller = new AbortController();
      const events = provider.stream(promptOf('Hello'), controller.signal)[Symbol.asyncIterator]();
      for (let next = await events.next(); next.value.type !== 'finish'; next = await events.next());
      controller.abort();
      assert.equal((await events.next()).done, true);
    });

    test('streams that run when the provider closes fail', async () => {
      double?.respond({ text: ['one ', 'two'], waitAt: { piece: 2, wait: never } });
      const events = provider.stream(promptOf('one two'), live())[Symbol.asyncIterator]();
      await events.next();
      await provider.close();
      await assert.rejects(events.next(), isFailure('interrupted'));
    });
  });
}

/** What only an upstream can cause, for an implementation that asks one over the network. */
export function upstreamContract(
  name: string,
  open: () => Promise<{ provider: Provider; double: ProviderDouble }>,
): void {
  describe(`provider contract, upstream: ${name}`, () => {
    let provider: Provider;
    let double: ProviderDouble;

    beforeEach(async () => {
      ({ provider, double } = await open());
    });

    afterEach(async () => {
      await provider.close();
      await double.close();
    });

    test('a signal that aborts while an event is awaited ends the upstream request at once', async () => {
      const controller = new AbortController();
      const reason = new Error('stopped');
      double.respond({ text: ['one ', 'two'], waitAt: { piece: 2, wait: never } });
      const events = provider.stream(promptOf('Hello'), controller.signal)[Symbol.asyncIterator]();
      assert.deepEqual((await events.next()).value, { type: 'text-delta', text: 'one ' });
      const pending = events.next();
      controller.abort(reason);
      await assert.rejects(pending, (error) => error === reason);
      await assertAborted(double);
    });

    test('a signal that aborts before the headers ends the upstream request at once', async () => {
      for (const stream of [true, false]) {
        double.reset();
        double.respond({ waitBefore: never });
        const controller = new AbortController();
        const reason = new Error('stopped early');
        const pending = collect(provider, { ...promptOf('Hello'), stream }, controller.signal);
        await double.arrived(1);
        controller.abort(reason);
        await assert.rejects(pending, (error) => error === reason);
        await assertAborted(double);
      }
    });

    const refusals: [number, ProviderFailure][] = [
      [400, 'bad_request'],
      [401, 'unauthorized'],
      [402, 'unauthorized'],
      [403, 'unauthorized'],
      [404, 'model_not_found'],
      [422, 'bad_request'],
      [429, 'rate_limited'],
      [500, 'server_error'],
      [503, 'server_error'],
      [529, 'server_error'],
    ];
    for (const [status, kind] of refusals) {
      test(`status ${status} is one attempt that fails as ${kind}`, async () => {
        double.respond({ status });
        await assert.rejects(collect(provider, promptOf('Hello')), isFailure(kind, status));
        await nextTick();
        assert.equal(double.requests.length, 1);
      });
    }

    test('a connection that breaks is unreachable before the headers, interrupted after', async () => {
      for (const stream of [true, false]) {
        const prompt = { ...promptOf('Hello'), stream };
        double.respond({ cut: 'before headers' });
        await assert.rejects(collect(provider, prompt), isFailure('unreachable'));
        double.respond({ text: 'some text', cut: { afterBytes: 40 } });
        await assert.rejects(collect(provider, prompt), isFailure('interrupted', 200));
      }
    });

    test('a stream without its end gives its events, then fails', async () => {
      double.respond({ text: ['one ', 'two'], finishReason: null, done: false });
      const events = provider.stream(promptOf('Hello'), live())[Symbol.asyncIterator]();
      assert.deepEqual((await events.next()).value, { type: 'text-delta', text: 'one ' });
      assert.deepEqual((await events.next()).value, { type: 'text-delta', text: 'two' });
      await assert.rejects(events.next(), isFailure('interrupted'));
    });
  });
}

const weatherTool = { type: 'function', function: { name: 'get_weather', parameters: {} } };

const never = new Promise<never>(() => undefined);

/** A streamed prompt of user messages; the last text comes first. */
export function promptOf(text: string, ...earlier: string[]): Prompt {
  const items = [...earlier, text].map(
    (said, index): PromptItem => ({
      type: 'message',
      id: `msg_${index}`,
      role: 'user',
      status: 'completed',
      content: [{ type: 'input_text', text: said }],
    }),
  );
  return { model: 'model-1', instructions: null, items, options: {}, stream: true, continueFrom: null };
}

export async function collect(provider: Provider, prompt: Prompt, signal = live()): Promise<ProviderEvent[]> {
  const events: ProviderEvent[] = [];
  for await (const event of provider.stream(prompt, signal)) events.push(event);
  return events;
}

/** A check for `assert.rejects`. */
export function isFailure(kind: ProviderFailure, status?: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProviderError, String(error));
    assert.equal(error.kind, kind);
    if (status !== undefined) assert.equal(error.status, status);
    return true;
  };
}

function live(): AbortSignal {
  return new AbortController().signal;
}

async function texts(provider: Provider, prompt: Prompt): Promise<string[]> {
  const events = await collect(provider, prompt);
  return events.flatMap((event) => (event.type === 'text-delta' ? [event.text] : []));
}

function textOf(events: readonly ProviderEvent[]): string {
  return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
}

function inputTokens(events: readonly ProviderEvent[]): number {
  const finish = events.at(-1);
  return finish?.type === 'finish' ? (finish.usage?.input_tokens ?? 0) : 0;
}

async function assertAborted(double: ProviderDouble): Promise<void> {
  const { last } = double;
  await last.ended;
  assert.equal(last.aborted, true);
}
