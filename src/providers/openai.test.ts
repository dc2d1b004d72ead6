import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProviderDouble } from '../../test/provider-double.ts';
import { createOpenAI } from './openai.ts';
import { collect, promptOf, providerContract, upstreamContract } from './provider.contract.ts';

const open = async () => {
  const double = await startProviderDouble();
  const settings = { baseUrl: double.url, apiKey: 'sk-secret', defaultModel: 'gpt-5-mini', connections: 8 };
  return { double, provider: createOpenAI(settings) };
};

providerContract('openai', open);
upstreamContract('openai', open);

test('openai sends its key and nothing of another provider', async () => {
  const { double, provider } = await open();
  await collect(provider, promptOf('Hello'));
  assert.equal(provider.name, 'openai');
  assert.equal(provider.modelsHaveSlashes, false);
  assert.equal(double.last.headers['authorization'], 'Bearer sk-secret');
  assert.equal(double.last.headers['x-title'], undefined);
  await provider.close();
  await double.close();
});
