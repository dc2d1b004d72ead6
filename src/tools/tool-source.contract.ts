/**
 * The contract of tool sources as a suite for every way to reach a server. The server offers, beside anything else: `echo`
 * `{text}`, which answers with the text; `fail`, which fails; `refuse`, which the server refuses to run; `hang`, which
 * reports progress once and then waits to be told to stop.
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { McpServerSettings } from './mcp-settings.ts';
import {
  type ToolProgress,
  type ToolSource,
  ToolSourceError,
  type ToolSourceFailure,
} from './tool-source.ts';

export interface ToolSourceSubject {
  source: ToolSource;
  close(): Promise<void>;
}

export type SubjectSettings = Partial<Pick<McpServerSettings, 'timeoutMs' | 'maxConcurrent' | 'filter'>>;

/** Registers the suite for one kind of source; `open` is called for each test. */
export function toolSourceContract(
  name: string,
  open: (settings: SubjectSettings) => Promise<ToolSourceSubject>,
): void {
  describe(`tool source contract: ${name}`, () => {
    let subject: ToolSourceSubject;
    let source: ToolSource;

    const opened = async (settings: SubjectSettings) => {
      await subject.close();
      subject = await open(settings);
      ({ source } = subject);
    };

    beforeEach(async () => {
      subject = await open({});
      ({ source } = subject);
    });

    afterEach(() => subject.close());

    test('lists every tool once, with what a model needs to know', async () => {
      const tools = await source.list();
      const names = tools.map((tool) => tool.name);
      assert.equal(new Set(names).size, names.length);
      for (const wanted of ['echo', 'fail', 'refuse', 'hang']) assert.ok(names.includes(wanted), wanted);
      const echo = tools.find((tool) => tool.name === 'echo');
      assert.ok(echo !== undefined && echo.description !== null);
      assert.deepEqual(echo.inputSchema['properties'], { text: { type: 'string' } });
      assert.equal(await source.list(), tools);
    });

    test('keeps out what the configuration keeps out', async () => {
      await opened({ filter: { allow: ['e*', 'f*'], deny: ['*ail'] } });
      const names = new Set((await source.list()).map((tool) => tool.name));
      assert.ok(names.has('echo') && !names.has('fail') && !names.has('hang'));
      await rejects(source.call('fail', {}), 'not_offered', false);
      await rejects(source.call('hang', {}), 'not_offered', false);
      assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
      await opened({ filter: { allow: ['f*'], deny: ['*'], always: 'echo' } });
      assert.deepEqual(
        (await source.list()).map((tool) => tool.name),
        ['echo'],
      );
      assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
    });

    test('runs a tool, whether or not anybody has asked for the list', async () => {
      assert.deepEqual(await source.call('echo', { text: 'hällo 😀\n' }), {
        text: 'hällo 😀\n',
        isError: false,
        content: [{ type: 'text', text: 'hällo 😀\n' }],
      });
    });

    test('gives each of many calls its own answer', async () => {
      const texts = Array.from({ length: 50 }, (_, index) => `text ${index}`);
      const results = await Promise.all(texts.map((text) => source.call('echo', { text })));
      assert.deepEqual(
        results.map((result) => result.text),
        texts,
      );
    });

    test('takes the failing of a tool for a result', async () => {
      const result = await source.call('fail', {});
      assert.equal(result.isError, true);
      assert.match(result.text, /no such file/);
    });

    test('throws what the server refuses, with its words', async () => {
      const refused = await rejects(source.call('refuse', {}), 'refused');
      assert.match(refused.serverMessage ?? '', /not today/);
      // Whether there is such a tool is the server's to know.
      await rejects(source.call('no_such_tool', {}), 'refused');
    });

    test('says nothing for the server before it has, and then what it has said', async () => {
      assert.equal(source.instructions(), null);
      await source.list();
      assert.equal(source.instructions(), 'Be kind to the double.');
    });

    test('reports progress while a call runs, and gives up at once when told to', async () => {
      const abort = new AbortController();
      const reports: ToolProgress[] = [];
      const onProgress = (progress: ToolProgress) => {
        reports.push(progress);
        abort.abort(new Error('enough'));
      };
      const call = source.call('hang', {}, { signal: abort.signal, onProgress });
      await rejects(call, 'cancelled', true);
      assert.deepEqual(reports, [{ progress: 1, total: 2, message: 'half' }]);
      assert.equal((await source.call('echo', { text: 'still here' })).text, 'still here');
    });

    test('does not begin what was given up before', async () => {
      const signal = AbortSignal.abort();
      await rejects(source.call('echo', { text: 'x' }, { signal }), 'cancelled', false);
      await rejects(source.list(signal), 'cancelled', false);
    });

    test('gives a call up when its time is over', async () => {
      await opened({ timeoutMs: 500 });
      await source.list();
      await rejects(source.call('hang', {}), 'timeout', true);
      assert.equal((await source.call('echo', { text: 'still here' })).text, 'still here');
    });

    test('runs as many calls at a time as it may; those that wait can leave', async () => {
      await opened({ maxConcurrent: 2 });
      const aborts = [0, 1, 2].map(() => new AbortController());
      const hanging = aborts.slice(0, 2).map(({ signal }) => {
        const begun = Promise.withResolvers<void>();
        const call = source.call('hang', {}, { signal, onProgress: () => begun.resolve() });
        return { call, begun: begun.promise };
      });
      await Promise.all(hanging.map(({ begun }) => begun));
      const leaving = source.call('echo', { text: 'x' }, { signal: aborts[2]?.signal });
      const waiting = source.call('echo', { text: 'y' });
      aborts[2]?.abort();
      await rejects(leaving, 'cancelled', false);
      aborts[0]?.abort();
      await rejects(hanging[0]?.call, 'cancelled', true);
      assert.equal((await waiting).text, 'y');
      aborts[1]?.abort();
      await rejects(hanging[1]?.call, 'cancelled', true);
    });

    test('neither holds up nor gives up a call that has a clock of its own', async () => {
      await opened({ timeoutMs: 500, maxConcurrent: 1 });
      const abort = new AbortController();
      const ownClock = { ownClock: true, signal: abort.signal };
      const begun = Promise.withResolvers<void>();
      const call = source.call('hang', {}, { ...ownClock, onProgress: () => begun.resolve() });
      await begun.promise;
      await rejects(source.call('hang', {}), 'timeout', true);
      assert.equal((await source.call('echo', { text: 'x' }, { ownClock: true })).text, 'x');
      abort.abort();
      await rejects(call, 'cancelled', true);
      await rejects(source.call('echo', { text: 'x' }, ownClock), 'cancelled', false);
    });

    test('ends running calls when it is closed, and answers nothing afterwards', async () => {
      const begun = Promise.withResolvers<void>();
      const call = source.call('hang', {}, { onProgress: () => begun.resolve() });
      await begun.promise;
      const ended = rejects(call, 'interrupted', true);
      await source.close();
      await ended;
      await rejects(source.call('echo', { text: 'x' }), 'unavailable', false);
      await source.close();
    });

    test('can be closed before it was ever used', async () => {
      await source.close();
      await rejects(source.list(), 'unavailable', false);
    });
  });
}

/** The error of a call that fails in this way, and says this of whether it may have run, if that is asked. */
export async function rejects(
  call: Promise<unknown> | undefined,
  kind: ToolSourceFailure,
  mayHaveRun?: boolean,
): Promise<ToolSourceError> {
  const error = await call?.then(
    (value) => assert.fail(`expected ${kind}, got ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ToolSourceError)) throw error;
  assert.equal(error.kind, kind);
  if (mayHaveRun !== undefined) assert.equal(error.mayHaveRun, mayHaveRun);
  return error;
}
