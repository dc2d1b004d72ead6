import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { type ProviderDouble, providerErrorMessage, startProviderDouble } from './provider-double.ts';

let double: ProviderDouble;

beforeEach(async () => {
  double = await startProviderDouble();
});

afterEach(() => double.close());

const ask = (stream: boolean, signal?: AbortSignal) =>
  fetch(`${double.url}/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', stream, messages: [{ role: 'user', content: 'one two' }] }),
    ...(signal === undefined ? {} : { signal }),
  });

/** The events of a streamed answer, without [DONE]. */
async function askStream(): Promise<{ choices: { delta: Record<string, unknown> }[]; usage?: unknown }[]> {
  const text = await (await ask(true)).text();
  const lines = text.split(/\r?\n\r?\n/).filter((line) => line.startsWith('data: {'));
  return lines.map((line) => JSON.parse(line.slice('data: '.length)));
}

test('it echoes, and records what it was asked', async () => {
  const answer = (await (await ask(false)).json()) as {
    choices: { message: { content: string } }[];
    usage: object;
  };
  assert.equal(answer.choices[0]?.message.content, 'You said: one two');
  assert.ok(answer.usage);
  assert.equal(double.last.path, '/v1/chat/completions');
  assert.equal(double.last.body.model, 'm');
  await double.last.ended;
  assert.equal(double.last.aborted, false);
});

test('a stream has the pieces, the lines and the usage of its script', async () => {
  double.respond({ text: ['a', 'b'], usage: 'early', lineEnd: '\r\n', done: false });
  const text = await (await ask(true)).text();
  assert.ok(text.endsWith('\r\n\r\n'));
  assert.doesNotMatch(text, /\[DONE\]/);
  const events = await askStream();
  assert.deepEqual(
    events.map(({ choices }) => choices[0]?.delta['content']),
    ['', 'a', 'b', undefined],
  );
  assert.ok(events.at(-1)?.usage);
  double.respond({ reasoning: ['r'], reasoningField: 'reasoning', refusal: 'no', usage: 'never' });
  const deltas = (await askStream()).map(({ choices }) => choices[0]?.delta);
  assert.deepEqual(deltas.slice(1), [{ reasoning: 'r' }, { refusal: 'no' }, {}]);
});

test('a call is streamed in pieces, with id and name in the first', async () => {
  double.respond({ toolCalls: [{ id: 'c', name: 'f', arguments: ['{', '}'] }], usage: 'never' });
  const pieces = (await askStream()).flatMap(({ choices }) => choices[0]?.delta['tool_calls'] ?? []);
  assert.deepEqual(pieces, [
    { index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: '{' } },
    { index: 0, function: { arguments: '}' } },
  ]);
});

test('queued answers come first, one each; reset forgets', async () => {
  double.respond({ json: 'usual' });
  double.respondOnce({ json: 1 }, ({ body }) => ({ json: body.model }));
  const answers = [await ask(false), await ask(false), await ask(false)];
  assert.deepEqual(await Promise.all(answers.map((answer) => answer.json())), [1, 'm', 'usual']);
  double.reset();
  assert.equal(double.requests.length, 0);
  assert.throws(() => double.last);
});

test('a status brings an error object, its headers, or a page', async () => {
  double.respondOnce({ status: 429, headers: { 'retry-after': '1' } }, { status: 502, html: '<html>' });
  const limited = await ask(false);
  assert.equal(limited.status, 429);
  assert.equal(limited.headers.get('retry-after'), '1');
  assert.match(await limited.text(), new RegExp(providerErrorMessage));
  const page = await ask(false);
  assert.equal(page.headers.get('content-type'), 'text/html');
  assert.equal(await page.text(), '<html>');
});

test('an answer waits until it is released', async () => {
  const before = Promise.withResolvers<void>();
  const between = Promise.withResolvers<void>();
  double.respondOnce({ text: ['a', 'b'], waitBefore: before.promise, waitBetween: between.promise });
  const seen: string[] = [];
  const reading = ask(true).then(async (response) => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) seen.push(chunk);
  });
  await double.arrived(1);
  // A whole exchange beside it: time enough for what does not wait.
  await (await ask(false)).text();
  assert.deepEqual(seen, []);
  before.resolve();
  while (seen.length === 0) await (await ask(false)).text();
  await (await ask(false)).text();
  assert.equal(seen.join('').match(/data: /g)?.length, 1);
  between.resolve();
  await reading;
  assert.match(seen.join(''), /\[DONE\]/);
});

test('a connection is cut where the script says', async () => {
  double.respondOnce({ cut: 'before headers' }, { raw: ['abc', 'def'], cut: { afterBytes: 4 } });
  await assert.rejects(ask(false));
  const reader = (await ask(false)).body!.getReader();
  let text = '';
  await assert.rejects(async () => {
    for (;;) text += new TextDecoder().decode((await reader.read()).value);
  });
  assert.equal(text, 'abcd');
  assert.equal(double.last.aborted, false);
});

test('a client that leaves is noticed', async () => {
  const controller = new AbortController();
  double.respond({ waitBefore: new Promise(() => undefined) });
  const left = ask(true, controller.signal);
  const request = await double.arrived(1);
  controller.abort();
  await assert.rejects(left);
  await request.ended;
  assert.equal(request.aborted, true);
  assert.ok(request.abortedAt !== null && request.abortedAt <= Date.now());
});
