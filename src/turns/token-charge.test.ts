import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isError } from '../../test/one-session.ts';
import { NO_LIMITS } from '../conversation/client.ts';
import type { PromptItem } from '../conversation/item.ts';
import { inputItem } from '../conversation/message.ts';
import type { Attempt } from '../conversation/turn.ts';
import { createInProcessLimiter } from '../limits/in-process.ts';
import type { Bucket, Limiter } from '../limits/limiter.ts';
import { chargeTokens, NO_CHARGE, tokenBuckets } from './token-charge.ts';

const MODEL = 'gpt-5-mini';

/** One token for each word, and four around the message. */
const hello: PromptItem = inputItem({ role: 'user', content: 'one two three' }, 'msg_1');
const INPUT = 7;

const prompt = (options: Record<string, unknown> = {}) => ({
  instructions: null,
  items: [hello],
  options,
  stream: true,
});

function client(perMinute: number | null, perDay: number | null = null) {
  return { owner: 'c', allowance: { ...NO_LIMITS, tokensPerMinute: perMinute, tokensPerDay: perDay } };
}

/** A limiter whose clocks stand still, and what each of a client's buckets has left. */
function still() {
  const limiter = createInProcessLimiter({ now: () => 0, wallClock: () => 0 });
  const left = async ({ owner, allowance }: ReturnType<typeof client>) => {
    const { buckets } = await limiter.take(tokenBuckets(owner, allowance, 0));
    return buckets.map(({ remaining }) => remaining);
  };
  return { limiter, left };
}

function attempt(some: Partial<Attempt>): Attempt {
  return {
    provider: 'p',
    model: MODEL,
    status: 'completed',
    error: null,
    startedAt: 0,
    firstTokenMilliseconds: 1,
    milliseconds: 2,
    usage: null,
    ...some,
  };
}

function usage(input: number, output: number) {
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + output,
  };
}

describe('what a turn costs in tokens', () => {
  it('is the estimate of its prompt and what the caller lets the model write', async () => {
    for (const options of [{ max_completion_tokens: 50, max_tokens: 1 }, { max_tokens: 50 }]) {
      const { limiter, left } = still();
      const one = client(10_000, 100_000);
      await chargeTokens(limiter, one, prompt(options), MODEL);
      assert.deepEqual(await left(one), [10_000 - INPUT - 50, 100_000 - INPUT - 50]);
    }
  });

  it('counts instructions and tools, and where the caller sets no limit a usual answer', async () => {
    const { limiter, left } = still();
    const one = client(10_000);
    const tools = [{ type: 'function', function: { name: 'look' } }];
    await chargeTokens(
      limiter,
      one,
      { ...prompt({ tools, max_tokens: -1 }), instructions: 'Be kind' },
      MODEL,
    );
    const [rest = 0] = await left(one);
    assert.ok(rest < 10_000 - INPUT - 1000 - 2 - 5 && rest > 10_000 - INPUT - 1000 - 40, `${rest}`);
  });

  it('is put right by what the provider says, of failed attempts as well', async () => {
    const { limiter, left } = still();
    const one = client(10_000, 20_000);
    const charge = await chargeTokens(limiter, one, prompt(), MODEL);
    const failed = attempt({ status: 'failed', usage: usage(100, 20) });
    const attempts = [failed, attempt({ usage: usage(7, 3000) })];
    await charge.settle({ attempts, output: [] });
    assert.deepEqual(await left(one), [10_000 - 3127, 20_000 - 3127]);
  });

  it('is estimated from the answer where the provider says nothing', async () => {
    const { limiter, left } = still();
    const one = client(10_000);
    const charge = await chargeTokens(limiter, one, prompt(), MODEL);
    const output = [inputItem({ role: 'user', content: 'four five' }, 'msg_2')];
    const unreached = attempt({ status: 'failed', firstTokenMilliseconds: null });
    const broken = attempt({ status: 'failed' });
    await charge.settle({ attempts: [unreached, broken, attempt({})], output });
    assert.deepEqual(await left(one), [10_000 - INPUT - INPUT - 6]);
  });

  it('is nothing where nobody was reached', async () => {
    const { limiter, left } = still();
    const one = client(10_000, 10_000);
    const charge = await chargeTokens(limiter, one, prompt(), MODEL);
    await charge.settle({ attempts: [attempt({ firstTokenMilliseconds: null })], output: [] });
    assert.deepEqual(await left(one), [10_000, 10_000]);
  });

  it('does not believe a provider that speaks nonsense', async () => {
    for (const nonsense of [-5, Number.NaN, Infinity]) {
      const { limiter, left } = still();
      const one = client(10_000);
      const charge = await chargeTokens(limiter, one, prompt(), MODEL);
      await charge.settle({ attempts: [attempt({ usage: usage(nonsense, 10) })], output: [] });
      assert.deepEqual(await left(one), [9990]);
    }
  });

  it('is refused with the limit and the time, and takes nothing, where the client has not that much', async () => {
    const { limiter, left } = still();
    const one = client(1200, 100_000);
    await chargeTokens(limiter, one, prompt(), MODEL);
    await assert.rejects(chargeTokens(limiter, one, prompt(), MODEL), (error) => {
      assert.ok(isError('rate_limited')(error));
      const { details } = error as { details: unknown };
      // 1007 are wanted, 193 are left, and 20 come in a second.
      assert.deepEqual(details, { retry_after: 41, limit: 'tokens_per_minute' });
      return true;
    });
    assert.deepEqual(await left(one), [193, 100_000 - 1007]);
  });

  it('is not looked at without limits', async () => {
    const limiter: Limiter = {
      take: (_buckets: readonly Bucket[]) => Promise.reject(new Error('asked')),
      settle: () => Promise.reject(new Error('asked')),
    };
    assert.equal(await chargeTokens(limiter, client(null), prompt(), MODEL), NO_CHARGE);
  });
});
