import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../errors.ts';
import type { Provider, Providers } from '../providers/provider.ts';
import type { NamedRoute } from './named-route.ts';
import {
  createTargetSelection,
  type RouteTarget,
  type SessionChoice,
  type TargetSelectionOptions,
} from './targets.ts';

const openai = provider('openai', { defaultModel: 'gpt', contextTokens: 1000 });
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

const nothing: SessionChoice = { provider: null, model: null, fallbackProviders: null, servedBy: null };
const usual: TargetSelectionOptions = {
  providers,
  fallbacks: [],
  routes: [],
  isInService: () => true,
  isHealthy: () => true,
  random: () => 0,
};

/** The targets as `provider:model:source`. */
function select(
  request: Partial<SessionChoice>,
  session: Partial<SessionChoice>,
  server: Partial<TargetSelectionOptions> = {},
): string[] {
  const selection = createTargetSelection({ ...usual, ...server });
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
    const server = { fallbacks: ['openrouter', 'local/llama'] };
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

describe('what a target takes', () => {
  it('is known of a provider’s default model, where the operator says it', () => {
    const { select } = createTargetSelection({ ...usual, fallbacks: ['openai/small', 'openrouter'] });
    const tokens = select(nothing, nothing).map(({ contextTokens }) => contextTokens);
    assert.deepEqual(tokens, [1000, null, null]);
  });

  it('is known of a route’s target, or else of its provider', () => {
    const routes = [
      route('fast', ['openai', null], ['openai', 'small'], ['local', 'llama', { contextTokens: 5 }]),
    ];
    const { select } = createTargetSelection({ ...usual, routes });
    const tokens = select({ provider: null, model: 'fast' }, nothing).map(
      ({ contextTokens }) => contextTokens,
    );
    assert.deepEqual(tokens, [1000, null, 5]);
  });
});

describe('the target that served last', () => {
  const server = { fallbacks: ['openrouter', 'local/llama'] };
  const servedBy = { provider: 'local', model: 'llama' };

  it('is the first one of those there are', () => {
    assert.deepEqual(select({}, { servedBy }, server), [
      'local:llama:fallback',
      'openai:gpt:default',
      'openrouter:openrouter/auto:fallback',
    ]);
  });

  it('is not while it is out of service', () => {
    const asked: object[] = [];
    const isHealthy = (target: object) => asked.push(target) === 0;
    assert.equal(select({}, { servedBy }, { ...server, isHealthy })[0], 'openai:gpt:default');
    assert.deepEqual(asked, [servedBy]);
  });

  it('is not added where it is none of the targets any more', () => {
    const expected = select({}, {}, server);
    assert.deepEqual(select({}, { servedBy: { provider: 'local', model: 'other' } }, server), expected);
    assert.deepEqual(select({}, { servedBy: { provider: 'gone', model: 'llama' } }, server), expected);
  });

  it('is overruled by a request that names somebody', () => {
    assert.equal(select({ provider: 'openai' }, { servedBy }, server)[0], 'openai:gpt:override');
    assert.equal(select({ model: 'o1' }, { servedBy }, server)[0], 'openai:o1:override');
  });
});

describe('a named route', () => {
  const plain = route('fast', ['local', 'llama'], ['openai', null]);
  const server = { routes: [plain], fallbacks: ['openrouter'] };

  it('stands where a model is named: by the request, else by the session', () => {
    assert.deepEqual(select({ model: 'fast' }, {}, server), ['local:llama:override', 'openai:gpt:fallback']);
    assert.deepEqual(select({}, { model: 'fast' }, server), ['local:llama:session', 'openai:gpt:fallback']);
  });

  it('is its own list: other fallbacks do not follow it', () => {
    const session = { model: 'fast', fallbackProviders: ['openrouter'] };
    assert.equal(select({}, session, server).length, 2);
  });

  it('is a model’s name beside a provider', () => {
    assert.equal(select({ provider: 'openai', model: 'fast' }, {}, server)[0], 'openai:fast:override');
    assert.equal(select({}, { provider: 'openai', model: 'fast' }, server)[0], 'openai:fast:session');
  });

  it('of the session is overruled by the request, and inherited by nobody', () => {
    const session = { model: 'fast' };
    assert.equal(select({ provider: 'openai' }, session, server)[0], 'openai:gpt:override');
    assert.equal(select({ model: 'o1' }, session, server)[0], 'openai:o1:override');
  });

  it('begins with the target that served last', () => {
    const servedBy = { provider: 'openai', model: 'gpt' };
    const expected = ['openai:gpt:session', 'local:llama:fallback'];
    assert.deepEqual(select({}, { model: 'fast', servedBy }, server), expected);
    const out = { ...server, isHealthy: () => false };
    assert.equal(select({}, { model: 'fast', servedBy }, out)[0], 'local:llama:session');
  });

  it('is refused at the start where it cannot be asked', () => {
    const created = (target: [string, string | null]) => () =>
      createTargetSelection({ ...usual, routes: [route('bad', target)] });
    assert.throws(created(['nobody', 'm']), isError('provider_not_found'));
    assert.throws(created(['local', null]), isError('model_required'));
  });
});

describe('the weights of a route', () => {
  const [one, two, three] = ['one', 'two', 'three'].map((model) => `local:${model}`);
  const weighted = (...weights: (number | null)[]) =>
    route(
      'w',
      ...(['one', 'two', 'three'] as const).map((model, index) => entry('local', model, weights[index])),
    );

  /** The order of the targets when this number is drawn. */
  function order(drawn: number, ...weights: (number | null)[]): string[] {
    const chosen = select({ model: 'w' }, {}, { routes: [weighted(...weights)], random: () => drawn });
    return chosen.map((text) => text.split(':').slice(0, 2).join(':'));
  }

  it('draw the first target, each as often as its share says', () => {
    const first = Array.from({ length: 100 }, (_, index) => order(index / 100, 1, 2, 1)[0]);
    const count = (name: string | undefined) => first.filter((drawn) => drawn === name).length;
    assert.deepEqual([count(one), count(two), count(three)], [25, 50, 25]);
  });

  it('leave the others as they stand', () => {
    assert.deepEqual(order(0.9, 1, 1, 1), [three, one, two]);
    assert.deepEqual(order(0.5, 1, 1, 1), [two, one, three]);
    assert.deepEqual(order(0, 1, 1, 1), [one, two, three]);
  });

  it('of nothing are never drawn first', () => {
    for (const drawn of [0, 0.5, 0.999_999]) {
      assert.deepEqual(order(drawn, 0, 1, null), [two, one, three]);
    }
  });

  it('leave the order alone where there are none', () => {
    for (const drawn of [0, 0.999_999]) {
      assert.deepEqual(order(drawn, null, null, null), [one, two, three]);
      assert.deepEqual(order(drawn, 0, 0, 0), [one, two, three]);
    }
  });

  it('are drawn anew for each turn', () => {
    const numbers = [0.9, 0.1];
    const { select } = createTargetSelection({
      ...usual,
      routes: [weighted(1, 1, 1)],
      random: () => numbers.shift() ?? assert.fail('drawn too often'),
    });
    const models = [0, 1].map(() => select({ provider: null, model: 'w' }, nothing)[0].model);
    assert.deepEqual(models, ['three', 'one']);
  });
});

describe('providers out of service', () => {
  const server = { fallbacks: ['openrouter', 'local/llama'] };
  const without = (...names: string[]) => ({ isInService: (name: string) => !names.includes(name) });

  it('are no targets, and the next one is there in their stead', () => {
    const rest = ['openrouter:openrouter/auto:fallback', 'local:llama:fallback'];
    assert.deepEqual(select({}, {}, { ...server, ...without('openai') }), rest);
    assert.deepEqual(select({ provider: 'openai' }, {}, { ...server, ...without('openai') }), rest);
    assert.deepEqual(select({}, {}, { ...server, ...without('openrouter') }), [
      'openai:gpt:default',
      'local:llama:fallback',
    ]);
  });

  it('are not brought back by having served last', () => {
    const servedBy = { provider: 'openai', model: 'gpt' };
    const isHealthy = () => true;
    assert.deepEqual(select({}, { servedBy }, { ...server, isHealthy, ...without('openai', 'openrouter') }), [
      'local:llama:fallback',
    ]);
  });

  it('end a turn that has nobody else, and say who is out', () => {
    const isOut = (provider: string) => (error: unknown) =>
      error instanceof AppError &&
      error.code === 'provider_out_of_service' &&
      error.details?.['provider'] === provider;
    assert.throws(() => select({}, {}, without('openai')), isOut('openai'));
    assert.throws(() => select({ provider: 'local', model: 'm' }, {}, without('local')), isOut('local'));
    const all = { ...server, ...without('openai', 'openrouter', 'local') };
    assert.throws(() => select({}, {}, all), isOut('openai'));
    const routes = [route('fast', ['local', 'llama'], ['local', 'small'])];
    assert.throws(() => select({ model: 'fast' }, {}, { routes, ...without('local') }), isOut('local'));
  });

  it('are left out of routes, whose next target is a fallback', () => {
    const routes = [route('fast', ['local', 'llama'], ['openai', null], ['openai', 'small'])];
    const rest = ['openai:gpt:fallback', 'openai:small:fallback'];
    assert.deepEqual(select({ model: 'fast' }, {}, { routes, ...without('local') }), rest);
    // The one that served last would be first in any case.
    const servedBy = { provider: 'openai', model: 'small' };
    assert.deepEqual(select({}, { model: 'fast', servedBy }, { routes, ...without('local') }), [
      'openai:small:session',
      'openai:gpt:fallback',
    ]);
    const next = { provider: 'openai', model: 'gpt' };
    assert.equal(
      select({}, { model: 'fast', servedBy: next }, { routes, ...without('local') })[0],
      'openai:gpt:session',
    );
  });

  it('leave their share to the others of a route with weights', () => {
    const routes = [
      route(
        'w',
        entry('local', 'one', 2),
        entry('openai', 'two', 1),
        entry('openrouter', 'three', 1),
        entry('openai', 'last', 0),
      ),
    ];
    const first = (drawn: number, ...out: string[]) =>
      select({ model: 'w' }, {}, { routes, random: () => drawn, ...without(...out) })[0];
    assert.equal(first(0.4, 'local'), 'openai:two:override');
    assert.equal(first(0.6, 'local'), 'openrouter:three:override');
    // The one without a share is there for the others' failing.
    const bare = [route('w', entry('local', 'one', 2), entry('openai', 'last', 0))];
    assert.equal(
      select({ model: 'w' }, {}, { routes: bare, ...without('local') })[0],
      'openai:last:fallback',
    );
  });

  it('still tell which model a session has', () => {
    const modelOf = (out: string[]) =>
      createTargetSelection({ ...usual, ...server, ...without(...out) }).modelOf(nothing);
    assert.equal(modelOf([]), 'gpt');
    assert.equal(modelOf(['openai']), 'openrouter/auto');
    assert.equal(modelOf(['openai', 'openrouter', 'local']), 'gpt');
  });
});

describe('check', () => {
  const { check } = createTargetSelection(usual);
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
    continuation: 'none',
    stream: () => assert.fail('nobody is asked'),
    close: async () => undefined,
    ...some,
  };
}

function isError(code: string): (error: unknown) => boolean {
  return (error) => error instanceof AppError && error.code === code;
}

type Entry = readonly [provider: string, model: string | null, more?: Partial<RouteTarget>];

function entry(provider: string, model: string, weight: number | null = null): Entry {
  return [provider, model, { weight }];
}

function route(name: string, ...entries: readonly Entry[]): NamedRoute<RouteTarget> {
  const targets = entries.map(([provider, model, more]) => ({
    provider,
    model,
    weight: null,
    contextTokens: null,
    ...more,
  }));
  return { name, targets };
}
