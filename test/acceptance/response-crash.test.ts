/** Responses and a server that is killed: what was acknowledged is there, and what was not over says so. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';
import { responseClient } from './response-client.ts';

let double: ProviderDouble;
let parley: ParleyProcess;
before(async () => {
  double = await startProviderDouble();
  parley = await startParley({ OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'none', OPENAI_MODEL: 'm' });
});
after(async () => {
  await removeParley(parley);
  await double.close();
});

test('a response outlives the server, with its stream and with what was asked', async () => {
  const asked = { input: 'One', metadata: { a: 'b' }, instructions: 'Be kind' };
  const events = await responseClient(parley.url).stream(asked);
  const { response: first } = events.at(-1)!;
  double.respondOnce({ text: ['Half ', 'of it'], waitAt: { piece: 2, wait: new Promise(() => {}) } });
  const running = await responseClient(parley.url).respond({ input: 'Two', background: true });
  await double.arrived(2);
  await parley.stop('SIGKILL');
  parley = await parley.restart();

  const client = responseClient(parley.url);
  assert.deepEqual(await client.retrieve(first.id), first);
  assert.deepEqual(await client.replay(first.id, -1), events);
  await client.respond({ input: 'Three', previous_response_id: first.id });
  assert.deepEqual(
    double.last.body.messages.map(({ content }) => content),
    ['One', 'You said: One', 'Three'],
  );
  const dead = await client.retrieve(running.id);
  assert.deepEqual([dead.status, dead.error.code], ['failed', 'server_error']);
  assert.equal((await client.replay(running.id, -1)).at(-1)?.type, 'response.failed');
  const { body } = await call(parley.url, 'GET', `/v1/responses/${running.id}/input_items`);
  assert.equal(body.data[0].content[0].text, 'Two');
});

test('and sent again by a library it is the same one', async () => {
  const body = { input: 'Once' };
  const tries = (count: number) => ({ 'x-stainless-retry-count': String(count) });
  const first = await responseClient(parley.url).respond(body, tries(0));
  await parley.stop('SIGKILL');
  parley = await parley.restart();
  assert.deepEqual(await responseClient(parley.url).respond(body, tries(1)), first);
});
