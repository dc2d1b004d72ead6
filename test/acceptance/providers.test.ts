/** Who answers, and what it is asked: selection, the list of providers, options, headers. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type ProviderDouble, type RecordedRequest, startProviderDouble } from '../provider-double.ts';
import { call, newSession, send, stream } from './client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

let double: ProviderDouble;
/** Has openai, openrouter, alpha and beta, all played by the double, and no default. */
let parley: ParleyProcess;
/** The same with beta as the default. */
let withDefault: ParleyProcess;

before(async () => {
  double = await startProviderDouble();
  const played = (name: string) => double.url.replace(/v1$/, `${name}/v1`);
  const providers = [
    {
      name: 'alpha',
      base_url: played('alpha'),
      api_key: 'alpha-key',
      model: 'alpha-1',
      models: ['alpha-2'],
      headers: { 'X-Team': 'assistants' },
      context_tokens: 4096,
    },
    { name: 'beta', base_url: `${played('beta')}/`, model: 'beta-1' },
    { name: 'bare', base_url: played('bare') },
  ];
  const env = {
    OPENAI_API_KEY: 'openai-key',
    OPENAI_BASE_URL: played('openai'),
    OPENAI_MODEL: 'gpt-test',
    OPENROUTER_KEY: 'openrouter-key',
    OPENROUTER_BASE_URL: played('openrouter'),
    OPENROUTER_REFERER: 'https://app.example',
    OPENROUTER_TITLE: 'An application',
  };
  [parley, withDefault] = await Promise.all([
    startParleyWithYaml({ providers }, env),
    startParleyWithYaml({ providers }, { ...env, DEFAULT_PROVIDER: 'beta' }),
  ]);
});

after(async () => {
  await Promise.all([removeParley(parley), removeParley(withDefault)]);
  await double.close();
});

beforeEach(() => double.reset());

/** The provider that a request was meant for. */
const askedOf = ({ path }: RecordedRequest) => path.split('/')[1];

interface Choice {
  session?: object;
  body?: object;
  header?: string;
  server?: ParleyProcess;
}

/** Sends a message and checks that the answer names the same target that was asked. */
async function choose({ session = {}, body = {}, header, server = parley }: Choice) {
  const sessionId = await newSession(server.url, session);
  const headers: Record<string, string> = header === undefined ? {} : { 'X-Provider': header };
  const answer = await send(server.url, sessionId, 'Hello', body, headers);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  const { provider, provider_source: source, model } = answer.body;
  assert.equal(provider, askedOf(double.last));
  assert.equal(model, double.last.body.model);
  return { provider, source, model };
}

test('the body chooses over the header, the session and the default', async () => {
  const session = { provider: 'openrouter' };
  const chosen = await choose({ session, header: 'beta', body: { provider: 'alpha' }, server: withDefault });
  assert.deepEqual(chosen, { provider: 'alpha', source: 'override', model: 'alpha-1' });
});

test('the header chooses over the session and the default', async () => {
  const chosen = await choose({ session: { provider: 'openai' }, header: 'alpha', server: withDefault });
  assert.deepEqual(chosen, { provider: 'alpha', source: 'override', model: 'alpha-1' });
});

test('the session chooses over the default', async () => {
  const chosen = await choose({ session: { provider: 'alpha', model: 'alpha-2' }, server: withDefault });
  assert.deepEqual(chosen, { provider: 'alpha', source: 'session', model: 'alpha-2' });
});

test('DEFAULT_PROVIDER chooses where nobody does, and without it the first one configured', async () => {
  assert.deepEqual(await choose({ server: withDefault }), {
    provider: 'beta',
    source: 'default',
    model: 'beta-1',
  });
  assert.deepEqual(await choose({}), { provider: 'openai', source: 'default', model: 'gpt-test' });
});

test('names are trimmed and their case does not matter', async () => {
  assert.equal((await choose({ body: { provider: '  AlPha ' } })).provider, 'alpha');
  assert.equal((await choose({ header: ' BETA ' })).provider, 'beta');
  assert.equal((await choose({ session: { provider: ' Alpha' } })).provider, 'alpha');
});

test('an unknown name is refused with the known ones, wherever it stands, and nobody is asked', async () => {
  const sessionId = await newSession(parley.url);
  const answers = [
    await send(parley.url, sessionId, 'Hello', { provider: 'nobody' }),
    await send(parley.url, sessionId, 'Hello', {}, { 'X-Provider': 'nobody' }),
    await call(parley.url, 'POST', '/sessions', { provider: 'nobody' }),
    await call(parley.url, 'POST', '/sessions', { fallback_provider: 'nobody' }),
    await call(parley.url, 'PATCH', `/sessions/${sessionId}`, { provider: 'nobody' }),
  ];
  for (const { status, body } of answers) {
    assert.equal(status, 400);
    assert.equal(body.error.code, 'provider_not_found');
    assert.deepEqual(body.error.details, {
      provider: 'nobody',
      known: ['openai', 'openrouter', 'alpha', 'beta', 'bare'],
    });
  }
  assert.equal(double.requests.length, 0);
});

test('a model may be written provider/model, in the request and in the session', async () => {
  assert.deepEqual(await choose({ body: { model: 'alpha/alpha-2' } }), {
    provider: 'alpha',
    source: 'override',
    model: 'alpha-2',
  });
  assert.deepEqual(await choose({ session: { model: 'Beta/some/thing' } }), {
    provider: 'beta',
    source: 'session',
    model: 'some/thing',
  });
});

test('a slash in a model that names no provider is part of the model', async () => {
  assert.deepEqual(await choose({ session: { provider: 'alpha' }, body: { model: 'meta/llama' } }), {
    provider: 'alpha',
    source: 'override',
    model: 'meta/llama',
  });
});

test("OpenRouter's models have slashes, also where they look like another provider", async () => {
  assert.deepEqual(await choose({ body: { provider: 'openrouter', model: 'openai/gpt-test' } }), {
    provider: 'openrouter',
    source: 'override',
    model: 'openai/gpt-test',
  });
  assert.deepEqual(
    await choose({ session: { provider: 'openrouter' }, body: { model: 'openai/gpt-test' } }),
    { provider: 'openrouter', source: 'override', model: 'openai/gpt-test' },
  );
  assert.deepEqual(await choose({ body: { model: 'openrouter/anthropic/claude' } }), {
    provider: 'openrouter',
    source: 'override',
    model: 'anthropic/claude',
  });
  assert.equal((await choose({ body: { provider: 'openrouter' } })).model, 'openrouter/auto');
});

test("a request for another provider does not take the session's model along", async () => {
  const session = { provider: 'alpha', model: 'alpha-2' };
  assert.equal((await choose({ session, body: { provider: 'beta' } })).model, 'beta-1');
  assert.equal((await choose({ session, body: { provider: 'ALPHA' } })).model, 'alpha-2');
});

test('without a default model the request must name one', async () => {
  const sessionId = await newSession(parley.url);
  const { status, body } = await send(parley.url, sessionId, 'Hello', { provider: 'bare' });
  assert.equal(status, 400);
  assert.equal(body.error.code, 'model_required');
  assert.equal(body.error.details.provider, 'bare');
  assert.equal(double.requests.length, 0);
  assert.equal((await choose({ body: { provider: 'bare', model: 'b-1' } })).model, 'b-1');
});

test('GET /providers lists all in their order, with models and the default', async () => {
  const { status, body } = await call(withDefault.url, 'GET', '/providers');
  assert.equal(status, 200);
  assert.equal(body.default, 'beta');
  assert.equal((await call(parley.url, 'GET', '/providers')).body.default, 'openai');
  const names = body.data.map(({ name }: { name: string }) => name);
  assert.deepEqual(names, ['openai', 'openrouter', 'alpha', 'beta', 'bare']);
  const { targets, ...alpha } = body.data[2];
  const states = targets.map(({ model, state }: { model: string; state: string }) => [model, state]);
  assert.deepEqual(states[0], ['alpha-1', 'closed']);
  assert.deepEqual(alpha, {
    object: 'provider',
    name: 'alpha',
    default_model: 'alpha-1',
    models: ['alpha-1', 'alpha-2'],
    context_tokens: 4096,
    in_service: true,
  });
  assert.equal(body.data[4].default_model, null);
});

test('options reach the provider as they are, known ones and unknown ones', async () => {
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  const options = {
    temperature: 0.2,
    max_tokens: 12,
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { type: 'object' } } },
    tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }],
    seed: 0,
    stop: null,
    provider: { order: ['x'], allow_fallbacks: false },
    of_tomorrow: { deep: [1, { er: true }] },
  };
  assert.equal((await send(parley.url, sessionId, 'Hello', { options })).status, 200);
  const { model, messages, stream: streaming, ...passed } = double.last.body;
  assert.deepEqual(passed, options);
  assert.deepEqual([model, messages, streaming], ['alpha-1', [{ role: 'user', content: 'Hello' }], false]);
});

test('options do not replace what the turn itself says', async () => {
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  const options = { model: 'stolen', messages: [], stream: true };
  const { body } = await send(parley.url, sessionId, 'Hello', { options });
  assert.equal(body.message.content, 'You said: Hello');
  assert.equal(double.last.body.model, 'alpha-1');
  assert.equal(double.last.body.stream, false);
});

test('the upstream call streams when the client does, and then asks for usage', async () => {
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  await send(parley.url, sessionId, 'Hello');
  assert.equal(double.last.body.stream, false);
  assert.equal('stream_options' in double.last.body, false);
  const { events } = await stream(parley.url, sessionId, 'Hello');
  assert.equal(double.last.body.stream, true);
  assert.deepEqual(double.last.body['stream_options'], { include_usage: true });
  assert.deepEqual(events.at(-1)?.data.usage.total_tokens, 18);
});

test('instructions stand before the conversation', async () => {
  const sessionId = await newSession(parley.url, { provider: 'alpha', instructions: 'Be brief.' });
  await send(parley.url, sessionId, 'One');
  await send(parley.url, sessionId, 'Two');
  assert.deepEqual(double.last.body.messages, [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'One' },
    { role: 'assistant', content: 'You said: One' },
    { role: 'user', content: 'Two' },
  ]);
});

test('each provider gets its own key and headers, and nobody the headers of the client', async () => {
  const asked = async (provider: string) => {
    const sessionId = await newSession(parley.url, { provider });
    const own = { authorization: 'Bearer of-the-client', cookie: 'a=b', 'http-referer': 'https://client' };
    await send(parley.url, sessionId, 'Hello', { model: 'm' }, own);
    const {
      authorization,
      cookie,
      'http-referer': referer,
      'x-title': title,
      'x-team': team,
    } = double.last.headers;
    assert.equal(cookie, undefined);
    return { path: double.last.path, authorization, referer, title, team };
  };
  const none = { authorization: undefined, referer: undefined, title: undefined, team: undefined };
  assert.deepEqual(await asked('openai'), {
    ...none,
    path: '/openai/v1/chat/completions',
    authorization: 'Bearer openai-key',
  });
  assert.deepEqual(await asked('openrouter'), {
    ...none,
    path: '/openrouter/v1/chat/completions',
    authorization: 'Bearer openrouter-key',
    referer: 'https://app.example',
    title: 'An application',
  });
  assert.deepEqual(await asked('alpha'), {
    ...none,
    path: '/alpha/v1/chat/completions',
    authorization: 'Bearer alpha-key',
    team: 'assistants',
  });
  assert.deepEqual(await asked('beta'), { ...none, path: '/beta/v1/chat/completions' });
});

test('the model that answered is told, where the provider names another than was asked', async () => {
  double.respond({ text: 'ok', model: 'alpha-1-2026' });
  const sessionId = await newSession(parley.url, { provider: 'alpha' });
  assert.equal((await send(parley.url, sessionId, 'Hello')).body.model, 'alpha-1-2026');
});
