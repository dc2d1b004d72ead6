import assert from 'node:assert/strict';
import { it } from 'node:test';
import { loadTexts } from '../../test/load-texts.ts';
import { type DescribedConfig, describeConfig } from './describe-config.ts';
import { settingNames } from './schema.ts';

const env = {
  OPENAI_API_KEY: 'hunter2-a',
  OPENAI_BASE_URL: 'https://parley:hunter2-b@proxy.example/v1',
  OPENROUTER_BASE_URL: 'https://hunter2-c@proxy.example/v1',
  OPENROUTER_KEY: 'hunter2-d',
  MCP_SERVER_URL: 'http://h/mcp?key=hunter2-n',
  MCP_API_KEY: 'hunter2-o',
};
const yaml = `
providers:
  - name: local
    base_url: http://u:hunter2-e@h/v1
    api_key: hunter2-f
    headers: {Authorization: hunter2-g}
  - {name: open, base_url: "http://h/v1"}
routes:
  fast: [{provider: local, model: m, weight: 1}]
mcp_servers:
  - name: remote
    url: https://h/mcp?key=hunter2-h
    headers: {X-Key: hunter2-i}
    oauth: {client_id: c, client_secret: hunter2-j, issuer: "https://i"}
  - {name: keyed, url: "https://h/mcp", api_key: hunter2-k, chat: {context_tokens: 8000}}
  - {name: files, command: /bin/files, args: [--key=hunter2-l], env: {KEY: hunter2-m}, tools: {deny: [write_*]}}`;

function valueOf({ settings }: DescribedConfig, name: string): unknown {
  return settings[name]?.value;
}

it('shows every setting under its name', () => {
  const described = describeConfig(loadTexts({}));
  assert.deepEqual(Object.keys(described.settings), [...settingNames]);
  assert.equal(valueOf(described, 'PORT'), 8000);
  assert.equal(valueOf(described, 'OPENAI_API_KEY'), null);
  assert.equal(valueOf(described, 'OPENAI_BASE_URL'), 'https://api.openai.com/v1');
  assert.equal(valueOf(described, 'DATABASE_URL'), 'sqlite:data/parley.db');
});

it('says where each value came from', () => {
  const { settings } = describeConfig(
    loadTexts({
      env: { PORT: '1234', MEMORY_MAX: '' },
      dotenv: 'PORT=1\nADMIN_TOKEN=hunter2',
      yaml: 'port: 2\nmemory_max: 3\nrate_rps: 4',
    }),
  );
  const sources = ['PORT', 'ADMIN_TOKEN', 'MEMORY_MAX', 'RATE_RPS', 'RATE_BURST', 'APP_CONFIG_FILE'].map(
    (name) => settings[name]?.source,
  );
  const expected = ['environment', '.env', 'parley.yaml', 'parley.yaml', 'default', 'environment'];
  assert.deepEqual(sources, expected);
});

it('shows no secret', () => {
  const described = describeConfig(loadTexts({ env, yaml }));
  assert.doesNotMatch(JSON.stringify(described), /hunter2/);
  assert.equal(valueOf(described, 'OPENAI_API_KEY'), '***');
  assert.equal(valueOf(described, 'OPENAI_BASE_URL'), 'https://parley:***@proxy.example/v1');
  assert.equal(valueOf(described, 'OPENROUTER_BASE_URL'), 'https://***@proxy.example/v1');
  const none = { model: null, models: [], context_tokens: null, continue: 'none' };
  assert.deepEqual(described.providers, [
    {
      ...none,
      name: 'local',
      base_url: 'http://u:***@h/v1',
      api_key: '***',
      headers: { Authorization: '***' },
    },
    { ...none, name: 'open', base_url: 'http://h/v1', api_key: null, headers: {} },
  ]);
  assert.deepEqual(described.routes, {
    fast: [{ provider: 'local', model: 'm', weight: 1, context_tokens: null }],
  });
  assert.equal(valueOf(described, 'MCP_SERVER_URL'), 'http://h/mcp?***');
  const server = {
    tools: { allow: null, deny: [] },
    timeout_seconds: 60,
    max_concurrent: 10,
    instructions: false,
    eager: false,
    trust: false,
    require_approval: [],
    sampling: false,
    roots: [],
    chat: null,
  };
  const credentials = { client_id: 'c', client_secret: '***', issuer: 'https://i', scope: null };
  assert.deepEqual(described.mcp_servers, [
    { ...server, name: 'mcp', url: 'http://h/mcp?***', headers: {}, api_key: '***', oauth: null },
    {
      ...server,
      name: 'remote',
      url: 'https://h/mcp?***',
      headers: { 'X-Key': '***' },
      api_key: null,
      oauth: credentials,
    },
    {
      ...server,
      name: 'keyed',
      url: 'https://h/mcp',
      headers: {},
      api_key: '***',
      oauth: null,
      chat: { tool: 'chat', context_tokens: 8000 },
    },
    {
      ...server,
      name: 'files',
      command: '/bin/files',
      args: ['***'],
      env: { KEY: '***' },
      tools: { allow: null, deny: ['write_*'] },
    },
  ]);
});

it('shows no secret of a database, however many hosts it has', () => {
  const shown = (url: string) => {
    const { settings } = describeConfig(loadTexts({ env: { REDIS_URL: url } }));
    assert.deepEqual(settings['DATABASE_URL'], settings['REDIS_URL']);
    return settings['REDIS_URL']?.value;
  };
  assert.equal(shown('redis://me:hunter2@cache:6379/1'), 'redis://me:***@cache:6379/1');
  assert.equal(shown('redis://me:hunter2@a:7000,b:7001?cluster'), 'redis://***@a:7000,b:7001?cluster');
  assert.equal(shown('redis://:hun/ter2@a:7000'), 'redis://***@a:7000');
});
