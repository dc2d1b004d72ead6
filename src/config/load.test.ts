import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadTexts, problemOf, problemsOf } from '../../test/load-texts.ts';
import { ConfigError } from './config-error.ts';
import { loadConfig } from './load.ts';
import { configKey, settingNames, settings } from './schema.ts';

describe('where values come from', () => {
  const env = { PORT: '1' };
  const dotenv = 'PORT=2\n';
  const yaml = 'port: 3\n';
  const table = [
    { from: 'the environment', texts: { env, dotenv, yaml }, port: 1 },
    { from: 'the environment over YAML', texts: { env, yaml }, port: 1 },
    { from: '.env', texts: { dotenv, yaml }, port: 2 },
    { from: 'YAML', texts: { yaml }, port: 3 },
    { from: 'the default', texts: {}, port: 8000 },
    { from: '.env, the environment being empty', texts: { env: { PORT: '' }, dotenv, yaml }, port: 2 },
    { from: 'YAML, the others being empty', texts: { env: { PORT: ' ' }, dotenv: 'PORT=\n', yaml }, port: 3 },
    { from: 'the default, YAML being empty', texts: { yaml: 'port: ""' }, port: 8000 },
    { from: 'the default, YAML being null', texts: { yaml: 'port:' }, port: 8000 },
  ];
  for (const { from, texts, port } of table) {
    it(from, () => assert.equal(loadTexts(texts).port, port));
  }

  it('takes APP_CONFIG_FILE from .env too, relative to the directory', () => {
    const config = loadTexts({ env: { APP_CONFIG_FILE: '' }, dotenv: 'APP_CONFIG_FILE=./parley.yaml', yaml });
    assert.equal(config.port, 3);
  });

  it('reads no process.env and leaves it alone', () => {
    process.env['PORT'] = '9';
    try {
      assert.equal(loadTexts({}).port, 8000);
      loadTexts({ dotenv: 'OPENROUTER_TITLE=x' });
      assert.equal(process.env['OPENROUTER_TITLE'], undefined);
    } finally {
      delete process.env['PORT'];
    }
  });

  it('reads files of its own accord', (test) => {
    const directory = mkdtempSync(join(tmpdir(), 'parley-config-'));
    test.after(() => rmSync(directory, { recursive: true }));
    writeFileSync(join(directory, '.env'), 'APP_CONFIG_FILE=parley.yaml\nHOST=::1');
    writeFileSync(join(directory, 'parley.yaml'), 'port: 3');
    const config = loadConfig({ env: {}, directory });
    assert.deepEqual([config.host, config.port], ['::1', 3]);
    rmSync(join(directory, '.env'));
    mkdirSync(join(directory, '.env'));
    assert.throws(
      () => loadConfig({ env: {}, directory }),
      (error) =>
        error instanceof ConfigError && /\.env \(\.env\): cannot be read \(EISDIR\)/.test(error.message),
    );
  });
});

describe('the configuration', () => {
  it('has every default without any source, and is frozen to the last list', () => {
    const config = loadTexts({});
    for (const name of settingNames) assert.deepEqual(config[configKey(name)], settings[name].default, name);
    const full = loadTexts({
      env: { FALLBACK_PROVIDERS: 'local' },
      yaml: [
        'providers: [{name: local, base_url: "http://h", models: [a], headers: {a: b}}]',
        'routes: {fast: [{provider: local, model: a}]}',
      ].join('\n'),
    });
    const [local] = full.providers;
    const parts: unknown[] = [
      full,
      full.fallbackProviders,
      full.providers,
      full.providerNames,
      local,
      local?.models,
    ];
    const [fast] = full.routes;
    parts.push(full.routes, fast, fast?.targets, fast?.targets[0], config.routes);
    for (const part of [...parts, local?.headers, config.fallbackProviders]) assert.ok(Object.isFrozen(part));
  });

  it('takes YAML values in their own types, and as text', () => {
    const yaml = 'port: "80"\nallow_open: true\nfallback_providers: [demo]\nidle_timeout_seconds: 0.5';
    const config = loadTexts({ yaml });
    assert.deepEqual(
      [config.port, config.allowOpen, config.fallbackProviders, config.idleTimeoutSeconds],
      [80, true, ['demo'], 0.5],
    );
  });

  it('keeps sessions for parts of a day, or as long as they are wanted', () => {
    assert.equal(loadTexts({}).sessionRetentionDays, null);
    assert.equal(loadTexts({ env: { SESSION_RETENTION_DAYS: '0.00002' } }).sessionRetentionDays, 0.00002);
    assert.match(problemOf({ env: { SESSION_RETENTION_DAYS: '0' } }), /must be a number from 0\.00001 to/);
  });

  it('lets MEMORY_DEFAULT follow a lower MEMORY_MAX, unless it was set', () => {
    assert.equal(loadTexts({ env: { MEMORY_MAX: '20' } }).memoryDefault, 20);
    assert.equal(
      problemOf({ env: { MEMORY_MAX: '20', MEMORY_DEFAULT: '21' } }),
      'MEMORY_DEFAULT (environment): must be at most MEMORY_MAX, which is 20',
    );
  });
});

describe('REDIS_URL', () => {
  const REDIS_URL = 'redis://cache:6379';

  it('alone is where conversations are kept as well, and the source of that', () => {
    const { databaseUrl, redisUrl, sources } = loadTexts({ dotenv: `REDIS_URL=${REDIS_URL}` });
    assert.deepEqual([databaseUrl, redisUrl], [REDIS_URL, REDIS_URL]);
    assert.deepEqual([sources.DATABASE_URL, sources.REDIS_URL], ['.env', '.env']);
    assert.equal(loadTexts({ env: { REDIS_URL, WORKERS: '4' } }).workers, 4, 'servers share it');
  });

  it('stands beside any DATABASE_URL, wherever that comes from', () => {
    const { databaseUrl, redisUrl } = loadTexts({ env: { REDIS_URL }, yaml: 'database_url: "memory:"' });
    assert.deepEqual([databaseUrl, redisUrl], ['memory:', REDIS_URL]);
    assert.equal(loadTexts({ env: { DATABASE_URL: REDIS_URL } }).redisUrl, null);
  });

  it('that is wrong is one problem', () => {
    const problem = problemOf({ env: { REDIS_URL: 'http://me:hunter2@cache' } });
    assert.match(problem, /^REDIS_URL \(environment\): must be redis:/);
    assert.doesNotMatch(problem, /hunter2/);
  });
});

describe('the port of the administration', () => {
  it('is not that of the API', () => {
    assert.match(problemOf({ env: { ADMIN_PORT: '8000' } }), /^ADMIN_PORT \(environment\): .*PORT/);
    assert.match(problemOf({ env: { ADMIN_PORT: '90', PORT: '90' } }), /^ADMIN_PORT \(environment\): .*PORT/);
    assert.equal(loadTexts({ env: { ADMIN_PORT: '8001' } }).adminPort, 8001);
    assert.equal(loadTexts({ env: { ADMIN_PORT: '0', PORT: '0' } }).adminPort, 0);
  });

  it('may have an address of its own, which needs it', () => {
    const env = { ADMIN_HOST: '10.0.0.7' };
    assert.match(problemOf({ env }), /^ADMIN_HOST \(environment\): .*ADMIN_PORT/);
    assert.equal(loadTexts({ env: { ...env, ADMIN_PORT: '8001' } }).adminHost, '10.0.0.7');
  });
});

describe('problems', () => {
  it('are told all at once, each with its source', () => {
    const problems = problemsOf({
      env: { PORT: '80a', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://root:hunter2@h/d' },
      dotenv: 'MEMORY_MAX=0\nMEMORY_DEFAULT=many',
      yaml: [
        'prot: 1',
        'idle_timeout_seconds: soon',
        'openai_model: 4',
        'fallback_providers: [nobody]',
        'providers: [{name: demo}, {name: b, base_url: "ftp://x"}, {name: B, base_url: "http://h"}]',
      ].join('\n'),
    });
    assert.deepEqual(
      problems.map(({ setting, source }) => `${setting} ${source}`),
      [
        'prot parley.yaml',
        'PORT environment',
        'OPENAI_MODEL parley.yaml',
        'IDLE_TIMEOUT_SECONDS parley.yaml',
        'DATABASE_URL environment',
        'MEMORY_DEFAULT .env',
        'MEMORY_MAX .env',
        'LOG_LEVEL environment',
        'providers[0].base_url parley.yaml',
        'providers[0].name parley.yaml',
        'providers[1].base_url parley.yaml',
        'providers[2].name parley.yaml',
        'FALLBACK_PROVIDERS parley.yaml',
      ],
    );
    const message = new ConfigError(problems).message;
    assert.match(message, /PORT \(environment\): must be a whole number from 0 to 65535, not "80a"/);
    assert.match(
      message,
      /DATABASE_URL \(environment\): must be sqlite:<path> .* memory:, redis:.*, or postgres:.* the forms this version/,
    );
    assert.match(message, /OPENAI_MODEL \(parley\.yaml\): must be text: put the value in quotes/);
    assert.doesNotMatch(message, /hunter2/);
  });

  it('do not bring others that only follow from them', () => {
    assert.match(problemOf({ env: { HOST: '::', ALLOW_OPEN: 'yep' } }), /^ALLOW_OPEN/);
    assert.match(problemOf({ env: { MEMORY_MAX: 'x', MEMORY_DEFAULT: '5000' } }), /^MEMORY_MAX/);
  });

  it('of a value that is long or has control characters stay on one short line', () => {
    const [problem] = problemsOf({ env: { PORT: `\u001b[2J${'x'.repeat(5000)}` } });
    assert.ok(problem && problem.problem.length < 200 && !problem.problem.includes('\u001b'));
  });

  it('say what was meant by an unknown name of the YAML', () => {
    assert.match(problemOf({ yaml: 'memory-max: 3' }), /^memory-max \(.*did you mean "memory_max"\?$/);
    assert.match(problemOf({ yaml: 'PORT: 3' }), /^PORT \(.*did you mean "port"\?$/);
    assert.match(problemOf({ yaml: 'colour: 3' }), /^colour \(parley\.yaml\): is not a setting$/);
    assert.match(problemOf({ yaml: 'app_config_file: 3' }), /only be set in the environment/);
    assert.deepEqual(problemsOf({ env: { PROT: '1' }, dotenv: 'PROT=1' }), []);
  });

  it('of the YAML file itself name the place, not the content', () => {
    assert.match(
      problemOf({ env: { APP_CONFIG_FILE: 'gone.yaml' } }),
      /^APP_CONFIG_FILE \(environment\): .*ENOENT.*gone/,
    );
    assert.match(problemOf({ yaml: 'port: 1\nport: 2' }), /at line 2, column 1: duplicate key$/);
    assert.match(problemOf({ yaml: 'port: !count 80' }), /at line 1, column 7: tag resolve failed$/);
    assert.match(problemOf({ yaml: '? [port]\n: 80' }), /at line 1, column 3: non string key$/);
    assert.match(problemOf({ yaml: 'port: *hunter2' }), /aliases cannot be resolved$/);
    assert.match(problemOf({ yaml: 'openai_api_key:hunter2' }), /must hold names and values/);
    for (const yaml of [
      'a: [hunter2',
      '{openai_api_key:hunter2}',
      'a: !hunter2 b',
      '- hunter2',
      'a: b: hunter2',
    ]) {
      const told = JSON.stringify(problemsOf({ yaml }));
      assert.ok(told.includes('parley.yaml') && !told.includes('hunter2'), told);
    }
    assert.deepEqual(problemsOf({ yaml: '' }), []);
    assert.deepEqual(problemsOf({ yaml: '# only a comment\n' }), []);
  });
});

describe('variables in the YAML', () => {
  it('are put in from the environment and .env, once', () => {
    const config = loadTexts({
      env: { A: 'one', REFERENCE: '${A}', P: '81' },
      dotenv: 'B=two',
      yaml: 'openai_model: "${A}-${B}"\nopenrouter_model: ${REFERENCE}\nport: ${P}',
    });
    assert.deepEqual([config.openaiModel, config.openrouterModel, config.port], ['one-two', '${A}', 81]);
  });

  it('must be set, and be variables', () => {
    assert.equal(
      problemOf({ env: { A: '' }, yaml: 'openai_api_key: ${A}' }),
      'OPENAI_API_KEY (parley.yaml): needs the variable A, which is not set',
    );
    assert.match(
      problemOf({ yaml: 'openai_model: ${constructor}' }),
      /the variable constructor, which is not set/,
    );
    for (const text of ['sk-${hunter 2}', 'sk-${hunter2', 'sk-${}hunter2']) {
      const told = problemOf({ yaml: `openai_api_key: "${text}"` });
      assert.match(told, /has a "\$\{" that no variable's name/);
      assert.ok(!told.includes('hunter'), told);
    }
  });

  it('are not shown when what they make of a setting is wrong', () => {
    const told = problemOf({ env: { KEY: 'hunter2' }, yaml: 'port: ${KEY}' });
    assert.match(told, /not "\$\{KEY\}"$/);
  });
});
