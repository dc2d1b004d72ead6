import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type OneSession, openSession } from '../../test/one-session.ts';
import { type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import type { Item } from '../conversation/item.ts';
import { inputItem } from '../conversation/message.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

describe('tool calls of the caller', () => {
  it('are answered in the next turn, and the model sees call and result', async () => {
    const provider = scriptedProvider('p', calling('c1'), ['done']);
    const turns = session.turnsWith(provider);
    const { turn } = await session.run(turns, 'look');
    assert.equal(turn.finishReason, 'tool_calls');
    await session.run(turns, '', { input: [result('c1')] });
    assert.deepEqual(
      provider.prompts[1]?.items.map(({ type }) => type),
      ['message', 'function_call', 'function_call_output'],
    );
    assert.deepEqual(await session.conversation(), ['look', 'function_call', 'function_call_output', 'done']);
  });

  it('are all answered before the model is asked again', async () => {
    const provider = scriptedProvider('p', calling('c1', 'c2'), ['done']);
    const turns = session.turnsWith(provider);
    await session.run(turns, 'look');
    const waiting = await session.run(turns, '', { input: [result('c2')] });
    assert.equal(waiting.turn.status, 'completed');
    assert.deepEqual(waiting.turn.output, []);
    assert.equal(provider.prompts.length, 1);
    await session.run(turns, '', { input: [result('c1')] });
    assert.equal(provider.prompts.length, 2);
    assert.equal(provider.prompts[1]?.items.length, 5);
  });

  it('must be there to be answered', async () => {
    const turns = session.turnsWith(scriptedProvider('p', calling('c1'), ['done']));
    await session.run(turns, 'look');
    const unknown = await session.run(turns, '', { input: [result('c9')] });
    assert.equal(unknown.turn.error?.code, 'tool_call_not_found');
    await session.run(turns, '', { input: [result('c1')] });
    const twice = await session.run(turns, '', { input: [result('c1')] });
    assert.equal(twice.turn.error?.code, 'tool_call_not_found');
  });

  it('that are given up get a result that says so', async () => {
    const provider = scriptedProvider('p', calling('c1'), ['fine']);
    const turns = session.turnsWith(provider);
    await session.run(turns, 'look');
    await session.run(turns, 'never mind');
    assert.deepEqual(
      provider.prompts[1]?.items.map(({ type }) => type),
      ['message', 'function_call', 'function_call_output', 'message'],
    );
    assert.deepEqual(await session.conversation(), ['look', 'function_call', 'never mind', 'fine']);
  });

  it('stay with their results whatever the memory limit', async () => {
    const provider = scriptedProvider('p', ['one'], calling('c1'), ['done']);
    const turns = session.turnsWith(provider);
    await session.run(turns, 'hello');
    await session.run(turns, 'look');
    await session.run(turns, '', { input: [result('c1')], memoryLimit: 1 });
    assert.deepEqual(
      provider.prompts[2]?.items.map(({ type }) => type),
      ['message', 'function_call', 'function_call_output'],
    );
  });
});

function calling(...callIds: string[]): Step[] {
  const calls = callIds.map((callId): Step => ({ type: 'tool-call', callId, name: 'look', arguments: '{}' }));
  return [...calls, { type: 'finish', reason: 'tool_calls', usage: null, model: 'm' }];
}

/** A caller's result of a call; a call is answered once in these tests, or refused. */
function result(callId: string): Item {
  const message = { role: 'tool', content: `result of ${callId}`, toolCallId: callId } as const;
  return inputItem(message, `fco_${callId}`);
}
