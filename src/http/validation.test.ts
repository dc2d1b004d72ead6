import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Type } from 'typebox';
import { AppError } from '../errors.ts';
import { compileValidator } from './validation.ts';

const schema = Type.Object(
  {
    list: Type.Optional(Type.Array(Type.Integer(), { maxItems: 256 })),
    loose: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
);
const validate = compileValidator({ schema, method: 'POST', url: '/', httpPart: 'body' });

/** As they are told; none for a body that is right. */
function problemsOf(body: unknown): { path: string; message: string }[] {
  const result: any = validate(body);
  if (result.error === undefined) return [];
  assert.ok(result.error instanceof AppError && result.error.code === 'invalid_request');
  return result.error.details?.['problems'] as { path: string; message: string }[];
}

const fields = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1]));

describe('the problems of a body', () => {
  it('are told for as many unknown fields as there are, up to a bound', () => {
    assert.deepEqual(problemsOf({}), []);
    for (const count of [1, 19, 20, 21, 30, 100_000]) {
      const problems = problemsOf(fields(count));
      assert.equal(problems.length, Math.min(count, 20), String(count));
      assert.ok(problems.every(({ message }) => message === 'unknown field'));
    }
  });

  it('are those of a list that is too long, not of each of its elements', () => {
    const [problem] = problemsOf({ list: Array<number>(1_000_000).fill(1) });
    assert.deepEqual([problem?.path, problem?.message], ['/list', 'must not have more than 256 items']);
  });

  it('are told in general where they come after all that is looked at', () => {
    const problems = problemsOf({ list: [...Array<number>(250).fill(1), 'x'] });
    assert.equal(problems[0]?.path, '/list/250');
    const after = Type.Object({ list: Type.Array(Type.Integer()) });
    const check = compileValidator({ schema: after, method: 'POST', url: '/', httpPart: 'body' });
    const result: any = check({ list: [...Array<number>(1000).fill(1), 'x'] });
    assert.deepEqual(result.error.details.problems, [
      { in: 'body', path: '', message: 'is wrong, and very large' },
    ]);
  });
});
