import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProviderDouble } from '../../test/provider-double.ts';
import { createOpenRouter } from './openrouter.ts';
import { collect, isFailure, promptOf, providerContract, upstreamContract } from './provider.contract.ts';

const open = async (
  attribution: { referer: string | null; title: string | null } = { referer: null, title: null },
) => {
  const double = await startProviderDouble();
  const settings = { baseUrl: double.url, apiKey: 'key', defaultModel: 'openrouter/auto', connections: 8 };
  return { double, provider: createOpenRouter({ ...settings, ...attribution }) };
};

providerContract('openrouter', () => open());
upstreamContract('openrouter', () => open());

test('openrouter says whose application asks, if it is told', async () => {
  const named = await open({ referer: 'https://example.org/', title: 'Example' });
  await collect(named.provider, promptOf('Hello'));
  assert.equal(named.provider.name, 'openrouter');
  assert.equal(named.provider.modelsHaveSlashes, true);
  assert.equal(named.double.last.headers['http-referer'], 'https://example.org/');
  assert.equal(named.double.last.headers['x-title'], 'Example');
  await named.provider.close();
  await named.double.close();

  const unnamed = await open();
  await collect(unnamed.provider, promptOf('Hello'));
  assert.equal('http-referer' in unnamed.double.last.headers, false);
  assert.equal('x-title' in unnamed.double.last.headers, false);
  await unnamed.provider.close();
  await unnamed.double.close();
});

test('openrouter waits with comments, tells the cost, and names the model it chose', async () => {
  const { double, provider } = await open();
  double.respond({
    raw: [
      ': OPENROUTER PROCESSING\n\n',
      ': OPENROUTER PROCESSING\n\n',
      'data: {"model":"maker/model","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n',
      'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11,"cost":0.002,"prompt_tokens_details":{"cached_tokens":8}}}\n\n',
      'data: [DONE]\n\n',
    ],
  });
  const events = await collect(provider, promptOf('Hello'));
  assert.deepEqual(events.at(-1), {
    type: 'finish',
    reason: 'stop',
    model: 'maker/model',
    usage: {
      input_tokens: 10,
      input_tokens_details: { cached_tokens: 8 },
      output_tokens: 1,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: 11,
      cost: 0.002,
    },
  });
  await provider.close();
  await double.close();
});

test('openrouter tells of errors inside a 200', async () => {
  const { double, provider } = await open();
  const error = { code: 502, message: 'Provider returned error', metadata: { provider_name: 'maker' } };
  double.respond({ error });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('invalid_answer', 200));
  await assert.rejects(
    collect(provider, { ...promptOf('Hello'), stream: false }),
    isFailure('invalid_answer', 200),
  );
  double.respond({ text: ['some', ' text'], error });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('interrupted', 200));
  double.respond({ text: ['some', ' text'], error: { ...error, code: 429 } });
  await assert.rejects(collect(provider, promptOf('Hello')), isFailure('rate_limited', 200));
  await provider.close();
  await double.close();
});
