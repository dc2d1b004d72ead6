import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseEnv } from 'node:util';
import { parse } from 'yaml';
import { loadTexts, problemsOf } from '../../test/load-texts.ts';
import { mcpServerSchema } from './mcp-server-schema.ts';
import { providerSchema } from './provider-list.ts';
import { routeTargetSchema } from './route-list.ts';
import { configKey, lists, settingNames, settings, yamlKey } from './schema.ts';

const read = (name: string) => readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8');

/** Takes the # away from settings, which it touches; from prose a space parts it. Lists are indented by two. */
const uncommented = (text: string) => text.replace(/^#(?=\S| {2,}\S)/gm, '');

const dotenv = uncommented(read('.env.example'));
const yaml = uncommented(read('parley.example.yaml'));

describe('.env.example', () => {
  it('is commented throughout', () => assert.deepEqual(Object.keys(parseEnv(read('.env.example'))), []));

  it('names every setting and no other', () => {
    assert.deepEqual(Object.keys(parseEnv(dotenv)).sort(), [...settingNames].sort());
  });

  it('shows every default', () => {
    for (const [name, text] of Object.entries(parseEnv(dotenv))) {
      const value = settings[name as keyof typeof settings].default;
      assert.equal(text, value === null ? '' : String(value), name);
    }
  });

  it('loads when uncommented', () => {
    const config = loadTexts({ dotenv });
    for (const name of settingNames) assert.deepEqual(config[configKey(name)], settings[name].default, name);
  });
});

describe('parley.example.yaml', () => {
  const env = { LOCAL_API_KEY: 'k', PATH: '/bin', TRACKER_KEY: 'k', WIKI_SECRET: 's' };
  const content = parse(yaml) as Record<string, unknown>;

  it('is commented throughout', () => assert.equal(parse(read('parley.example.yaml')), null));

  it('names every setting the YAML can hold and no other', () => {
    const names = settingNames.filter((name) => name !== 'APP_CONFIG_FILE').map(yamlKey);
    assert.deepEqual(Object.keys(content).sort(), [...names, ...Object.keys(lists)].sort());
  });

  it('shows every field of a provider and no other', () => {
    const [first] = content['providers'] as [object];
    assert.deepEqual(Object.keys(first).sort(), Object.keys(providerSchema.properties).sort());
  });

  it('shows every field of a target and no other', () => {
    const routes = Object.values(content['routes'] as Record<string, object[]>);
    const fields = new Set(routes.flat().flatMap((target) => Object.keys(target)));
    assert.deepEqual([...fields].sort(), Object.keys(routeTargetSchema.properties).sort());
  });

  it('shows every field of a server with tools and no other', () => {
    const servers = content['mcp_servers'] as object[];
    const fields = new Set(servers.flatMap((server) => Object.keys(server)));
    assert.deepEqual([...fields].sort(), Object.keys(mcpServerSchema.properties).sort());
  });

  it('shows every default, and loads when uncommented', () => {
    assert.deepEqual(problemsOf({ yaml, env }), []);
    const config = loadTexts({ yaml, env });
    for (const name of settingNames) {
      if (name === 'APP_CONFIG_FILE') continue;
      assert.deepEqual(config[configKey(name)], settings[name].default, name);
      assert.deepEqual(content[yamlKey(name)], settings[name].default, name);
    }
    assert.deepEqual(config.providerNames, ['openai', 'local', 'tracker']);
  });
});
