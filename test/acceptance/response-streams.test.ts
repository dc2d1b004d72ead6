/**
 * Streams of `/v1/responses` by HTTP alone: every event as strict clients want it, and the same frames under the same
 * numbers whenever and from wherever they are read.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { ResponseEvent } from '../openai-schemas.ts';
import type { Script } from '../provider-double.ts';
import { call } from './client.ts';
import { createGate, type ParleyWithDouble, startParleyWithDouble } from './parley-with-double.ts';
import { type ResponseClient, responseClient } from './response-client.ts';

let server: ParleyWithDouble;
let client: ResponseClient;
before(async () => {
  server = await startParleyWithDouble({ FALLBACK_PROVIDERS: '' });
  client = responseClient(server.url);
});
after(() => server.close());
beforeEach(() => server.double.reset());

const call1 = { id: 'c1', name: 'f', arguments: ['{"a"', ':1}'] };
const call2 = { id: 'c2', name: 'g', arguments: '{}' };

const SCRIPTS: Record<string, Script> = {
  'a text': { text: ['Hel', 'lo', ' there'] },
  nothing: { text: '' },
  'reasoning and text': { reasoning: ['Hm', 'm.'], text: ['So', '.'] },
  'a refusal': { refusal: ['I ', 'will not.'] },
  'calls after text': { text: ['Let me look.'], toolCalls: [call1, call2] },
  'a text that is too long': { text: ['Too ', 'long'], finishReason: 'length' },
  'a text that is filtered': { text: ['Too ', 'bad'], finishReason: 'content_filter' },
};

/** What the pieces of a stream come to: its items as they were when they were done. */
function itemsDone(events: readonly ResponseEvent[]): unknown[] {
  return events.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item);
}

/** The pieces of each item, joined. */
function joined(events: readonly ResponseEvent[], kind: string): string {
  return events
    .filter(({ type }) => type === `response.${kind}.delta`)
    .map(({ delta }) => delta)
    .join('');
}

for (const [name, script] of Object.entries(SCRIPTS)) {
  test(`the stream of ${name} is the same whenever it is read, and from every frame on`, async () => {
    server.double.respondOnce(script);
    const tools = [{ type: 'function', name: 'f', parameters: { type: 'object' } }];
    const live = await client.stream({ input: 'Go', tools });
    const [created, inProgress] = live;
    assert.deepEqual([created?.type, inProgress?.type], ['response.created', 'response.in_progress']);
    const last = live.at(-1);
    assert.deepEqual(itemsDone(live), last?.['response'].output);
    const id: string = created?.['response'].id;
    assert.deepEqual(await client.retrieve(id), last?.['response']);
    for (let after = -1; after < live.length; after += 1) {
      assert.deepEqual(await client.replay(id, after), live.slice(after + 1), `after ${after}`);
    }
    const again = await client.respond({ input: 'Go', tools });
    assert.deepEqual(again.tools, last?.['response'].tools);
  });
}

test('what a stream tells comes to what the model has said', async () => {
  server.double.respondOnce({ reasoning: ['Hm', 'm.'], text: ['So', '.'], toolCalls: [call1] });
  const events = await client.stream({ input: 'Go' });
  assert.deepEqual(
    ['reasoning_text', 'output_text', 'function_call_arguments'].map((kind) => joined(events, kind)),
    ['Hmm.', 'So.', '{"a":1}'],
  );
  const { response } = events.at(-1)!;
  assert.deepEqual(
    response.output.map(({ type }: { type: string }) => type),
    ['reasoning', 'message', 'function_call'],
  );
  for (const event of events) {
    if (event['item_id'] === undefined) continue;
    assert.equal(response.output[event['output_index']].id, event['item_id']);
  }
});

test('an answer that was cut short says why', async () => {
  for (const [finishReason, reason] of [
    ['length', 'max_output_tokens'],
    ['content_filter', 'content_filter'],
  ] as const) {
    server.double.respondOnce({ text: ['a', 'b'], finishReason });
    const last = (await client.stream({ input: 'Go' })).at(-1)!;
    assert.deepEqual([last.type, last['response'].incomplete_details], ['response.incomplete', { reason }]);
  }
});

test('a running response is followed from any frame on, to its end', async () => {
  const gate = createGate();
  server.double.respondOnce({ text: ['One ', 'two ', 'three'], waitAt: { piece: 2, wait: gate.opened } });
  const { id } = await client.respond({ input: 'Count', background: true });
  await server.double.arrived(1);
  const followed = [-1, 0, 3, 5].map((after) => client.replay(id, after));
  gate.open();
  const [whole = [], ...others] = await Promise.all(followed);
  assert.equal(joined(whole, 'output_text'), 'One two three');
  for (const [index, after] of [0, 3, 5].entries()) assert.deepEqual(others[index], whole.slice(after + 1));
  assert.deepEqual(await client.replay(id, -1), whole);
});

test('a stream that fails after its first words says so, and the record has them', async () => {
  server.double.respond({ text: ['Half ', 'of it'], error: { message: 'x', code: 500 } });
  const events = await client.stream({ input: 'Go' });
  const last = events.at(-1)!;
  assert.equal(last.type, 'response.failed');
  assert.deepEqual([last['response'].status, last['response'].error.code], ['failed', 'server_error']);
  const stored = await client.retrieve(last['response'].id);
  assert.deepEqual([stored.status, stored.output[0].status], ['failed', 'incomplete']);
});

test('an answer that another target begins anew ends the stream, and the response goes on', async (context) => {
  const two = await startParleyWithDouble({
    OPENROUTER_KEY: 'x',
    OPENROUTER_BASE_URL: server.double.url,
    OPENROUTER_MODEL: 'other',
    DEFAULT_PROVIDER: 'openrouter',
    FALLBACK_PROVIDERS: 'openai',
  });
  context.after(() => two.close());
  const gate = createGate();
  server.double.respond({ text: ['Half ', 'of it'], error: { message: 'x', code: 500 } });
  two.double.respond({ text: ['Another', ' answer'], waitAt: { piece: 2, wait: gate.opened } });
  const events = await responseClient(two.url).stream({ input: 'Go' });
  // The stream ends while the other one still answers.
  const [error, failed] = events.slice(-2);
  assert.equal(error?.type, 'error');
  assert.equal(failed?.type, 'response.failed');
  gate.open();
  const over = await responseClient(two.url).until(failed?.['response'].id, 'completed');
  assert.equal(over.output[0].content[0].text, 'Another answer');
});

test('who leaves a stored response finds it; one that nobody could find ends', async () => {
  for (const store of [true, false]) {
    server.double.reset();
    const gate = createGate();
    server.double.respondOnce({ text: ['One ', 'two'], waitAt: { piece: 2, wait: gate.opened } });
    const leave = new AbortController();
    const response = await fetch(`${server.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ input: 'Go', stream: true, store }),
      signal: leave.signal,
    });
    const reader = response.body!.getReader();
    await reader.read();
    leave.abort();
    await reader.closed.catch(() => undefined);
    const asked = await server.double.arrived(1);
    if (store) gate.open();
    await asked.ended;
    assert.equal(asked.aborted, !store);
    if (!store) continue;
    const { body } = await call(server.url, 'GET', '/v1/responses?limit=1');
    const over = await client.until(body.data[0].id, 'completed');
    assert.equal(over.output[0].content[0].text, 'One two');
  }
});
