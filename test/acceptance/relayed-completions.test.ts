/**
 * Chat completions in no session, from providers that speak Chat Completions: what they say reaches the client as it came,
 * byte for byte, and what had to be made by another does not show a seam.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { playedBy, playerOf } from '../faults/stage.ts';
import { type ProviderDouble, type Script, startProviderDouble } from '../provider-double.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

let double: ProviderDouble;
let parley: ParleyProcess;
before(async () => {
  double = await startProviderDouble();
  const providers = ['first', 'second'].map((name) => ({
    name,
    base_url: playedBy(double, name),
    model: `${name}-1`,
    continue: 'prefill',
  }));
  const third = { name: 'third', base_url: playedBy(double, 'third'), model: 'third-1' };
  const routes = { anew: [{ provider: 'first', model: 'anew' }, { provider: 'third' }] };
  const configured = { providers: [...providers, third], fallback_providers: ['second'], routes };
  parley = await startParleyWithYaml(configured, { DATABASE_URL: 'memory:' });
});
after(async () => {
  await removeParley(parley);
  await double.close();
});
beforeEach(() => double.reset());

/** A chunk as only this provider writes it: fields in its own order, more of them, and spaces. */
const chunk = (delta: object, more: object = {}, choice: object = {}) =>
  JSON.stringify({
    system_fingerprint: 'fp_1',
    id: 'chatcmpl-of-the-provider',
    object: 'chat.completion.chunk',
    created: 5,
    model: 'a-model-2026',
    choices: [{ delta, index: 0, logprobs: { content: [{ token: 'a', logprob: -0.5 }] }, ...choice }],
    obfuscation: 'x1',
    ...more,
  }).replaceAll(',"', ', "');
const ROLE = chunk({ role: 'assistant', content: '', refusal: null });
const END = chunk({}, { service_tier: 'default' }, { finish_reason: 'stop' });
const USED = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3, a_detail: { of: 'theirs' } };
const USAGE = chunk({}, { choices: [], usage: USED });
const callPiece = (call: object) => chunk({ tool_calls: [{ index: 0, ...call }] });

const stream = (...frames: readonly string[]): Script => ({
  raw: frames.map((data) => `data: ${data}\n\n`),
  contentType: 'text/event-stream',
});

function complete(body: object): Promise<Response> {
  return fetch(`${parley.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'x' }], ...body }),
  });
}

/** The data of the frames of a stream, as they are. */
async function streamed(body: object = {}): Promise<string[]> {
  const text = await (await complete({ stream: true, ...body })).text();
  assert.ok(text.endsWith('\n\n'), text);
  return text
    .slice(0, -2)
    .split('\n\n')
    .map((frame) => {
      assert.ok(frame.startsWith('data: '), frame);
      return frame.slice('data: '.length);
    });
}

const contentsOf = (frames: readonly string[]) =>
  frames
    .flatMap((frame) => (frame === '[DONE]' ? [] : [JSON.parse(frame)]))
    .map((one) => one.choices[0]?.delta.content ?? '')
    .join('');
const askedPlayers = () => double.requests.map((request) => playerOf(request));

test('the frames of a stream are those of the provider', async () => {
  const said = [ROLE, chunk({ content: 'One ' }), chunk({ content: 'two' }), chunk({ reasoning: 'h' }), END];
  double.respond(stream(...said, USAGE, '[DONE]'));
  assert.deepEqual(await streamed(), [...said, '[DONE]']);
  const wanted = { stream_options: { include_usage: true } };
  assert.deepEqual(await streamed(wanted), [...said, USAGE, '[DONE]']);
});

test('a whole body is that of the provider', async () => {
  const body = `{ "service_tier":"flex",\n "choices": [ {"message": {"role":"assistant", "content":"Hi", "audio": null}, "index":0, "finish_reason":"stop", "logprobs": {"content":[]}} ], "usage": ${JSON.stringify(USED)}}`;
  double.respond({ raw: [body], contentType: 'application/json' });
  const response = await complete({ logprobs: true });
  assert.equal(await response.text(), body);
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
});

test('a body that is larger than what is kept of a turn is whole as well', async () => {
  const audio = { data: 'A'.repeat(9 * 1024 * 1024) };
  const message = { role: 'assistant', content: null, audio };
  const body = JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'stop' }] });
  double.respond({ raw: [body], contentType: 'application/json' });
  const answer = await (await complete({ modalities: ['audio'] })).text();
  assert.ok(answer === body, `${answer.length} characters`);
});

test('a frame of several lines stays one', async () => {
  const [before, behind] = ROLE.split(', ', 2);
  const broken = ROLE.replace(', ', ',\n');
  double.respond({
    raw: [
      `data: ${before},\ndata: ${ROLE.slice(`${before}, `.length)}\n\n`,
      ...stream(chunk({ content: 'a' }), END).raw!,
    ],
    contentType: 'text/event-stream',
  });
  const [first = ''] = await streamed();
  assert.ok(behind !== undefined && first.replaceAll('\ndata: ', '\n') === broken, first);
});

test('the frames of a call are those of the provider, and come when it is whole', async () => {
  const said = [
    ROLE,
    callPiece({ id: 'c1', type: 'function', function: { name: 'look', arguments: '' } }),
    callPiece({ function: { arguments: '{"a":' } }),
    callPiece({ function: { arguments: '1}' } }),
    chunk({}, {}, { finish_reason: 'tool_calls' }),
  ];
  double.respond(stream(...said, '[DONE]'));
  assert.deepEqual(await streamed(), [...said, '[DONE]']);
});

test('of a provider that says nothing before it fails, nothing is shown', async () => {
  const call = callPiece({ id: 'c1', type: 'function', function: { name: 'look', arguments: '{' } });
  const failed = JSON.stringify({ error: { message: 'overloaded', code: 503 } });
  const answer = [chunk({ content: 'Hello' }), END];
  for (const broken of [
    stream(ROLE),
    stream(ROLE, call),
    stream(ROLE, call, chunk({ content: 'and more' })),
    stream(ROLE, failed),
    stream(ROLE, chunk({ content: 'lost' }, { error: { message: 'overloaded' } })),
  ]) {
    double.reset();
    double.respond((request) => (playerOf(request) === 'first' ? broken : stream(...answer, '[DONE]')));
    const frames = await streamed();
    assert.deepEqual([frames, askedPlayers().at(-1)], [[...answer, '[DONE]'], 'second']);
  }
});

test('what another provider adds to an answer that broke is a chunk of the same answer', async () => {
  const pieces = [ROLE, chunk({ content: 'One ' }), chunk({ content: 'two ' })];
  double.respond((request) =>
    playerOf(request) === 'first' && request.body.messages.at(-1)?.role === 'user'
      ? stream(...pieces)
      : stream(chunk({ content: ' three' }, { id: 'another' }), END, USAGE, '[DONE]'),
  );
  const frames = await streamed({ model: 'first/fresh', stream_options: { include_usage: true } });
  assert.deepEqual(frames.slice(0, 3), pieces);
  assert.equal(contentsOf(frames), 'One two three');
  const built = frames.slice(3, -1).map((frame) => JSON.parse(frame));
  assert.deepEqual(
    built.map(({ id, created, model, choices }) => [id, created, model, choices[0]?.finish_reason]),
    [null, 'stop', undefined].map((reason) => ['chatcmpl-of-the-provider', 5, 'a-model-2026', reason]),
  );
  assert.equal(built[0].choices[0].delta.role, undefined);
  assert.equal(built.at(-1).usage.total_tokens, 3);
  assert.equal(frames.at(-1), '[DONE]');
});

test('an answer in another form than was asked for is made to be of that form', async () => {
  const body = JSON.stringify({ choices: [{ index: 0, message: { content: 'Hi' }, finish_reason: 'stop' }] });
  double.respond({ raw: [body], contentType: 'application/json' });
  const frames = await streamed();
  assert.equal(contentsOf(frames), 'Hi');
  assert.equal(frames.at(-1), '[DONE]');
  double.respond(stream(ROLE, chunk({ content: 'Hi' }), END, '[DONE]'));
  const whole = JSON.parse(await (await complete({})).text());
  assert.equal(whole.choices[0].message.content, 'Hi');
});

test('a stream that does not say why it ends is given a reason', async () => {
  const said = [ROLE, chunk({ content: 'One' })];
  double.respond(stream(...said, '[DONE]'));
  const frames = await streamed();
  assert.deepEqual(frames.slice(0, 2), said);
  assert.equal(JSON.parse(frames[2] ?? '').choices[0].finish_reason, 'stop');
  assert.equal(frames[3], '[DONE]');
});

test('where another can only answer anew, the stream ends with an error, unless it repeats what was said', async () => {
  const pieces = [ROLE, chunk({ content: 'One ' }), chunk({ content: 'two ' })];
  const answerOfThird = (content: string) => stream(chunk({ content }), END, '[DONE]');
  let third = answerOfThird('Something else');
  double.respond((request) => (playerOf(request) === 'first' ? stream(...pieces) : third));
  const broken = await streamed({ model: 'anew' });
  assert.deepEqual(broken.slice(0, -1), pieces);
  assert.equal(JSON.parse(broken.at(-1) ?? '').error.code, 'provider_error');
  third = answerOfThird('One two three');
  const frames = await streamed({ model: 'anew' });
  assert.deepEqual([contentsOf(frames), frames.at(-1)], ['One two three', '[DONE]']);
});

test('several answers are those of the provider, and nobody else goes on with them', async () => {
  const choices = [0, 1].map((index) => ({ index, message: { content: `${index}` }, finish_reason: 'stop' }));
  const body = JSON.stringify({ choices });
  double.respond({ raw: [body], contentType: 'application/json' });
  assert.equal(await (await complete({ n: 2 })).text(), body);
  assert.equal(double.last.body['n'], 2);

  const piece = (index: number, content: string | null) =>
    chunk(
      content === null ? {} : { content },
      {},
      { index, finish_reason: content === null ? 'stop' : null },
    );
  const said = [piece(1, 'B'), piece(0, 'A'), piece(1, 'b'), piece(0, null), piece(1, null)];
  double.respond(stream(...said, '[DONE]'));
  assert.deepEqual(await streamed({ n: 2 }), [...said, '[DONE]']);

  double.respond(stream(...said.slice(0, 3)));
  const broken = await streamed({ n: 2, model: 'first/several' });
  assert.deepEqual(broken.slice(0, -1), said.slice(0, 3));
  assert.equal(JSON.parse(broken.at(-1) ?? '').error.code, 'provider_error');
});
