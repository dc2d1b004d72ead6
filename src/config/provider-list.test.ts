import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Settings } from 'typebox/system';
import { loadTexts, problemOf, problemsOf } from '../../test/load-texts.ts';

const entry = (fields: string) => `providers: [{name: local, base_url: "http://h/v1", ${fields}}]`;

describe('the list of providers', () => {
  it('gives each field its value', () => {
    const yaml = `
providers:
  - name: " Local "
    base_url: http://127.0.0.1:11434/v1
    api_key: \${LOCAL_KEY}
    model: a
    models: [a, "\${SECOND}"]
    headers: {X-Team: "\${TEAM}!"}
    context_tokens: 8192
    continue: instruct
  - {name: plain, base_url: "https://h", api_key: "", model: , headers: }`;
    const { providers } = loadTexts({ yaml, env: { LOCAL_KEY: 'k', SECOND: 'b', TEAM: 't' } });
    const none = {
      apiKey: null,
      model: null,
      models: [],
      headers: {},
      contextTokens: null,
      continuation: 'none',
    };
    assert.deepEqual(providers, [
      {
        name: 'local',
        baseUrl: 'http://127.0.0.1:11434/v1',
        apiKey: 'k',
        model: 'a',
        models: ['a', 'b'],
        headers: { 'X-Team': 't!' },
        contextTokens: 8192,
        continuation: 'instruct',
      },
      { name: 'plain', baseUrl: 'https://h', ...none },
    ]);
  });

  const wrong: [string, RegExp][] = [
    ['providers: local', /^providers \(parley\.yaml\): must be a list$/],
    ['providers: [local]', /^providers\[0\] \(.*must be object$/],
    ['providers: [{base_url: "http://h"}]', /^providers\[0\]\.name \(.*is missing$/],
    ['providers: [{name: a, base_url: }]', /^providers\[0\]\.base_url \(.*is missing$/],
    ['providers: [{name: a, base_url: h}]', /base_url \(.*must be an http or https URL/],
    ['providers: [{name: "a b", base_url: "http://h"}]', /name \(.*must be a letter or digit, then/],
    ['providers: [{name: OpenAI, base_url: "http://h"}]', /name \(.*Parley uses itself/],
    ['providers: [{name: default, base_url: "http://h"}]', /name \(.*Parley uses itself/],
    [entry('base-url: x'), /base-url \(.*is not a field of a provider; did you mean "base_url"\?$/],
    [entry('colour: x'), /colour \(.*known are name, base_url, api_key/],
    [entry('api_key: 12'), /api_key \(.*must be string$/],
    [entry('api_key: "a\\nb"'), /api_key \(.*must be text that fits an HTTP header/],
    [entry('models: [a, 1]'), /models\[1\] \(.*must be string$/],
    [entry('models: a'), /models \(.*must be array$/],
    [entry('headers: {X-A: "a\\r\\nX-B: c"}'), /headers\.X-A \(.*must be text that fits/],
    [entry('headers: {"a b": c}'), /headers \(.*HTTP headers' names/],
    [entry('context_tokens: 0'), /context_tokens \(.*must be >= 1$/],
    [entry('context_tokens: many'), /context_tokens \(.*must be integer$/],
    [entry('continue: yes'), /continue \(.*must be one of prefill, instruct, none$/],
    [entry('continue: [prefill]'), /continue \(.*must be string$/],
    [entry('api_key: "${NOPE}"'), /api_key \(.*needs the variable NOPE, which is not set$/],
    ['providers: [{name: "${NOPE}", base_url: "http://h"}]', /name \(.*needs the variable NOPE/],
  ];
  for (const [yaml, expected] of wrong) {
    it(`refuses ${yaml}`, () => assert.match(problemOf({ yaml }), expected));
  }

  it('takes a name once, whatever its case', () => {
    const yaml = 'providers: [{name: a, base_url: "http://h"}, {name: A, base_url: "http://h"}]';
    assert.match(problemOf({ yaml }), /^providers\[1\]\.name \(.*"a" is the name of an entry before$/);
  });

  it('tells all problems, however many, and leaves the limit of typebox as it was', () => {
    const { maxErrors } = Settings.Get();
    const yaml = `providers: [${'{name: 1, base_url: 2, api_key: 3, x: 4}, '.repeat(20)}]`;
    assert.equal(problemsOf({ yaml }).length, 80);
    assert.equal(Settings.Get().maxErrors, maxErrors);
  });

  it('shows no key and no header in a problem', () => {
    const yaml = entry('api_key: "hunter2\\n", headers: {X-A: "hunter2\\n日"}, apikey:hunter2: 1').replace(
      'name: local',
      'name: "${KEY}"',
    );
    const told = JSON.stringify(problemsOf({ yaml, env: { KEY: 'hunter2!' } }));
    assert.ok(told.includes('headers.X-A') && told.includes('providers[0].apikey…'), told);
    assert.ok(!told.includes('hunter2'), told);
  });

  it('survives aliases that make the YAML circular', () => {
    const yaml = 'providers: &list [{name: a, base_url: "http://h", models: *list, headers: &h {x: *h}}]';
    assert.ok(problemsOf({ yaml }).length > 0);
  });
});
