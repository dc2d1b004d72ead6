import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { DestinationStream } from 'pino';
import { recordSpans } from '../../test/span-recorder.ts';
import { createDemo } from '../providers/demo.ts';
import { openMemoryStore } from '../stores/sqlite.ts';
import { createLog } from './log.ts';
import { createTracing, NO_TRACING } from './trace.ts';

describe('without tracing', () => {
  it('everything is what it was', async () => {
    const store = openMemoryStore();
    const provider = createDemo();
    const log = createLog('silent');
    assert.equal(NO_TRACING.store(store), store);
    assert.equal(NO_TRACING.provider(provider), provider);
    assert.equal(NO_TRACING.log(log), log);
    assert.deepEqual([NO_TRACING.aroundTurn, NO_TRACING.beginRequest], [null, null]);
    await NO_TRACING.close();
    await store.close();
  });
});

describe('the log', () => {
  it('names the trace that is going on, and none where none is', () => {
    const lines: string[] = [];
    const destination: DestinationStream = { write: (line) => lines.push(line) };
    const log = createLog('info', destination);
    const { tracer } = recordSpans();
    const tracing = createTracing(tracer, false, async () => undefined);
    tracing.log(log).info('outside');
    const traceId = tracer.startActiveSpan('work', (span) => {
      tracing.log(log).info('inside');
      return span.spanContext().traceId;
    });
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)['trace_id']),
      [undefined, traceId],
    );
  });
});

describe('docs/tracing.md', () => {
  it('names every attribute and no other', () => {
    const named = (text: string, quote: string) => {
      const names = text.matchAll(
        new RegExp(`${quote}((?:gen_ai|http|parley|service|error)\\.[a-z_.]+)${quote}`, 'g'),
      );
      return [...names].map(([, name]) => name);
    };
    const sources = globSync(`${import.meta.dirname}/{trace-*,failed-span}.ts`, {
      exclude: ['**/*.test.ts'],
    });
    const made = sources.flatMap((path) => named(readFileSync(path, 'utf8'), "'"));
    const documented = named(readFileSync(new URL('../../docs/tracing.md', import.meta.url), 'utf8'), '`');
    assert.ok(made.length > 20, 'the test looks in the wrong place');
    assert.deepEqual(new Set(documented), new Set(made));
  });
});
