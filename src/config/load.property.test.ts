import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { problemsOf } from '../../test/load-texts.ts';
import { settingNames, settings, yamlKey } from './schema.ts';

// `problemsOf` throws on whatever is not a ConfigError, so that running it is the test.

const wildText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.constantFrom(
    '8000',
    'true',
    '::1',
    'demo',
    'https://h/v1',
    'memory:',
    '${A}',
    '__proto__',
    'constructor',
  ),
);
const yamlName = fc.oneof(
  fc.constantFrom(
    ...settingNames.map(yamlKey),
    'providers',
    'name',
    'base_url',
    'headers',
    'models',
    'routes',
    'provider',
    'weight',
    '__proto__',
  ),
  fc.string(),
);
const yamlValue = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    wildText,
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(yamlName, tie('value'), { maxKeys: 5 }),
  ),
})).value;
const yamlText = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.constantFrom(
        'providers',
        ':',
        ' ',
        '\n',
        '- ',
        '&a ',
        '*a',
        '[',
        ']',
        '{',
        '}',
        '"',
        '!x ',
        '|',
        '<<',
        '?',
        ',',
      ),
    )
    .map((pieces) => pieces.join('')),
  fc.dictionary(yamlName, yamlValue).map((content) => stringify(content)),
);
const environment = fc.dictionary(fc.oneof(fc.constantFrom(...settingNames, 'A'), fc.string()), wildText);

it('throws nothing but ConfigError, whatever the sources hold', () => {
  fc.assert(
    fc.property(environment, fc.oneof(fc.string(), wildText), yamlText, (env, dotenv, yaml) => {
      delete env['APP_CONFIG_FILE'];
      for (const { setting, source, problem } of problemsOf({ env, dotenv, yaml })) {
        assert.ok(setting !== '' && source !== '' && problem !== '');
      }
    }),
    { numRuns: 1500 },
  );
});

it('throws nothing but ConfigError for YAML that is deep or grows when read', () => {
  const growing = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${`*a${i - 1},`.repeat(9)}]`).slice(1);
  for (const yaml of ['['.repeat(50_000), '- '.repeat(5000), `a0: &a0 x\n${growing.join('\n')}`]) {
    assert.ok(problemsOf({ yaml }).length > 0);
  }
});

it('shows no secret in a problem', () => {
  const secretNames = settingNames.filter((name) => settings[name].disclosure === 'never');
  assert.deepEqual(secretNames, [
    'API_KEYS',
    'ADMIN_TOKEN',
    'OPENAI_API_KEY',
    'OPENROUTER_KEY',
    'MCP_API_KEY',
    'OTEL_EXPORTER_OTLP_HEADERS',
  ]);
  // A newline makes the key one that no header can carry, and therefore a problem.
  const key = fc.string({
    minLength: 8,
    maxLength: 40,
    unit: fc.constantFrom(...'hunterHUNTER23456789$'.split('')),
  });
  fc.assert(
    fc.property(key, fc.constantFrom(...secretNames), (key, name) => {
      const wrong = `${key}\n${key}`;
      for (const texts of [
        { env: { [name]: wrong } },
        { dotenv: `${name}="${wrong}"` },
        { yaml: `${yamlKey(name)}: ${JSON.stringify(wrong)}` },
        { yaml: `providers: [{name: a, base_url: "http://h", api_key: ${JSON.stringify(wrong)}}]` },
        { yaml: `mcp_servers: [{name: a, url: "http://h", api_key: ${JSON.stringify(wrong)}}]` },
        { yaml: `mcp_servers: [{name: a, url: "http://h#${key}", command: "${key}", args: "${key}"}]` },
        { env: { KEY: key, WRONG: wrong }, yaml: `port: "\${KEY}"\n${yamlKey(name)}: "\${WRONG}"` },
        { env: { OPENAI_BASE_URL: `ftp://parley:${key}@h`, DATABASE_URL: `mysql://parley:${key}@h` } },
      ]) {
        const problems = problemsOf(texts);
        assert.ok(problems.length > 0);
        assert.ok(!JSON.stringify(problems).includes(key));
      }
    }),
    { numRuns: 200 },
  );
});
