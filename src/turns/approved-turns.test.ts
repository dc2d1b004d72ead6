/** Turns that leave calls for somebody to approve, and those that go on with what was decided. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type OneSession, OWNER, openSession, shownToEnd, textOf } from '../../test/one-session.ts';
import { scriptedProvider } from '../../test/scripted-provider.ts';
import { calls, done, ownCalls, type Run, text, toolboxOf } from '../../test/scripted-tools.ts';
import type { ApprovalResponseItem } from '../conversation/item.ts';
import { undecidedCalls } from './decided-calls.ts';

let session: OneSession;
beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

describe('a model that calls tools which need an approval', () => {
  it('waits for somebody to approve a call, and goes on with what was decided', async () => {
    const run: string[] = [];
    const tool =
      (name: string): Run =>
      async () => {
        run.push(name);
        return text(`did ${name}`);
      };
    const toolboxes = toolboxOf({ x__free: tool('free'), x__ask_a: tool('a'), x__ask_b: tool('b') });
    const provider = scriptedProvider(
      'p',
      ['Hm. ', ...calls('x__free', 'x__ask_a', 'x__ask_b')],
      ['Done.', done],
    );
    const turns = session.turnsWith(provider, { toolboxes });
    const { live } = await turns.start(session.request('Go'));
    const { turn } = await live.ended;
    assert.deepEqual([turn.status, turn.finishReason, run], ['incomplete', 'tool_calls', ['free']]);
    const waiting = undecidedCalls(turn.output);
    assert.deepEqual(
      waiting.map(({ server_label, name }) => [server_label, name]),
      [
        ['x', 'ask_a'],
        ['x', 'ask_b'],
      ],
    );
    const seen = await shownToEnd(live);
    assert.deepEqual(await shownToEnd(await turns.find(OWNER, session.sessionId, live.id)), seen);
    assert.equal(JSON.stringify(seen).split('tool.approval_requested').length, 3);

    const decide = (index: number, approve: boolean): ApprovalResponseItem => ({
      type: 'mcp_approval_response',
      id: `mcpa_${index}`,
      approval_request_id: waiting[index]!.id,
      approve,
      reason: approve ? null : 'Not today.',
    });
    for (const input of [[decide(0, true)], [decide(0, true), decide(0, true), decide(1, true)]]) {
      const wrong = await session.run(turns, '', { input, parentTurnId: turn.id });
      assert.deepEqual([wrong.turn.status, wrong.turn.error?.code], ['failed', 'approval_not_found']);
    }
    assert.deepEqual(run, ['free']);

    const input = [decide(0, true), decide(1, false)];
    const next = await session.run(turns, '', { input, memoryLimit: 1, parentTurnId: turn.id });
    assert.deepEqual(
      [next.turn.status, textOf(next.turn.output), run],
      ['completed', 'Done.', ['free', 'a']],
    );
    const made = ownCalls(next.turn).map(({ name, status, output, error }) => [
      name,
      status,
      output ?? error,
    ]);
    assert.deepEqual(
      made,
      [
        ['ask_b', 'failed', 'The call was not approved, and not made. Not today.'],
        ['ask_a', 'completed', 'did a'],
      ].toSorted(([one], [other]) => (one! < other! ? -1 : 1)),
    );
    const shown = provider.prompts.at(-1)?.items.map((item) => ('output' in item ? item.output : item.type));
    assert.deepEqual(shown?.slice(0, 4), ['message', 'message', 'function_call', 'did free']);
    assert.ok(shown?.includes('did a'));
  });

  it('is not shown a call that nobody has decided about, where the conversation goes on otherwise', async () => {
    const toolboxes = toolboxOf({ x__ask: async () => text('never') });
    const provider = scriptedProvider('p', calls('x__ask'), ['Fine.', done]);
    const turns = session.turnsWith(provider, { toolboxes });
    assert.equal((await session.run(turns, 'Go')).turn.status, 'incomplete');
    assert.equal((await session.run(turns, 'Forget it')).turn.status, 'completed');
    const shown = provider.prompts.at(-1)?.items.map(({ type }) => type);
    assert.deepEqual(shown, ['message', 'message']);
  });
});
