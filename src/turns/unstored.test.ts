/** Turns in no session: they run as all do, and leave nothing. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type OneSession, OWNER, openSession, shownToEnd, textOf } from '../../test/one-session.ts';
import { never, scriptedProvider } from '../../test/scripted-provider.ts';
import { done, text, toolboxOf } from '../../test/scripted-tools.ts';
import { NO_LIMITS } from '../conversation/client.ts';
import type { Item } from '../conversation/item.ts';
import { NO_SESSION } from '../conversation/session.ts';
import { AppError } from '../errors.ts';
import type { UnstoredRequest } from './turn-request.ts';

let session: OneSession;
beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

function request(some: Partial<UnstoredRequest> = {}): UnstoredRequest {
  const { sessionId: _, parentTurnId: __, onBusy: ___, key: ____, ...rest } = session.request('Hello', some);
  return rest;
}

describe('a turn in no session', () => {
  it('answers what the request brings along, and is found by nobody afterwards', async () => {
    const provider = scriptedProvider('p', ['Hi ', 'there', done]);
    const turns = session.turnsWith(provider);
    const { live } = await turns.startUnstored(request({ instructions: 'Be brief.' }));
    const { turn } = await live.ended;
    assert.deepEqual(
      [turn.status, textOf(turn.output), turn.sessionId],
      ['completed', 'Hi there', NO_SESSION],
    );
    assert.equal((await shownToEnd(live)).length, 4);
    assert.equal(provider.prompts[0]?.instructions, 'Be brief.');
    await assert.rejects(turns.find(OWNER, NO_SESSION, live.id), { code: 'session_not_found' });
    assert.deepEqual(await session.allTurns(), []);
    assert.deepEqual(
      session.observed.map((seen) => seen.turn.id),
      [live.id],
    );
  });

  it('takes a whole conversation, with the calls in it and their results', async () => {
    const input: Item[] = [
      ...session.request('Look').input,
      {
        type: 'function_call',
        id: 'fc_1',
        call_id: 'c1',
        name: 'look',
        arguments: '{}',
        status: 'completed',
      },
      {
        type: 'function_call',
        id: 'fc_2',
        call_id: 'c2',
        name: 'look',
        arguments: '{}',
        status: 'completed',
      },
      { type: 'function_call_output', id: 'fco_1', call_id: 'c1', output: 'a tree', status: 'completed' },
    ];
    const provider = scriptedProvider('p', ['A tree.', done]);
    const { live } = await session.turnsWith(provider).startUnstored(request({ input }));
    assert.equal((await live.ended).turn.status, 'completed');
    assert.deepEqual(
      provider.prompts[0]?.items.map((item) => ('call_id' in item ? [item.type, item.call_id] : item.type)),
      [
        'message',
        ['function_call', 'c1'],
        ['function_call', 'c2'],
        ['function_call_output', 'c2'],
        ['function_call_output', 'c1'],
      ],
    );
  });

  it('uses the tools of the server that it asks for, and no others', async () => {
    const toolboxes = toolboxOf({ x__a: async () => text('done') });
    const provider = scriptedProvider('p', ['So.', done]);
    const turns = session.turnsWith(provider, { toolboxes });
    await (await turns.startUnstored(request())).live.ended;
    const tools = { choice: ['x'], requireApproval: [] };
    await (await turns.startUnstored(request({ tools }))).live.ended;
    assert.deepEqual(toolboxes.opened, ['none', ['x']]);
  });

  it('runs beside others, as many as its client may', async () => {
    const provider = scriptedProvider('p', ['part', never]);
    const turns = session.turnsWith(provider);
    const allowance = { ...NO_LIMITS, concurrentTurns: 2 };
    const running = [
      await turns.startUnstored(request({ allowance })),
      await turns.startUnstored(request({ allowance })),
    ];
    await assert.rejects(turns.startUnstored(request({ allowance })), { code: 'rate_limited' });
    for (const { live } of running) {
      const turn = await turns.cancel(OWNER, NO_SESSION, live.id);
      assert.deepEqual([turn.status, textOf(turn.output)], ['cancelled', 'part']);
    }
    const { live } = await turns.startUnstored(request({ allowance }));
    await turns.cancel(OWNER, NO_SESSION, live.id);
  });

  it('is nobody else’s', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.startUnstored(request());
    await assert.rejects(turns.cancel('somebody', NO_SESSION, live.id), { code: 'session_not_found' });
    await turns.cancel(OWNER, NO_SESSION, live.id);
  });

  it('is waited for when the server closes, and ended when there is no time left', async () => {
    const turns = session.turnsWith(scriptedProvider('p', ['part', never]));
    const { live } = await turns.startUnstored(request());
    await turns.drain(1);
    assert.equal((await live.ended).turn.error?.code, 'server_shutting_down');
    await assert.rejects(turns.startUnstored(request()), new AppError('server_shutting_down'));
  });
});
