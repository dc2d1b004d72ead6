/** What is said is in no trace, unless the operator has asked for it; keys are in none at all. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { CollectedSpan } from '../trace-collector.ts';
import { call, newSession, send, stream } from './client.ts';
import { startTracedParley, type TracedParley } from './traced-parley.ts';

const CAPTURE = { OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' };

/** Recognisable words, one for each place where something can be said. */
const said = {
  instructions: 'SAID-as-instructions',
  prompt: 'SAID-as-prompt',
  answer: 'SAID-as-answer',
  reasoning: 'SAID-as-reasoning',
  refusal: 'SAID-as-refusal',
  arguments: 'SAID-as-arguments',
  result: 'SAID-as-result',
  metadata: 'SAID-as-metadata',
  option: 'SAID-as-option',
  query: 'SAID-in-a-query',
  path: 'SAID-in-a-path',
  error: 'SAID-by-a-failing-provider',
};

const keys = {
  alpha: 'KEY-of-alpha-0001',
  beta: 'KEY-of-beta-0002',
  caller: 'KEY-of-a-caller-0003',
  wrong: 'KEY-that-is-wrong-0004',
  admin: 'KEY-of-the-administrator-0005',
  collector: 'KEY-of-the-collector-0006',
  idempotency: 'KEY-for-once-0007',
};

async function startWithKeys(context: TestContext, env: Record<string, string> = {}): Promise<TracedParley> {
  return startTracedParley(context, {
    API_KEYS: `ada:${keys.caller}`,
    ADMIN_TOKEN: keys.admin,
    OTEL_EXPORTER_OTLP_HEADERS: `x-collector-key=${keys.collector}`,
    ...env,
  });
}

/** Says everything that there is to say, well and ill. */
async function sayEverything({ url, double }: TracedParley): Promise<void> {
  const authorization = { authorization: `Bearer ${keys.caller}` };
  const settings = {
    instructions: said.instructions,
    metadata: { note: said.metadata },
    title: said.metadata,
  };
  const session = (await call(url, 'POST', '/sessions', settings, authorization)).body;
  const path = `/sessions/${session.id}/messages`;
  const failure = { message: `${said.error} ${keys.alpha}`, type: said.error, code: said.error };
  double.respondOnce(
    {
      reasoning: said.reasoning,
      text: said.answer,
      toolCalls: [{ id: 'call_1', name: 'look', arguments: `{"at":"${said.arguments}"}` }],
    },
    { refusal: said.refusal },
    { status: 500, error: failure },
    { status: 500, error: failure },
    { status: 400, error: failure },
    { text: [said.answer], error: failure },
  );
  const options = { user: said.option, stop: [said.option] };
  const message = { content: said.prompt, metadata: { note: said.metadata }, options };
  const result = { role: 'tool', content: said.result, tool_call_id: 'call_1' };
  const headers = { ...authorization, 'idempotency-key': keys.idempotency };
  await call(url, 'POST', path, message, headers);
  await call(url, 'POST', path, { ...result, stream: true }, authorization);
  for (let count = 0; count < 3; count += 1) {
    await call(url, 'POST', path, { ...message, stream: true, fallback_providers: [] }, authorization);
    await call(url, 'POST', path, { ...message, stream: true }, authorization);
  }
  await call(url, 'GET', `/sessions?metadata[note]=${said.query}`, undefined, authorization);
  await call(url, 'GET', `/${said.path}/${keys.wrong}`, undefined, authorization);
  await call(url, 'GET', '/sessions', undefined, { 'x-api-key': keys.wrong });
  await call(url, 'GET', '/admin/clients', undefined, { 'x-admin-token': keys.admin });
  await call(url, 'POST', '/sessions', { [said.prompt]: said.prompt }, authorization);
}

function assertNone(text: string, words: Record<string, string>): void {
  for (const [name, word] of Object.entries(words)) {
    const at = text.indexOf(word);
    assert.equal(at, -1, `${name} is in a span: ${text.slice(at - 200, at + 200)}`);
  }
}

test('nothing that is said and no key is in any span', async (context) => {
  const traced = await startWithKeys(context);
  await sayEverything(traced);
  const spans = await traced.spans();
  assert.ok(spans.filter(({ name }) => name.startsWith('chat ')).length >= 6, 'everything was asked');
  for (const { text, headers } of traced.collector.posts) {
    assertNone(text, said);
    assertNone(text, keys);
    assert.equal(headers['x-collector-key'], keys.collector);
  }
});

test('switched on, spans hold what is said between server and model, and still no key', async (context) => {
  const traced = await startWithKeys(context, CAPTURE);
  await sayEverything(traced);
  await traced.spans();
  const text = traced.collector.posts.map((post) => post.text).join('\n');
  assertNone(text, keys);
  const { metadata, option, query, path, error, ...contents } = said;
  assertNone(text, { metadata, option, query, path, error });
  for (const [name, word] of Object.entries(contents)) assert.ok(text.includes(word), `${name} is in a span`);
});

/** The contents of the attempt's span, as what their JSON says. */
function contentsOf({ attributes }: CollectedSpan): unknown[] {
  return ['gen_ai.system_instructions', 'gen_ai.input.messages', 'gen_ai.output.messages'].map((name) =>
    JSON.parse(String(attributes[name])),
  );
}

for (const streaming of [false, true]) {
  test(`contents are in the form of the conventions, ${streaming ? 'streamed' : 'whole'}`, async (context) => {
    const { url, double, spans } = await startTracedParley(context, CAPTURE);
    const sessionId = await newSession(url, { instructions: 'Be brief.' });
    double.respondOnce({ text: ['Hello', ' Ada.'], reasoning: ['A', 'da'] });
    if (streaming) await stream(url, sessionId, 'I am Ada.');
    else await send(url, sessionId, 'I am Ada.');
    const attempt = (await spans()).find(({ name }) => name === 'chat model-a');
    assert.ok(attempt);
    assert.deepEqual(contentsOf(attempt), [
      [{ type: 'text', content: 'Be brief.' }],
      [{ role: 'user', parts: [{ type: 'text', content: 'I am Ada.' }] }],
      [
        {
          role: 'assistant',
          parts: [
            { type: 'reasoning', content: 'Ada' },
            { type: 'text', content: 'Hello Ada.' },
          ],
          finish_reason: 'stop',
        },
      ],
    ]);
  });
}
