import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { stringify } from 'yaml';
import { type ConfigTexts, loadTexts, problemOf, problemsOf } from '../../test/load-texts.ts';

const providers = 'providers: [{name: a, base_url: "http://h", model: m}, {name: b, base_url: "http://h"}]';
const routes = (text: string): ConfigTexts => ({ yaml: `${providers}\nroutes: ${text}` });
const places = (texts: ConfigTexts) => problemsOf(texts).map(({ setting }) => setting);

describe('routes', () => {
  it('give each field its value, in the order of the file', () => {
    const yaml = `
${providers}
routes:
  fast:
    - {provider: " A ", model: "\${MODEL}", weight: 1.5, context_tokens: 8192}
    - {provider: b, model: n, weight: 0}
  Fast:
    - provider: a
      model:
  maker/model-1.5:8b: [{provider: demo}]`;
    const rest = { model: null, weight: null, contextTokens: null };
    assert.deepEqual(loadTexts({ yaml, env: { MODEL: 'one' } }).routes, [
      {
        name: 'fast',
        targets: [
          { provider: 'a', model: 'one', weight: 1.5, contextTokens: 8192 },
          { ...rest, provider: 'b', model: 'n', weight: 0 },
        ],
      },
      { name: 'Fast', targets: [{ ...rest, provider: 'a' }] },
      { name: 'maker/model-1.5:8b', targets: [{ ...rest, provider: 'demo' }] },
    ]);
  });

  it('may be left out', () => {
    for (const yaml of ['', 'routes:', 'routes: {}']) assert.deepEqual(loadTexts({ yaml }).routes, []);
  });

  it('bring the demo provider if they name it', () => {
    assert.deepEqual(loadTexts(routes('{r: [{provider: demo}]}')).providerNames, ['a', 'b', 'demo']);
    assert.deepEqual(loadTexts(routes('{r: [{provider: a}]}')).providerNames, ['a', 'b']);
  });

  const wrong: [string, RegExp][] = [
    ['[{provider: a}]', /^routes \(parley\.yaml\): must hold names and lists of targets/],
    ['fast', /^routes \(.*must hold names and lists/],
    ['{r: a}', /^routes\.r \(parley\.yaml\): must be a list of one target or more$/],
    ['{r: []}', /^routes\.r \(.*must be a list of one/],
    ['{r: }', /^routes\.r \(.*must be a list of one/],
    ['{r: [a]}', /^routes\.r\[0\] \(.*must be object$/],
    ['{r: [{model: m}]}', /^routes\.r\[0\]\.provider \(.*is missing$/],
    ['{r: [{provider: }]}', /^routes\.r\[0\]\.provider \(.*is missing$/],
    ['{r: [{provider: a/m}]}', /\.provider \(.*must be a provider's name: a letter or digit, then/],
    ['{r: [{provider: 1}]}', /\.provider \(.*must be string$/],
    ['{r: [{provider: a, model: 4}]}', /\.model \(.*must be string$/],
    ['{r: [{provider: a, model: "x\\ty"}]}', /\.model \(.*must be text on one line$/],
    ['{r: [{provider: a, model: "${NOPE}"}]}', /\.model \(.*needs the variable NOPE, which is not set$/],
    ['{r: [{provider: a}, {provider: a, weight: -1}]}', /^routes\.r\[1\]\.weight \(.*must be >= 0$/],
    ['{r: [{provider: a, weight: .inf}]}', /\.weight \(.*must be /],
    ['{r: [{provider: a, weight: "1"}]}', /\.weight \(.*must be number$/],
    ['{r: [{provider: a, weight: 0}, {provider: a}]}', /^routes\.r \(.*has weights, but none above 0$/],
    ['{r: [{provider: a, context_tokens: 1.5}]}', /\.context_tokens \(.*must be integer$/],
    ['{r: [{provider: a, modell: m}]}', /\.modell \(.*is not a field of a target; did you mean "model"\?$/],
    ['{r: [{provider: b}]}', /^routes\.r\[0\]\.model \(.*is missing, and "b" has no default model$/],
    ['{"": [{provider: a}]}', /^routes\.… \(.*must have a name of 1 to 256 characters/],
    ['{" r": [{provider: a}]}', /^routes\.… \(.*without space around it$/],
    ['{"r\\u001b[2J": [{provider: a}]}', /^routes\.r… \(.*on one line/],
    [`{${'r'.repeat(257)}: [{provider: a}]}`, /^routes\.r{60}… \(/],
    ['{r: [{provider: c}]}', /^routes\.r\[0\]\.provider \(.*names the provider "c", which is not conf/],
    ['{r: [{provider: openai}]}', /\.provider \(.*; OPENAI_API_KEY would add it; known are a, b, demo$/],
    ['{r: [{provider: demoo}]}', /\.provider \(.*not configured; did you mean "demo"\?$/],
  ];
  for (const [text, expected] of wrong) {
    it(`refuse ${text.slice(0, 60)}`, () => assert.match(problemOf(routes(text)), expected));
  }

  it('tell all problems at once, each with its place', () => {
    const text = '{r: [{provider: nobody}, {provider: b, weight: x}], s: [{modle: m}], " ": 3}';
    assert.deepEqual(places(routes(text)).sort(), [
      'routes.r[0].provider',
      'routes.r[1].model',
      'routes.r[1].weight',
      'routes.s[0].modle',
      'routes.s[0].provider',
      'routes.…',
      'routes.…',
    ]);
  });

  it('are not blamed for what is wrong elsewhere', () => {
    const ofList = (entry: string) => places({ yaml: `providers: [${entry}]\nroutes: {r: [{provider: x}]}` });
    assert.deepEqual(ofList('{base_url: "http://h"}'), ['providers[0].name']);
    assert.deepEqual(ofList('{name: x, base_url: h}'), ['providers[0].base_url']);
    const weights = '{r: [{provider: a, weight: 0}, {provider: a, weight: 1, model: 3}]}';
    assert.deepEqual(places(routes(weights)), ['routes.r[1].model']);
    assert.deepEqual(places(routes('{r: [{provider: a, weight: 0}, {provider: a, weight: x}]}')), [
      'routes.r[1].weight',
    ]);
  });

  it('keep any name that is one, and show nothing that follows a character of none', () => {
    const name = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', '0'));
    fc.assert(
      fc.property(name, (name) => {
        const yaml = `${providers}\n${stringify({ routes: Object.fromEntries([[name, [{ provider: 'a' }]]]) })}`;
        const problems = problemsOf({ yaml });
        if (problems.length === 0) assert.deepEqual(loadTexts({ yaml }).routes[0]?.name, name);
        for (const { setting } of problems) assert.match(setting, /^(routes\.[\w./:@-]*…?|APP_CONFIG_FILE)$/);
      }),
    );
  });
});
