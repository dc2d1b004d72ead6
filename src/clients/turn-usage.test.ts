import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Attempt } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';
import { NO_USAGE } from '../conversation/usage-count.ts';
import { usageOfTurn } from './turn-usage.ts';

function usage(
  input: number,
  output: number,
  more: { cached?: number; reasoning?: number; cost?: number } = {},
): Usage {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: more.cached ?? 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: more.reasoning ?? 0 },
    total_tokens: input + output,
    ...(more.cost === undefined ? {} : { cost: more.cost }),
  };
}

function attempt(change: Partial<Attempt>): Attempt {
  return {
    provider: 'one',
    model: 'm',
    status: 'completed',
    error: null,
    startedAt: 1,
    firstTokenMilliseconds: 1,
    milliseconds: 2,
    usage: null,
    ...change,
  };
}

const failed = { status: 'failed', error: { kind: 'stalled' } } as const;
const nothing = NO_USAGE;

describe('what a turn has used', () => {
  it('is what the provider of its attempt says', () => {
    const told = usage(10, 5, { cached: 4, reasoning: 2, cost: 0.5 });
    const numbers = { inputTokens: 10, outputTokens: 5, cachedTokens: 4, reasoningTokens: 2, cost: 0.5 };
    assert.deepEqual(usageOfTurn({ attempts: [attempt({ usage: told })] }), [
      { provider: 'one', model: 'm', turns: 1, attempts: 1, ...numbers },
    ]);
  });

  it('is counted for every attempt that used something, and the turn once, for the last of them', () => {
    const attempts = [
      attempt({ ...failed, usage: usage(3, 1) }),
      attempt({ ...failed, usage: usage(3, 2) }),
      attempt({ ...failed, provider: 'two' }),
      attempt({ provider: 'two', model: 'n', usage: usage(4, 6) }),
      attempt({ ...failed, provider: 'three' }),
    ];
    assert.deepEqual(usageOfTurn({ attempts }), [
      { provider: 'one', model: 'm', ...nothing, attempts: 2, inputTokens: 6, outputTokens: 3 },
      { provider: 'two', model: 'n', ...nothing, turns: 1, attempts: 1, inputTokens: 4, outputTokens: 6 },
    ]);
  });

  it('is a turn without tokens where the provider answers and does not tell', () => {
    assert.deepEqual(usageOfTurn({ attempts: [attempt({})] }), [
      { provider: 'one', model: 'm', ...nothing, turns: 1, attempts: 1 },
    ]);
  });

  it('is nothing where nobody answered: a model that does not exist makes no place of its own', () => {
    assert.deepEqual(usageOfTurn({ attempts: [] }), []);
    assert.deepEqual(usageOfTurn({ attempts: [attempt(failed)] }), []);
  });

  it('is made of numbers that can be added up, whatever a provider says', () => {
    const said = fc.oneof(fc.double(), fc.constantFrom(-1, NaN, Infinity, -Infinity, Number.MAX_VALUE));
    const told = fc.tuple(said, said, said).map(([input, output, cost]) => usage(input, output, { cost }));
    fc.assert(
      fc.property(fc.array(told, { minLength: 1, maxLength: 20 }), (usages) => {
        const [used] = usageOfTurn({ attempts: usages.map((one) => attempt({ usage: one })) });
        assert.equal(used?.attempts, usages.length);
        for (const number of [used?.inputTokens, used?.outputTokens, used?.cost]) {
          assert.ok(number !== undefined && number >= 0 && number < Infinity, `${number}`);
        }
      }),
    );
  });
});
