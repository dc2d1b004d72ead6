/** Answers of the campaign's provider: whole ones, cut ones, and those to another question. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { answerPieces, isAnswerTo } from './answer-text.ts';

test('an answer is known as a whole one to its own question alone', () => {
  fc.assert(
    fc.property(fc.nat(), fc.string(), fc.string(), fc.nat(), (number, question, other, cut) => {
      const answer = answerPieces(number, question).join('');
      assert.ok(isAnswerTo(answer, question));
      assert.ok(!isAnswerTo(answer.slice(0, cut % answer.length), question));
      if (other !== question) assert.ok(!isAnswerTo(answer, other));
    }),
  );
});
