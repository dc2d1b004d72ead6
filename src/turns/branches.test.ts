/** Turns that follow another one than the newest: the conversation is a tree, and the head says which path it shows. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { isError, type OneSession, OWNER, openSession, reached } from '../../test/one-session.ts';
import { never, type Step, scriptedProvider } from '../../test/scripted-provider.ts';
import { inputItem } from '../conversation/message.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

describe('a turn that follows an earlier one', () => {
  it('sees the path to that one alone, and the conversation goes on from it', async () => {
    const provider = scriptedProvider('p', ['one'], ['two'], ['three'], ['four']);
    const turns = session.turnsWith(provider);
    const first = await session.run(turns, '1');
    const second = await session.run(turns, '2');
    const third = await session.run(turns, '3', { parentTurnId: first.turn.id });
    assert.equal(third.turn.parentId, first.turn.id);
    assert.equal(provider.prompts[2]?.items.length, 3);
    assert.deepEqual(
      third.seen.map(({ id }) => id),
      [first.turn.id],
    );
    assert.deepEqual(await session.conversation(), ['1', 'one', '3', 'three']);

    const fourth = await session.run(turns, '4', { parentTurnId: second.turn.id });
    assert.deepEqual(
      fourth.seen.map(({ id }) => id),
      [first.turn.id, second.turn.id],
    );
    assert.deepEqual(await session.conversation(), ['1', 'one', '2', 'two', '4', 'four']);
  });

  it('or none, begins the conversation again', async () => {
    const provider = scriptedProvider('p', ['one'], ['two']);
    const turns = session.turnsWith(provider);
    await session.run(turns, '1');
    const { turn, seen } = await session.run(turns, '2', { parentTurnId: null });
    assert.equal(turn.parentId, null);
    assert.deepEqual(seen, []);
    assert.equal(provider.prompts[1]?.items.length, 1);
    assert.deepEqual(await session.conversation(), ['2', 'two']);
  });

  it('leaves the head where it was if it fails', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['one'], ['two'], [{ fail: 'bad_request' }]));
    const first = await session.run(turns, '1');
    await session.run(turns, '2');
    const failed = await session.run(turns, '3', { parentTurnId: first.turn.id });
    assert.equal(failed.turn.status, 'failed');
    assert.deepEqual(await session.conversation(), ['1', 'one', '2', 'two']);
  });

  it('answers the calls of that one, which the newest may have answered as well', async () => {
    const calling: Step[] = [
      { type: 'tool-call', callId: 'c1', name: 'look', arguments: '{}' },
      { type: 'finish', reason: 'tool_calls', usage: null, model: 'm' },
    ];
    const provider = scriptedProvider('p', calling, ['sunny'], ['rainy']);
    const turns = session.turnsWith(provider);
    const first = await session.run(turns, 'the weather?');
    const result = { role: 'tool', content: 'sun', toolCallId: 'c1' } as const;
    await session.run(turns, '', { input: [inputItem(result, 'fco_1')] });
    const other = { ...result, content: 'rain' };
    const { turn } = await session.run(turns, '', {
      input: [inputItem(other, 'fco_2')],
      parentTurnId: first.turn.id,
    });
    assert.equal(turn.status, 'completed');
    assert.deepEqual(await session.conversation(), [
      'the weather?',
      'function_call',
      'function_call_output',
      'rainy',
    ]);
  });
});

describe('what can be followed', () => {
  it('is a turn of the same session', async () => {
    const { session: other } = await session.sessions.create(OWNER, {});
    const turns = session.turnsWith(scriptedProvider('p', ['one']));
    const { turn } = await session.run(turns, '1');
    for (const some of [{ parentTurnId: 'nobody' }, { parentTurnId: turn.id, sessionId: other.id }]) {
      await assert.rejects(turns.start(session.request('2', some)), isError('turn_not_found'));
    }
    const stranger = { owner: 'stranger', parentTurnId: turn.id };
    await assert.rejects(turns.start(session.request('2', stranger)), isError('session_not_found'));
    assert.equal((await session.run(turns, '3')).turn.parentId, turn.id);
  });

  it('is part of the conversation: not what failed, nor what was cancelled without a word', async () => {
    const script: Step[] = [{ fail: 'bad_request' }];
    const provider = scriptedProvider('p', script, [never], ['part', never], ['four']);
    const turns = session.turnsWith(provider);
    const failed = await session.run(turns, '1');
    const { live: silent } = await turns.start(session.request('2'));
    while (provider.prompts.length < 2) await new Promise(setImmediate);
    await turns.cancel(OWNER, session.sessionId, silent.id);
    const { live: begun } = await turns.start(session.request('3'));
    await reached(begun, 'message.delta');
    await turns.cancel(OWNER, session.sessionId, begun.id);

    for (const parentTurnId of [failed.turn.id, silent.id]) {
      const follow = turns.start(session.request('4', { parentTurnId }));
      await assert.rejects(follow, isError('parent_not_usable'));
    }
    const { turn } = await session.run(turns, '4', { parentTurnId: begun.id });
    assert.equal(turn.status, 'completed');
    assert.deepEqual(await session.conversation(), ['3', 'part', '4', 'four']);
  });
});
