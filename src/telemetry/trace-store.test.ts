import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { recordSpans } from '../../test/span-recorder.ts';
import { AppError } from '../errors.ts';
import { openMemoryStore } from '../stores/sqlite.ts';
import { describeStore } from '../stores/store.contract.ts';
import { traceStore } from './trace-store.ts';

const { tracer, take } = recordSpans();

describeStore('a traced store', () => Promise.resolve(traceStore(openMemoryStore(), tracer)));

describe('a traced store', () => {
  it('makes a span of each call, from its beginning to its end, part of what it was called in', async () => {
    take();
    const { promise, resolve } = Promise.withResolvers<string>();
    const store = traceStore({ read: (_key: string) => promise }, tracer);
    const parent = tracer.startSpan('parent');
    const answer = context.with(trace.setSpan(context.active(), parent), () => store.read('key-1'));
    assert.deepEqual(take(), []);
    resolve('value');
    assert.equal(await answer, 'value');
    const [span] = take();
    assert.equal(span?.name, 'store read');
    assert.equal(span?.parentSpanContext?.spanId, parent.spanContext().spanId);
    assert.deepEqual(span?.attributes, { 'parley.store.method': 'read' });
  });

  it('tells the failures of the store from its refusals, by their codes alone', async () => {
    take();
    const errors = [new AppError('store_unavailable'), new AppError('invalid_cursor'), new Error('SAID')];
    const store = traceStore({ read: (index: number) => Promise.reject(errors[index] as Error) }, tracer);
    for (const [index, error] of errors.entries()) {
      await assert.rejects(store.read(index), (thrown) => thrown === error);
    }
    assert.deepEqual(
      take().map(({ status, attributes }) => [status, attributes['error.type']]),
      [
        [{ code: SpanStatusCode.ERROR }, 'store_unavailable'],
        [{ code: SpanStatusCode.UNSET }, undefined],
        [{ code: SpanStatusCode.ERROR }, 'internal_error'],
      ],
    );
  });

  it('leaves alone what is no method, and what answers at once', () => {
    take();
    const admin = {};
    const store = traceStore({ admin, name: () => 'sqlite' }, tracer);
    assert.equal(store.admin, admin);
    assert.equal(store.name(), 'sqlite');
    assert.deepEqual(take(), []);
  });
});
