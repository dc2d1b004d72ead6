import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ConfigTexts, loadTexts, problemOf, problemsOf } from '../../test/load-texts.ts';

const yaml = 'providers: [{name: b, base_url: "http://h"}, {name: a, base_url: "http://h"}]';

describe('which providers there are', () => {
  const table: [string, ConfigTexts, string[]][] = [
    ['demo alone without any', {}, ['demo']],
    ['openai with its key', { env: { OPENAI_API_KEY: 'k' } }, ['openai']],
    ['openai with its URL', { dotenv: 'OPENAI_BASE_URL=https://api.openai.com/v1' }, ['openai']],
    ['not openai with an empty URL', { env: { OPENAI_BASE_URL: '' } }, ['demo']],
    ['not openrouter with only its URL', { env: { OPENROUTER_BASE_URL: 'http://h' } }, ['demo']],
    [
      'openai, openrouter, then the YAML in its order',
      { env: { OPENROUTER_KEY: 'k', OPENAI_API_KEY: 'k' }, yaml },
      ['openai', 'openrouter', 'b', 'a'],
    ],
    ['demo last when named', { env: { DEFAULT_PROVIDER: ' Demo ' }, yaml }, ['b', 'a', 'demo']],
    [
      'demo when a fallback',
      { env: { OPENAI_API_KEY: 'k', FALLBACK_PROVIDERS: 'demo' } },
      ['openai', 'demo'],
    ],
  ];
  const mcp = { MCP_SERVER_URL: 'http://h' };
  const server = 'mcp_servers: [{name: s, url: "http://h", chat: {}}, {name: t, url: "http://h"}]';
  table.push(
    ['not a server with tools', { env: mcp }, ['demo']],
    ['a server that is said to be one', { yaml: server }, ['s']],
    ['mcp if it is the default', { env: { ...mcp, DEFAULT_PROVIDER: 'MCP' } }, ['mcp']],
    [
      'mcp if it is a fallback, after the others and before other servers',
      { env: { ...mcp, FALLBACK_PROVIDERS: 'mcp,demo' }, yaml: `${yaml}\n${server}` },
      ['b', 'a', 'mcp', 's', 'demo'],
    ],
    [
      'mcp if a route has it',
      { env: mcp, yaml: `${yaml}\nroutes: {r: [{provider: Mcp}]}` },
      ['b', 'a', 'mcp'],
    ],
    [
      'the mcp of the YAML, if there is one, and not the server',
      { env: { ...mcp, DEFAULT_PROVIDER: 'mcp' }, yaml: yaml.replace('name: b', 'name: mcp') },
      ['mcp', 'a'],
    ],
  );
  for (const [what, texts, names] of table) {
    it(what, () => assert.deepEqual(loadTexts(texts).providerNames, names));
  }
});

describe('settings that name providers', () => {
  it('take known ones, whatever their case', () => {
    const config = loadTexts({ env: { DEFAULT_PROVIDER: 'A', FALLBACK_PROVIDERS: 'B, a' }, yaml });
    assert.deepEqual([config.defaultProvider, config.fallbackProviders], ['a', ['b', 'a']]);
  });

  it('refuse others and list the known', () => {
    assert.equal(
      problemOf({ env: { DEFAULT_PROVIDER: 'c' }, yaml }),
      'DEFAULT_PROVIDER (environment): names the provider "c", which is not configured; known are b, a, demo',
    );
    assert.match(problemOf({ env: { DEFAULT_PROVIDER: 'constructor' } }), /; known are demo$/);
    const problems = problemsOf({ env: { FALLBACK_PROVIDERS: 'a,c,d' }, yaml });
    assert.deepEqual(
      problems.map(({ setting }) => setting),
      ['FALLBACK_PROVIDERS', 'FALLBACK_PROVIDERS'],
    );
  });

  it('suggest the one that was meant', () => {
    assert.equal(
      problemOf({ env: { DEFAULT_PROVIDER: 'lokal' }, yaml: yaml.replace('name: b', 'name: local') }),
      'DEFAULT_PROVIDER (environment): names the provider "lokal", which is not configured; did you mean "local"?',
    );
  });

  it('say which key a provider is waiting for', () => {
    assert.match(problemOf({ env: { DEFAULT_PROVIDER: 'openai' } }), /OPENAI_API_KEY would add it/);
    assert.match(problemOf({ env: { FALLBACK_PROVIDERS: 'openrouter' } }), /OPENROUTER_KEY would add it/);
  });

  it('say what makes a server one', () => {
    assert.match(
      problemOf({ env: { DEFAULT_PROVIDER: 'mcp' } }),
      /; MCP_SERVER_URL would add it; known are demo$/,
    );
    const tools = 'mcp_servers: [{name: t, url: "http://h"}]';
    assert.match(
      problemOf({ env: { DEFAULT_PROVIDER: 't' }, yaml: tools }),
      /not configured; chat in its entry of mcp_servers would add it; known are demo$/,
    );
  });

  it('are not blamed for a list that is itself broken', () => {
    const env = { DEFAULT_PROVIDER: 'a' };
    const server = 'mcp_servers: [{name: a, url: h, chat: {}}]';
    assert.match(problemOf({ env, yaml: server }), /^mcp_servers\[0\]\.url/);
    assert.match(problemOf({ env, yaml: 'mcp_servers: {}' }), /^mcp_servers/);
    const nameless = 'mcp_servers: [{url: "http://h", chat: {}}]';
    assert.match(problemOf({ env, yaml: nameless }), /^mcp_servers\[0\]\.name .*is missing$/);
    assert.match(problemOf({ env, yaml: 'providers: [{name: a' }), /^APP_CONFIG/);
    assert.match(problemOf({ env, yaml: 'providers: [{base_url: "http://h"}]' }), /^providers\[0\]\.name/);
    assert.match(
      problemOf({ env, yaml: 'providers: [{name: a, base_url: "h"}]' }),
      /^providers\[0\]\.base_url/,
    );
  });
});
