import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { context, SpanStatusCode, trace } from '@opentelemetry/api';
import { recordSpans } from '../../test/span-recorder.ts';
import { type TracedTool, traceTools } from './trace-tools.ts';

const { tracer, take } = recordSpans();
const NEVER = new AbortController().signal;

async function toolOf(call: TracedTool['call']): Promise<TracedTool> {
  const toolbox = { functions: [], find: (name: string) => ({ server: 'files', name, call }) };
  const traced = await traceTools(
    { open: async (_choice: unknown, _signal: AbortSignal) => toolbox },
    tracer,
  ).open(null, NEVER);
  const tool = traced.find('read');
  assert.ok(tool !== undefined && 'functions' in traced);
  return tool;
}

describe('a traced tool', () => {
  it('makes a span of each call, part of what it was called in, without what is said', async () => {
    take();
    const tool = await toolOf(async () => ({ isError: false, text: 'SAID' }));
    const parent = tracer.startSpan('parent');
    const inParent = trace.setSpan(context.active(), parent);
    const result = await context.with(inParent, () => tool.call({ path: 'SAID' }, {}));
    assert.deepEqual(result, { isError: false, text: 'SAID' });
    const [span] = take();
    assert.equal(span?.name, 'execute_tool read');
    assert.equal(span?.parentSpanContext?.spanId, parent.spanContext().spanId);
    assert.deepEqual(span?.attributes, {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'read',
      'parley.tool.server': 'files',
    });
  });

  it('tells what became of a call that failed by a word', async () => {
    take();
    const failures: TracedTool['call'][] = [
      async () => ({ isError: true }),
      () => Promise.reject(Object.assign(new Error('SAID'), { kind: 'timeout' })),
      () => Promise.reject(new Error('SAID')),
    ];
    for (const failure of failures) {
      const tool = await toolOf(failure);
      await tool.call({}, {}).catch((error: Error) => assert.equal(error.message, 'SAID'));
    }
    assert.deepEqual(
      take().map(({ status, attributes }) => [status, attributes['error.type']]),
      ['tool_error', 'timeout', 'internal'].map((type) => [{ code: SpanStatusCode.ERROR }, type]),
    );
  });
});
