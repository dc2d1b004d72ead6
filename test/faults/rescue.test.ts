/**
 * How a rescue joins what one target said and what another says after it: nothing twice, nothing lost, and where
 * the two differ the client is told so. Tool calls come whole and once.
 */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Script } from '../provider-double.ts';
import { assertAnswered } from './honesty.ts';
import { courseOf, openStage, type Player, type Stage, textOf } from './stage.ts';

let stage: Stage;

before(async () => {
  stage = await openStage();
});

after(() => stage.close());

/** Says this much and breaks off. */
const broken = (...text: string[]): Script => ({ text, finishReason: null, usage: 'never', done: false });

const hasRestart = (told: Parameters<typeof courseOf>[0]) => courseOf(told).includes('message.restart');

describe('a target that answers anew', { concurrency: 8 }, () => {
  const cases: [what: string, sent: string[], anew: string[], restarts: boolean][] = [
    ['says the same in other pieces', ['One two', ' three'], ['O', 'ne ', 'two three', ' four'], false],
    ['says only what was sent', ['One two'], ['One', ' two'], false],
    ['differs from the first letter', ['One two'], ['Zero'], true],
    ['differs within what was sent', ['One two'], ['One ', 'three two'], true],
    ['differs in the last letter', ['One two'], ['One twx', ' three'], true],
    ['says less than was sent', ['One two'], ['One'], true],
    ['says nothing', ['One two'], [], true],
    ['differs within a surrogate pair', ['Yes 😀'], ['Yes 😁', ' indeed'], true],
    ['goes on after a surrogate pair', ['Yes 😀'], ['Yes 😀', ' indeed 😁'], false],
  ];
  for (const [what, sent, anew, restarts] of cases) {
    it(`and ${what} ${restarts ? 'starts again' : 'goes on'}`, async () => {
      const scene = await stage.scene({ alpha: broken(...sent), beta: { text: anew } });
      const told = await scene.ask(true);
      await assertAnswered(scene, told, anew.join(''));
      assert.equal(hasRestart(told), restarts);
    });
  }
});

describe('a target that goes on', { concurrency: 8 }, () => {
  const sent = 'The quick brown fox';
  const both: readonly Player[] = ['beta-instruct', 'beta-prefill'];
  const told: readonly Player[] = ['beta-instruct'];
  const cases: [what: string, players: readonly Player[], text: string[], whole: string][] = [
    ['and repeats nothing', both, [' jumps'], 'The quick brown fox jumps'],
    ['and has nothing to add', both, [], 'The quick brown fox'],
    ['and begins anew', both, ['The quick', ' brown fox jumps'], 'The quick brown fox jumps'],
    ['and repeats the end', told, ['quick brown fox', ' jumps'], 'The quick brown fox jumps'],
    ['and repeats it letter by letter', told, 'ck brown fox jumps'.split(''), 'The quick brown fox jumps'],
    ['and repeats too little to be sure', told, ['k brown fox'], 'The quick brown foxk brown fox'],
    ['with words that only seem to repeat', both, [' fox, fox'], 'The quick brown fox fox, fox'],
    ['with a short repetition that is meant', both, ['fox'], 'The quick brown foxfox'],
  ];
  for (const [what, players, text, whole] of cases) {
    for (const player of players) {
      it(`${what}, ${player}`, async () => {
        const scene = await stage.scene({ alpha: broken(sent), [player]: { text } });
        const told = await scene.ask(true);
        await assertAnswered(scene, told, whole);
        assert.equal(hasRestart(told), false);
      });
    }
  }

  it('is told all that was said, also by several targets before it', async () => {
    const scene = await stage.scene({
      alpha: broken('The quick '),
      'alpha-prefill': broken('brown fox'),
      'beta-prefill': { text: ' jumps' },
    });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, 'The quick brown fox jumps');
    assert.deepEqual(scene.asked(), ['alpha', 'alpha-prefill', 'beta-prefill']);
    const last = scene.requests.at(-1)?.body.messages.at(-1);
    assert.deepEqual(last, { role: 'assistant', content: 'The quick brown fox' });
  });

  it('is not asked to where nothing was said but thoughts: it answers anew', async () => {
    const thought: Script = { ...broken(), reasoning: ['Hm, ', 'let me see'] };
    const whole: Script = { reasoning: ['Well'], text: ['An answer'] };
    const scene = await stage.scene({ alpha: thought, 'beta-prefill': whole });
    const told = await scene.ask(true);
    await assertAnswered(scene, told, 'An answer');
    assert.deepEqual(scene.requests[1]?.body.messages, [{ role: 'user', content: 'Tell' }]);
  });
});

describe('tool calls', { concurrency: 8 }, () => {
  const call = { id: 'call_1', name: 'weather', arguments: ['{"city":', ' "Oslo"}'] };
  const expected = [
    { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city": "Oslo"}' } },
  ];
  /** Breaks off with the first half of the call on its way. */
  const brokenCall: Script = {
    ...broken('Let me look. '),
    toolCalls: [{ ...call, arguments: ['{"city":'] }],
  };

  const rescuers: [Player, Script][] = [
    ['beta', { text: ['Let me look. '], toolCalls: [call] }],
    ['beta', { text: ['Looking. '], toolCalls: [call] }],
    ['beta', { toolCalls: [call] }],
    ['beta-prefill', { toolCalls: [call] }],
    ['beta-instruct', { text: ['Let me look. '], toolCalls: [call] }],
  ];
  for (const [index, [player, script]] of rescuers.entries()) {
    it(`come whole and once after they broke off, ${player} ${index}`, async () => {
      const scene = await stage.scene({ alpha: brokenCall, [player]: script });
      const told = await scene.ask(true);
      assert.equal(told.events.at(-1)?.event, 'turn.completed', JSON.stringify(told.body));
      assert.deepEqual(told.body.message.tool_calls, expected);
      assert.equal(told.body.finish_reason, 'tool_calls');
      assert.equal(told.body.message.content ?? '', textOf(told));
      const turn = await scene.turn(told);
      assert.equal(turn.output.filter(({ type }: any) => type === 'function_call').length, 1);
      // The conversation goes on with the call's result: it is there, and it is there once.
      scene.recast({ alpha: { text: 'Cold.' }, [player]: { text: 'Cold.' } });
      const result = { role: 'tool', tool_call_id: 'call_1', content: 'cold' };
      assert.equal((await scene.ask(false, result)).body.message?.content, 'Cold.');
    });
  }
});

/** Short texts of few letters: beginnings, ends and repetitions meet by chance. */
const phrase = fc.array(fc.constantFrom('ab', 'ba', 'a', ' ', 'é', '😀', 'abababababab'), { maxLength: 8 });

it('whatever two targets say, the client ends with one whole answer', async () => {
  const players = fc.constantFrom<Player[]>('beta', 'beta-prefill', 'beta-instruct');
  const property = fc.asyncProperty(
    phrase,
    phrase,
    fc.boolean(),
    players,
    async (first, more, anew, player) => {
      const sent = first.join('');
      fc.pre(sent !== '');
      const text = anew ? [sent, ...more] : more;
      const scene = await stage.scene({ alpha: broken(...first), [player]: { text } });
      const told = await scene.ask(true);
      assert.equal(told.events.at(-1)?.event, 'turn.completed', JSON.stringify(told.body));
      const whole = told.body.message.content;
      assert.equal(textOf(told), whole);
      const said = text.join('');
      if (player === 'beta' || whole !== said) assertJoined(player, { sent, said, whole });
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

/**
 * Who answers anew is told as a whole. What goes on may lose its beginning, where that is white space that the
 * client has, or repeats the end of what was sent, and nothing else.
 */
function assertJoined(
  player: Player,
  { sent, said, whole }: Record<'sent' | 'said' | 'whole', string>,
): void {
  if (player === 'beta') return assert.equal(whole, said);
  assert.ok(whole.startsWith(sent), whole);
  const kept = whole.slice(sent.length);
  assert.ok(said.endsWith(kept), `${said} does not end with ${kept}`);
  const dropped = said.slice(0, said.length - kept.length);
  const given = sent.trimEnd();
  const space = sent.slice(given.length);
  const repeated = Array.from({ length: dropped.length + 1 }, (_, length) => dropped.slice(0, length));
  const mayBeDropped = repeated.some(
    (end) =>
      space.startsWith(dropped.slice(end.length)) &&
      (end === '' || (player === 'beta-instruct' && end.length >= 12 && given.endsWith(end))),
  );
  assert.ok(mayBeDropped, `${JSON.stringify(dropped)} was dropped after ${JSON.stringify(sent)}`);
}
