/** Responses at servers that share a Redis: whichever is asked knows them, while they are made and afterwards. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { type RedisServer, skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call } from './client.ts';
import { outputWith, type ParleyProcess, removeParley, startParley } from './parley-process.ts';
import { createGate } from './parley-with-double.ts';
import { type ResponseClient, responseClient } from './response-client.ts';

describe('responses at several servers', { skip: skipWithoutRedis }, () => {
  let redis: RedisServer;
  let double: ProviderDouble;
  let servers: ParleyProcess[];
  let here: ResponseClient;
  let there: ResponseClient;
  before(async () => {
    [redis, double] = await Promise.all([startRedis(), startProviderDouble()]);
    const settings = {
      DATABASE_URL: redis.url(),
      OPENAI_BASE_URL: double.url,
      OPENAI_API_KEY: 'none',
      OPENAI_MODEL: 'm',
      ALLOW_OPEN: 'true',
    };
    servers = await Promise.all([startParley(settings), startParley(settings)]);
    await Promise.all(servers.map((server) => outputWith(server, (text) => text.includes('is heard'))));
    [here, there] = servers.map(({ url }) => responseClient(url)) as [ResponseClient, ResponseClient];
  });
  after(async () => {
    await Promise.all(servers.map(removeParley));
    await double.close();
    await redis.stop();
  });

  test('one is looked at, followed, and stopped elsewhere, with what was asked of it', async () => {
    const gate = createGate();
    double.respondOnce({ text: ['Half ', 'of it'], waitAt: { piece: 2, wait: gate.opened } });
    const begun = await here.respond({ input: 'Go', background: true, metadata: { a: 'b' } });
    await double.arrived(1);
    const running = await there.retrieve(begun.id);
    assert.deepEqual(
      [running.status, running.metadata, running.background],
      ['in_progress', { a: 'b' }, true],
    );
    const followed = [-1, 4].map((after) => there.replay(begun.id, after));
    gate.open();
    const [whole, rest] = await Promise.all(followed);
    assert.deepEqual(rest, whole?.slice(5));
    assert.deepEqual(await here.replay(begun.id, -1), whole);
    assert.deepEqual(await there.until(begun.id, 'completed'), await here.retrieve(begun.id));

    double.respondOnce({ text: ['Half ', 'of it'], waitAt: { piece: 2, wait: new Promise(() => {}) } });
    const endless = await here.respond({ input: 'Go', background: true });
    await double.arrived(2);
    const stopped = await call(servers[1]!.url, 'POST', `/v1/responses/${endless.id}/cancel`);
    assert.equal(stopped.body.status, 'cancelled');
  });

  test('a busy conversation is locked everywhere, and a busy session forks anywhere', async () => {
    const root = await here.respond({ input: 'Root' });
    const gate = createGate();
    double.respond(({ body }) => ({ text: String(body.messages.at(-1)?.content), waitBefore: gate.opened }));
    const asked = double.requests.length;
    const slow = here.respond({ input: 'a', previous_response_id: root.id });
    await double.arrived(asked + 1);
    const conversation = root.id.replace(/^resp_(.{32}).*/, 'conv_$1');
    assert.equal((await there.ask({ input: 'x', conversation })).body.error.code, 'conversation_locked');
    const branch = there.respond({ input: 'b', previous_response_id: root.id });
    await double.arrived(asked + 2);
    gate.open();
    assert.equal((await branch).output[0].content[0].text, 'b');
    assert.notEqual((await slow).id.slice(0, 37), (await branch).id.slice(0, 37));
  });
});
