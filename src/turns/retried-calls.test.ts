/** Turns that are done again under their key after their calls were made, or may have been: no call is made twice. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { keyOf, type OneSession, OWNER, openSession, shownToEnd, textOf } from '../../test/one-session.ts';
import { type ScriptedProvider, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { calls, done, ownCalls, text, toolboxOf } from '../../test/scripted-tools.ts';
import type { ApprovalResponseItem } from '../conversation/item.ts';
import { AppError } from '../errors.ts';
import type { Store } from '../stores/store.ts';
import { undecidedCalls } from './decided-calls.ts';

const BROKEN: Step = { fail: 'bad_request' };
const MAYBE = 'The turn was ended before there was a result. It may have been done all the same.';

let session: OneSession;
/** The tools that were run, in their order. */
let run: string[];
beforeEach(async () => {
  session = await openSession();
  run = [];
});
afterEach(() => session.close());

const tool = (name: string) => async () => {
  run.push(name);
  return text(`did ${name}`);
};

/** What the model was asked last: the results that it read, else the kinds of items. */
function lastAsked(provider: ScriptedProvider): (string | undefined)[] {
  return provider.prompts.at(-1)?.items.map((item) => ('output' in item ? item.output : item.type)) ?? [];
}

describe('a turn that is done again', () => {
  it('goes on from the calls that it had made, in its later steps as in its first', async () => {
    const provider = scriptedProvider(
      'p',
      calls('x__a', 'x__b'),
      [BROKEN],
      calls('x__c'),
      [BROKEN],
      ['All done.', done],
    );
    const toolboxes = toolboxOf({ x__a: tool('a'), x__b: tool('b'), x__c: tool('c') });
    const turns = session.turnsWith(provider, { toolboxes });
    const key = keyOf('k');
    for (const made of [
      ['a', 'b'],
      ['a', 'b', 'c'],
    ]) {
      const { turn } = await session.run(turns, 'Go', { key });
      assert.deepEqual([turn.status, run], ['failed', made]);
    }
    const { live } = await turns.start(session.request('Go', { key }));
    const { turn } = await live.ended;
    assert.deepEqual([turn.status, textOf(turn.output), run], ['completed', 'All done.', ['a', 'b', 'c']]);
    assert.deepEqual(
      ownCalls(turn).map(({ name, output, step }) => [name, output, step]),
      [
        ['a', 'did a', 1],
        ['b', 'did b', 1],
        ['c', 'did c', 2],
      ],
    );
    const step = (...results: string[]) => [...results.map(() => 'function_call'), ...results];
    assert.deepEqual(lastAsked(provider), ['message', ...step('did a', 'did b'), ...step('did c')]);
    // Followers see the calls, during the turn as after it.
    const seen = await shownToEnd(live);
    assert.equal(JSON.stringify(seen).split('tool.completed').length, 4);
    assert.deepEqual(await shownToEnd(await turns.find(OWNER, session.sessionId, live.id)), seen);
  });

  it('counts the steps that were taken before', async () => {
    const provider = scriptedProvider('p', calls('x__a'), [BROKEN], ['Enough.', done]);
    const turns = session.turnsWith(provider, {
      toolboxes: toolboxOf({ x__a: tool('a') }),
      toolStepsMax: 1,
    });
    for (const status of ['failed', 'completed']) {
      const { turn } = await session.run(turns, 'Go', { key: keyOf('k') });
      assert.equal(turn.status, status);
    }
    assert.equal(provider.prompts.at(-1)?.options['tool_choice'], 'none');
  });

  it('tells the model of a call in whose middle the server died, and does not make it again', async () => {
    const provider = scriptedProvider('p', calls('x__a'), calls('x__b'), ['I do not know.', done]);
    const { code, message } = new AppError('server_restarted');
    const toolboxes = toolboxOf({
      x__a: tool('a'),
      async x__b() {
        run.push('b');
        // As the next server does when it starts.
        await session.store.failInterrupted({ code, message }, 5000);
        return text('did b');
      },
    });
    const turns = session.turnsWith(provider, { toolboxes });
    const key = keyOf('k');
    const first = await session.run(turns, 'Go', { key });
    assert.equal(first.turn.error?.code, 'turn_superseded');
    const left = await session.store.getTurn(OWNER, session.sessionId, first.turn.id);
    assert.deepEqual(
      ownCalls(left!).map(({ name, status, output, error }) => [name, status, output ?? error]),
      [
        ['a', 'completed', 'did a'],
        ['b', 'incomplete', MAYBE],
      ],
    );
    const { turn } = await session.run(turns, 'Go', { key });
    assert.deepEqual([turn.status, run], ['completed', ['a', 'b']]);
    assert.ok(lastAsked(provider).includes(MAYBE));
  });

  it('makes the calls that could not be noted, and so were not made', async () => {
    let failures = 1;
    const store: Store = Object.create(session.store, {
      noteCalls: {
        value: async (...given: Parameters<Store['noteCalls']>) => {
          failures -= 1;
          if (failures === 0) throw new AppError('store_unavailable');
          return session.store.noteCalls(...given);
        },
      },
    });
    const provider = scriptedProvider('p', calls('x__a'), calls('x__a'), ['Done.', done]);
    const turns = session.turnsWith(provider, { store, toolboxes: toolboxOf({ x__a: tool('a') }) });
    const key = keyOf('k');
    const { turn } = await session.run(turns, 'Go', { key });
    assert.deepEqual([turn.error?.code, run], ['store_unavailable', []]);
    assert.equal(ownCalls(turn)[0]?.error, 'The turn was ended before the call was made.');
    const again = await session.run(turns, 'Go', { key });
    assert.deepEqual([again.turn.status, run], ['completed', ['a']]);
  });

  it('makes what was approved once, however often the decisions are sent', async () => {
    const provider = scriptedProvider('p', calls('x__ask_a', 'x__ask_b'), [BROKEN], ['Done.', done]);
    const toolboxes = toolboxOf({ x__ask_a: tool('a'), x__ask_b: tool('b') });
    const turns = session.turnsWith(provider, { toolboxes });
    const asking = await session.run(turns, 'Go');
    const input = undecidedCalls(asking.turn.output).map(
      ({ id }, index): ApprovalResponseItem => ({
        type: 'mcp_approval_response',
        id: `mcpa_${index}`,
        approval_request_id: id,
        approve: index === 0,
        reason: null,
      }),
    );
    const decisions = { input, parentTurnId: asking.turn.id, key: keyOf('decisions') };
    const failed = await session.run(turns, '', decisions);
    const again = await session.run(turns, '', decisions);
    assert.deepEqual([failed.turn.status, again.turn.status, run], ['failed', 'completed', ['a']]);
    assert.deepEqual(
      ownCalls(again.turn).map(({ name, status }) => [name, status]),
      ownCalls(failed.turn).map(({ name, status }) => [name, status]),
    );
    assert.equal(ownCalls(again.turn).length, 2);
  });

  it('makes its calls anew without a key, as any new message', async () => {
    const provider = scriptedProvider('p', calls('x__a'), [BROKEN], calls('x__a'), ['Done.', done]);
    const turns = session.turnsWith(provider, { toolboxes: toolboxOf({ x__a: tool('a') }) });
    await session.run(turns, 'Go');
    await session.run(turns, 'Go');
    assert.deepEqual(run, ['a', 'a']);
  });
});
