/** Turns in which the model calls tools that the server runs: what it reads, what is stored, and what followers see. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import {
  keyOf,
  type OneSession,
  OWNER,
  openSession,
  reached,
  shownToEnd,
  textOf,
} from '../../test/one-session.ts';
import { type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { calls, done, ownCalls, type Run, text, toolboxOf } from '../../test/scripted-tools.ts';
import { ToolSourceError } from '../tools/tool-source.ts';

let session: OneSession;
beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

describe('a model that calls tools of the server', () => {
  it('reads their results and answers; all of it is one turn', async () => {
    const seen: unknown[] = [];
    const provider = scriptedProvider(
      'p',
      ['Let me see. ', ...calls('files__read', 'web__get')],
      ['It says ab.', done],
    );
    const toolboxes = toolboxOf({
      async files__read(args) {
        seen.push(args);
        return text('a');
      },
      web__get: async () => text('b'),
    });
    const turns = session.turnsWith(provider, { toolboxes });
    const { turn } = await session.run(turns, 'What does it say?');
    assert.deepEqual([turn.status, textOf(turn.output)], ['completed', 'Let me see. It says ab.']);
    assert.deepEqual(seen, [{ a: 1 }]);
    assert.deepEqual(
      turn.output.map(({ type }) => type),
      ['message', 'mcp_call', 'mcp_call', 'message'],
    );
    const shown = ownCalls(turn).map((call) => [
      call.server_label,
      call.name,
      call.output,
      call.status,
      call.step,
    ]);
    assert.deepEqual(shown, [
      ['files', 'read', 'a', 'completed', 1],
      ['web', 'get', 'b', 'completed', 1],
    ]);
    assert.equal(turn.attempts.length, 2);
    assert.deepEqual([turn.usage?.total_tokens, turn.usage?.input_tokens_details.cached_tokens], [30, 2]);

    const [, second] = provider.prompts;
    assert.deepEqual(
      second?.items.map(({ type }) => type),
      [
        'message',
        'message',
        'function_call',
        'function_call',
        'function_call_output',
        'function_call_output',
      ],
    );
    assert.equal(Object(second?.options['tools']).length, 2);
    assert.deepEqual(toolboxes.opened, [null]);
    const messages = await session.conversation();
    assert.deepEqual(messages, ['What does it say?', 'Let me see. ', 'It says ab.']);
  });

  it('sees in later turns what it called and read, and in the order of its steps', async () => {
    const tools = { files__read: async () => text('a'), files__list: async () => text('b') };
    const first = scriptedProvider(
      'p',
      calls('files__read'),
      calls('files__list'),
      ['First.', done],
      ['Second.', done],
    );
    const turns = session.turnsWith(first, { toolboxes: toolboxOf(tools) });
    await session.run(turns, 'One');
    await session.run(turns, 'Two');
    const shown = first.prompts.at(-1)?.items.map((item) => ('output' in item ? item.output : item.type));
    assert.deepEqual(shown, ['message', 'function_call', 'a', 'function_call', 'b', 'message', 'message']);
  });

  it('is followed and replayed with its calls, under the same numbers', async () => {
    const gate = Promise.withResolvers<void>();
    const provider = scriptedProvider('p', ['Hm. ', ...calls('files__read')], ['Done', ' so.', done]);
    const toolboxes = toolboxOf({
      async files__read(_args, { onProgress }) {
        onProgress?.({ progress: 1, total: 2, message: 'half' });
        await gate.promise;
        return text('a');
      },
    });
    const turns = session.turnsWith(provider, { toolboxes });
    const { live } = await turns.start(session.request('Go', { key: keyOf('k') }));
    await reached(live, 'tool.progress');
    const late = shownToEnd(live, 2);
    gate.resolve();
    const seen = await shownToEnd(live);
    assert.deepEqual(await late, seen.slice(3));
    const types = seen.map((one) => (one as { event?: { type: string } }).event?.type ?? 'turn.started');
    assert.deepEqual(types, [
      'turn.started',
      'message.delta',
      'tool.started',
      'tool.progress',
      'tool.completed',
      'message.delta',
      'message.delta',
      'turn.completed',
    ]);
    const later = await turns.find(OWNER, session.sessionId, live.id);
    assert.notEqual(later, live);
    assert.deepEqual(await shownToEnd(later), seen);
    assert.deepEqual(await shownToEnd(later, 3), seen.slice(4));
  });

  it('reads of a call that failed why, and whether it may have been done', async () => {
    const failing = (kind: 'timeout' | 'unavailable' | 'refused', mayHaveRun: boolean): Run => {
      const details = { source: 'x', mayHaveRun, serverMessage: 'Not on Sundays' };
      return () => Promise.reject(new ToolSourceError(kind, details));
    };
    const tools = {
      x__late: failing('timeout', true),
      x__away: failing('unavailable', false),
      x__no: failing('refused', false),
      x__wrong: async () => ({ ...text('No such file'), isError: true }),
    };
    const provider = scriptedProvider('p', calls(...Object.keys(tools)), ['Pity.', done]);
    const { turn } = await session.run(session.turnsWith(provider, { toolboxes: toolboxOf(tools) }), 'Try');
    assert.equal(turn.status, 'completed');
    const shown = ownCalls(turn).map(({ name, output, error, status }) => [name, output, error, status]);
    assert.deepEqual(shown, [
      ['late', null, 'The tool took too long. It may have been done all the same.', 'incomplete'],
      ['away', null, "The tool's server cannot be reached. It was not done.", 'failed'],
      [
        'no',
        null,
        "The tool's server refused the call. It was not done. The tool's server says: Not on Sundays",
        'failed',
      ],
      ['wrong', null, 'No such file', 'failed'],
    ]);
  });

  it('is told of arguments that are none, and the tool is not called', async () => {
    const asked: Step[] = ['[1]', 'no JSON', '', ' '].map((given, index) => ({
      type: 'tool-call',
      callId: `c${index}`,
      name: 'x__y',
      arguments: given,
    }));
    const run: unknown[] = [];
    const toolboxes = toolboxOf({
      async x__y(args) {
        run.push(args);
        return text('ok');
      },
    });
    const finish: Step = { type: 'finish', reason: 'tool_calls', usage: null, model: 'm' };
    const provider = scriptedProvider('p', [...asked, finish], ['Done.', done]);
    const { turn } = await session.run(session.turnsWith(provider, { toolboxes }), 'Try');
    const errors = ownCalls(turn).map(({ error }) => error);
    assert.deepEqual(errors, [
      'The arguments are not a JSON object.',
      'The arguments are not a JSON object.',
      null,
      null,
    ]);
    assert.deepEqual(run, [{}, {}]);
  });

  it('must answer without tools when it has called them often enough, and fails if it does not', async () => {
    const toolboxes = toolboxOf({ x__y: async () => text('more') });
    const forced = { tool_choice: 'required' };
    const obeys = scriptedProvider('p', calls('x__y'), calls('x__y'), ['Enough.', done]);
    const { turn } = await session.run(session.turnsWith(obeys, { toolboxes, toolStepsMax: 2 }), 'Go', {
      options: forced,
    });
    assert.deepEqual([turn.status, ownCalls(turn).length], ['completed', 2]);
    const choices = obeys.prompts.map(({ options }) => options['tool_choice']);
    assert.deepEqual(choices, ['required', undefined, 'none']);

    const goesOn = scriptedProvider('p', calls('x__y'), calls('x__y'));
    const failed = await session.run(session.turnsWith(goesOn, { toolboxes, toolStepsMax: 1 }), 'Go');
    assert.deepEqual([failed.turn.status, failed.turn.error?.code], ['failed', 'tool_steps_exceeded']);
    assert.deepEqual(
      ownCalls(failed.turn).map(({ status, error }) => [status, error]),
      [
        ['completed', null],
        ['failed', 'The turn was ended before the call was made.'],
      ],
    );
  });

  it('may call a tool of the caller beside them: they are run, and the turn ends with what is left', async () => {
    const provider = scriptedProvider('p', calls('x__y', 'mine'), ['Together.', done]);
    const toolboxes = toolboxOf({ x__y: async () => text('theirs') });
    const turns = session.turnsWith(provider, { toolboxes });
    const { turn } = await session.run(turns, 'Go', { options: { tools: [{ type: 'function' }] } });
    assert.deepEqual(
      turn.output.map(({ type }) => type),
      ['mcp_call', 'function_call'],
    );
    assert.equal(turn.finishReason, 'tool_calls');
    const result = {
      type: 'function_call_output',
      id: 'fco',
      call_id: 'c_mine',
      output: 'mine',
      status: 'completed',
    } as const;
    const next = await session.run(turns, '', { input: [result] });
    assert.equal(textOf(next.turn.output), 'Together.');
    const shown = provider.prompts.at(-1)?.items.map((item) => ('output' in item ? item.output : item.type));
    assert.deepEqual(shown, ['message', 'function_call', 'function_call', 'theirs', 'mine']);
  });

  it('is cancelled in the middle of a call, which ends it and says that nobody knows', async () => {
    const provider = scriptedProvider('p', ['Wait. ', ...calls('x__slow')]);
    let reason: unknown = null;
    const toolboxes = toolboxOf({
      x__slow: (_args, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            reason = signal.reason;
            reject(new ToolSourceError('cancelled', { source: 'x', mayHaveRun: true }));
          });
        }),
    });
    const turns = session.turnsWith(provider, { toolboxes });
    const { live } = await turns.start(session.request('Go'));
    await reached(live, 'tool.started');
    const turn = await turns.cancel(OWNER, session.sessionId, live.id);
    assert.deepEqual([turn.status, textOf(turn.output)], ['cancelled', 'Wait. ']);
    assert.equal(ownCalls(turn)[0]?.status, 'incomplete');
    assert.ok(reason !== null);
    assert.deepEqual(
      await shownToEnd(await turns.find(OWNER, session.sessionId, live.id)),
      await shownToEnd(live),
    );
  });

  it('keeps what it said before a call when another target has to answer anew after it', async () => {
    const breaks = scriptedProvider(
      'one',
      ['Before. ', ...calls('x__y')],
      ['After', { fail: 'interrupted' }],
    );
    const other = scriptedProvider({ name: 'two', continuation: 'none' }, ['Anew.', done]);
    const toolboxes = toolboxOf({ x__y: async () => text('r') });
    const turns = session.turnsWith([breaks, other], { toolboxes });
    const { live } = await turns.start(session.request('Go'));
    const { turn } = await live.ended;
    assert.equal(textOf(turn.output), 'Before. Anew.');
    const seen = await shownToEnd(live);
    assert.deepEqual(await shownToEnd(await turns.find(OWNER, session.sessionId, live.id)), seen);
    assert.ok(JSON.stringify(seen).includes('message.restart'));
  });

  it('ends with the turn when that has no time left, tools included', async () => {
    const provider = scriptedProvider('p', calls('x__slow'));
    const toolboxes = toolboxOf({
      x__slow: (_args, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(new ToolSourceError('cancelled', { source: 'x' })));
        }),
    });
    const { turn } = await session.run(
      session.turnsWith(provider, { toolboxes, turnMilliseconds: 50 }),
      'Go',
    );
    assert.deepEqual([turn.status, turn.error?.code], ['failed', 'provider_timeout']);
  });
});
