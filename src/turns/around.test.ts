/** What surrounds every turn, where the composition root wants something around them. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, it } from 'node:test';
import { type OneSession, openSession } from '../../test/one-session.ts';
import { scriptedProvider } from '../../test/scripted-provider.ts';
import type { EndedTurn } from '../conversation/event.ts';
import type { Turn } from '../conversation/turn.ts';

let session: OneSession;

beforeEach(async () => {
  session = await openSession();
});
afterEach(() => session.close());

it('a turn runs in what surrounds it, once it has begun and before anybody is told of its end', async () => {
  const seen: { turn: Turn; ended: EndedTurn; running: number }[] = [];
  const provider = scriptedProvider('p', ['one'], [{ fail: 'bad_request' }]);
  const turns = session.turnsWith(provider, {
    around: async (turn, run) => {
      assert.equal((await session.allTurns()).at(-1)?.status, 'in_progress');
      assert.equal(provider.prompts.length, seen.length);
      const ended = await run();
      seen.push({ turn, ended, running: turns.running() });
      return ended;
    },
  });
  const first = await session.run(turns, 'hello');
  const second = await session.run(turns, 'again');
  assert.deepEqual(
    seen.map(({ turn, ended, running }) => [turn.id, ended.turn.status, running]),
    [
      [first.turn.id, 'completed', 1],
      [second.turn.id, 'failed', 1],
    ],
  );
  assert.equal(seen[0]?.ended, first);
});
