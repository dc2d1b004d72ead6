import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { AlwaysOffSampler, type ReadableSpan } from '@opentelemetry/sdk-trace';
import { finish, never, scriptedProvider } from '../../test/scripted-provider.ts';
import { recordSpans } from '../../test/span-recorder.ts';
import { createDemo } from '../providers/demo.ts';
import { collect, promptOf, providerContract } from '../providers/provider.contract.ts';
import type { Provider, ProviderEvent } from '../providers/provider.ts';
import { traceAttempts } from './trace-attempts.ts';

const { tracer, take } = recordSpans();

providerContract('traced', async () => ({
  provider: traceAttempts(createDemo(), tracer, true),
  double: null,
}));

function takeOnly(): ReadableSpan {
  const [span, ...others] = take();
  assert.ok(span);
  assert.deepEqual(others, []);
  return span;
}

/** A provider whose generator notes which span is active whenever it runs. */
function noting(events: readonly ProviderEvent[]) {
  const active: (string | undefined)[] = [];
  const note = () => active.push(trace.getSpan(context.active())?.spanContext().spanId);
  const provider: Provider = {
    ...createDemo(),
    async *stream() {
      try {
        for (const event of events) {
          await Promise.resolve();
          note();
          yield event;
        }
      } finally {
        note();
      }
    },
  };
  return { provider, active };
}

describe('a traced provider', () => {
  it('says of itself what the provider does, and passes its events on as they are', async () => {
    take();
    const provider = scriptedProvider('p', ['Hello', finish('m')]);
    const traced = traceAttempts(provider, tracer, true);
    const { stream: _, ...rest } = provider;
    const { stream: __, ...tracedRest } = traced;
    assert.deepEqual(tracedRest, rest);
    assert.deepEqual(await collect(traced, promptOf('Hi')), [
      { type: 'text-delta', text: 'Hello' },
      finish('m'),
    ]);
    assert.equal(takeOnly().name, 'chat model-1');
  });

  it('runs in its span, whoever asks for the next event, and from where', async () => {
    take();
    const { provider, active } = noting([{ type: 'text-delta', text: 'a' }, finish('m')]);
    const traced = traceAttempts(provider, tracer, false);
    const answer = traced.stream(promptOf('Hi'), new AbortController().signal);
    const events = answer[Symbol.asyncIterator]();
    const first = tracer.startSpan('first');
    const parent = trace.setSpan(context.active(), first);
    await context.with(parent, () => events.next());
    // The others are asked for from outside, as timers and sockets would.
    await events.next();
    await events.next();
    const span = takeOnly();
    assert.deepEqual(new Set(active), new Set([span.spanContext().spanId]));
    assert.equal(active.length, 3);
    assert.equal(span.parentSpanContext?.spanId, first.spanContext().spanId);
  });

  it('ends its span, and the provider in it, when whoever asked turns away', async () => {
    take();
    const { provider, active } = noting([{ type: 'text-delta', text: 'a' }, finish('m')]);
    const traced = traceAttempts(provider, tracer, true);
    for await (const _ of traced.stream(promptOf('Hi'), new AbortController().signal)) break;
    const span = takeOnly();
    assert.deepEqual(active, [span.spanContext().spanId, span.spanContext().spanId]);
    assert.deepEqual([span.status.code, span.attributes['error.type']], [SpanStatusCode.ERROR, '_OTHER']);
    const [answer] = JSON.parse(String(span.attributes['gen_ai.output.messages']));
    assert.deepEqual([answer.parts, answer.finish_reason], [[{ type: 'text', content: 'a' }], 'error']);
  });

  it('names a failure by its class, with what it used, and passes the error on', async () => {
    take();
    const usage = {
      input_tokens: 3,
      input_tokens_details: { cached_tokens: 1 },
      output_tokens: 2,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 5,
    };
    const details = { status: 500, providerMessage: 'SAID', cause: new Error('SAID'), usage };
    const provider = scriptedProvider('p', ['a', { fail: 'interrupted', details }]);
    const given = collect(traceAttempts(provider, tracer, false), promptOf('Hi'));
    await assert.rejects(given, { name: 'ProviderError', kind: 'interrupted' });
    const span = takeOnly();
    assert.deepEqual(span.status, { code: SpanStatusCode.ERROR });
    assert.equal(span.attributes['error.type'], 'interrupted');
    assert.equal(span.attributes['gen_ai.usage.input_tokens'], 3);
    assert.deepEqual(span.events, []);
    assert.equal(JSON.stringify(span.attributes).includes('SAID'), false);
  });

  it('tells what was broken off from what nobody foresaw', async () => {
    take();
    const stopped = new AbortController();
    const asked = collect(
      traceAttempts(scriptedProvider('p', [never]), tracer, false),
      promptOf('Hi'),
      stopped.signal,
    );
    stopped.abort(new Error('enough'));
    await assert.rejects(asked, /enough/);
    assert.equal(takeOnly().attributes['error.type'], 'aborted');

    const provider: Provider = {
      ...createDemo(),
      async *stream() {
        yield { type: 'text-delta', text: 'a' };
        throw Object.assign(new TypeError('a fault'), { kind: 'of its own' });
      },
    };
    await assert.rejects(collect(traceAttempts(provider, tracer, false), promptOf('Hi')), TypeError);
    assert.equal(takeOnly().attributes['error.type'], 'internal');
  });

  it('shows that an attempt goes on with an answer', async () => {
    take();
    const traced = traceAttempts(scriptedProvider('p', ['on']), tracer, true);
    await collect(traced, { ...promptOf('Tell'), continueFrom: 'Once up' });
    const { attributes } = takeOnly();
    assert.equal(attributes['parley.attempt.continues'], true);
    const said = JSON.parse(String(attributes['gen_ai.input.messages']));
    assert.deepEqual(said.at(-1), { role: 'assistant', parts: [{ type: 'text', content: 'Once up' }] });
  });

  it('takes only numbers from options', async () => {
    take();
    const options = { temperature: 0, top_p: 'SAID', seed: 7, max_completion_tokens: 9, stop: ['SAID'] };
    await collect(traceAttempts(scriptedProvider('p', ['a']), tracer, true), { ...promptOf('Hi'), options });
    const { attributes } = takeOnly();
    assert.equal(attributes['gen_ai.request.temperature'], 0);
    assert.equal(attributes['gen_ai.request.seed'], 7);
    assert.equal(attributes['gen_ai.request.max_tokens'], 9);
    assert.equal(JSON.stringify(attributes).includes('SAID'), false);
  });

  it('answers as well where the span is not kept', async () => {
    const unkept = recordSpans(new AlwaysOffSampler());
    const traced = traceAttempts(scriptedProvider('p', ['a']), unkept.tracer, true);
    assert.equal((await collect(traced, promptOf('Hi'))).length, 2);
    assert.deepEqual(unkept.take(), []);
  });
});
