import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../errors.ts';
import type { Provider, Providers } from '../providers/provider.ts';
import { createTargetSelection, type SessionChoice } from './targets.ts';

const openai = provider('openai', { defaultModel: 'gpt' });
const openrouter = provider('openrouter', { defaultModel: 'openrouter/auto', modelsHaveSlashes: true });
const local = provider('local', { defaultModel: null });
const all = [openai, openrouter, local];
const providers: Providers = {
  all,
  default: openai,
  get(name) {
    const found = all.find((one) => one.name === name.trim().toLowerCase());
    if (found === undefined) throw new AppError('provider_not_found', { provider: name });
    return found;
  },
  close: async () => undefined,
};

const nothing: SessionChoice = { provider: null, model: null, fallbackProviders: null };

/** The targets as `provider:model:source`. */
function select(
  request: Partial<SessionChoice>,
  session: Partial<SessionChoice>,
  server: string[] = [],
): string[] {
  const selection = createTargetSelection(providers, server);
  const targets = selection.select({ ...nothing, ...request }, { ...nothing, ...session });
  return targets.map(({ provider, model, source }) => `${provider.name}:${model}:${source}`);
}

describe('the chosen target', () => {
  const cases: [string, Partial<SessionChoice>, Partial<SessionChoice>, string][] = [
    ['nobody chooses', {}, {}, 'openai:gpt:default'],
    ['the session chooses', {}, { provider: 'openrouter' }, 'openrouter:openrouter/auto:session'],
    ['the session chooses a model', {}, { model: 'o1' }, 'openai:o1:session'],
    ['the request overrules', { provider: 'openai' }, { provider: 'openrouter' }, 'openai:gpt:override'],
    ['a name has another case', { provider: ' OpenAI ' }, {}, 'openai:gpt:override'],
    ['the request names a model', { model: 'o1' }, {}, 'openai:o1:override'],
    ['of the session’s provider', { model: 'x/y' }, { provider: 'openrouter' }, 'openrouter:x/y:override'],
    ['as provider/model', { model: 'local/llama' }, {}, 'local:llama:override'],
    ['of a namespace that is no provider', { model: 'meta/llama' }, {}, 'openai:meta/llama:override'],
    ['with slashes in it', { model: 'openrouter/meta/llama' }, {}, 'openrouter:meta/llama:override'],
    [
      'the session’s model goes with the session’s provider only',
      { provider: 'openrouter' },
      { provider: 'openai', model: 'o1' },
      'openrouter:openrouter/auto:override',
    ],
    [
      'and stays when the request names the same provider',
      { provider: 'openai' },
      { provider: 'openai', model: 'o1' },
      'openai:o1:override',
    ],
  ];
  for (const [name, request, session, expected] of cases) {
    it(name, () => assert.deepEqual(select(request, session), [expected]));
  }

  it('needs a model from somewhere', () => {
    assert.throws(() => select({ provider: 'local' }, {}), isError('model_required'));
  });

  it('must exist', () => {
    assert.throws(() => select({ provider: 'nobody' }, {}), isError('provider_not_found'));
  });
});

describe('fallbacks', () => {
  it('follow in order: the session’s list, else the server’s', () => {
    const server = ['openrouter', 'local/llama'];
    assert.deepEqual(select({}, {}, server), [
      'openai:gpt:default',
      'openrouter:openrouter/auto:fallback',
      'local:llama:fallback',
    ]);
    assert.deepEqual(select({}, { fallbackProviders: ['local/llama'] }, server), [
      'openai:gpt:default',
      'local:llama:fallback',
    ]);
    assert.deepEqual(select({}, { fallbackProviders: [] }, server), ['openai:gpt:default']);
  });

  it('are not what was tried already', () => {
    assert.deepEqual(select({}, { fallbackProviders: ['openai', 'openrouter', 'openrouter'] }), [
      'openai:gpt:default',
      'openrouter:openrouter/auto:fallback',
    ]);
  });

  it('may be another model of the same provider', () => {
    assert.deepEqual(select({}, { fallbackProviders: ['openai/small'] }), [
      'openai:gpt:default',
      'openai:small:fallback',
    ]);
  });
});

describe('check', () => {
  const { check } = createTargetSelection(providers, []);
  it('refuses names that nobody has', () => {
    assert.throws(() => check({ provider: 'nobody' }), isError('provider_not_found'));
    assert.throws(() => check({ fallbackProviders: ['openai', 'nobody'] }), isError('provider_not_found'));
  });
  it('lets the rest pass', () => {
    check({ provider: null, fallbackProviders: ['openai', 'local/llama'] });
  });
});

function provider(name: string, some: Partial<Provider>): Provider {
  return {
    name,
    defaultModel: 'm',
    models: [],
    modelsHaveSlashes: false,
    contextTokens: null,
    stream: () => assert.fail('nobody is asked'),
    close: async () => undefined,
    ...some,
  };
}

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}
