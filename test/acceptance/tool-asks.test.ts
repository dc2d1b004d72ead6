/** What tools of real servers ask while they run, by HTTP alone: a model, the user, and which directories there are. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startMcpDouble } from '../mcp-double.ts';
import { publishedServer } from '../mcp-settings.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { skipWithoutRedis, startRedis } from '../redis-server.ts';
import { call, newSession, readEvents, type StreamEvent, send } from './client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

const asked = (name: string, args: object = {}) => ({
  toolCalls: [{ id: 'c1', name, arguments: JSON.stringify(args) }],
});

interface Servers {
  parley: ParleyProcess;
  double: ProviderDouble;
}

/** With the authors' own server as a program, and the double, which speaks the protocol of 2026-07-28. */
async function start(context: TestContext, server: object, env = {}): Promise<Servers> {
  const [mcp, double] = await Promise.all([startMcpDouble('stateless'), startProviderDouble()]);
  const everything = { name: 'all', command: process.execPath, args: [publishedServer('everything')] };
  const servers = [everything, { name: 'web', url: mcp.url }].map((one) => ({ ...one, ...server }));
  const parley = await startParleyWithYaml(
    { mcp_servers: servers },
    { OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'none', ...env },
  );
  context.after(async () => {
    await removeParley(parley);
    await Promise.all([mcp.close(), double.close()]);
  });
  return { parley, double };
}

/** What the tool has answered. */
async function resultOf({ url }: ParleyProcess, session: string): Promise<string> {
  const { body } = await call(url, 'GET', `/sessions/${session}/turns?order=desc&limit=1`);
  const item = body.data[0].output.find(({ type }: { type: string }) => type === 'mcp_call');
  return item.output ?? item.error;
}

test('a tool has the model of the turn asked, where its server may', async (context) => {
  const { parley, double } = await start(context, { sampling: true });
  for (const [tool, args, seen] of [
    ['all__trigger-sampling-request', { prompt: 'What day?', maxTokens: 7 }, /What day\?$/],
    ['web__sample', {}, /^hello\?$/],
  ] as const) {
    double.reset();
    const session = await newSession(parley.url);
    double.respondOnce(asked(tool, args), { text: 'Wednesday.' }, { text: 'It is Wednesday.' });
    const { status, body } = await send(parley.url, session, 'A secret of mine');
    assert.deepEqual([status, body.message.content], [200, 'It is Wednesday.']);
    assert.match(await resultOf(parley, session), /Wednesday\./);
    const sampled = double.requests[1]?.body;
    assert.match(String(sampled?.messages.at(-1)?.content), seen);
    assert.doesNotMatch(JSON.stringify(sampled), /A secret of mine/);
    const tools = body.attempts.map(({ sampled_for: tool }: { sampled_for?: string }) => tool);
    assert.deepEqual(tools, [undefined, tool.replace('__', '.'), undefined]);
  }
});

test('a server that may not is not offered it, and roots are those of its entry', async (context) => {
  const { parley, double } = await start(context, { roots: ['/srv/the work'] });
  const { body } = await call(parley.url, 'GET', '/tools');
  const names = new Set(body.data.map(({ id }: { id: string }) => id));
  assert.ok(!names.has('all.trigger-sampling-request') && names.has('all.get-roots-list'));
  for (const [tool, expected] of [
    ['web__sample', /refused/],
    ['web__roots', /file:\/\/\/srv\/the%20work/],
    ['all__get-roots-list', /file:\/\/\/srv\/the%20work/],
    ['web__elicit', /"action":"decline"/],
  ] as const) {
    const session = await newSession(parley.url);
    double.respondOnce(asked(tool), { text: 'So.' });
    assert.equal((await send(parley.url, session, 'Go')).status, 200);
    assert.match(await resultOf(parley, session), expected, tool);
  }
});

/** Sends a message whose tools may ask, and calls back with what they ask. */
async function conversation(
  { url }: ParleyProcess,
  session: string,
  answer: (event: StreamEvent, turnId: string) => Promise<void>,
): Promise<StreamEvent[]> {
  const response = await fetch(`${url}/sessions/${session}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Go', stream: true, elicitation: true }),
  });
  let text = '';
  let answered = false;
  for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const events = readEvents(text.slice(0, text.lastIndexOf('\n\n') + 2));
    const asking = events.find(({ event }) => event === 'tool.input_requested');
    if (asking !== undefined && !answered) {
      answered = true;
      await answer(asking, events[0]?.data.turn_id);
    }
  }
  return readEvents(text);
}

test('a tool asks the user, who answers in its form, and the stream shows that again', async (context) => {
  const { parley, double } = await start(context, {});
  for (const tool of ['web__elicit', 'all__trigger-elicitation-request']) {
    const session = await newSession(parley.url);
    double.respondOnce(asked(tool), { text: 'Thanks.' });
    const content = tool === 'web__elicit' ? { age: 40 } : { name: 'Ada', check: true };
    const events = await conversation(parley, session, async ({ data }, turnId) => {
      const path = `/sessions/${session}/turns/${turnId}/inputs`;
      const answer = (body: object) => call(parley.url, 'POST', path, body);
      const wrong = await answer({
        request_id: data.request_id,
        action: 'accept',
        content: tool === 'web__elicit' ? { age: 'old' } : { name: 'Ada', check: 'yes' },
      });
      assert.deepEqual([wrong.status, wrong.body.error.code], [400, 'invalid_request']);
      const unknown = await answer({ request_id: 'another', action: 'decline' });
      assert.deepEqual([unknown.status, unknown.body.error.code], [404, 'input_not_found']);
      const right = await answer({ request_id: data.request_id, action: 'accept', content });
      assert.equal(right.status, 204);
    });
    assert.equal(events.at(-1)?.event, 'turn.completed');
    const { data } = events.find(({ event }) => event === 'tool.input_answered')!;
    assert.equal(data.action, 'accept');
    assert.match(await resultOf(parley, session), tool === 'web__elicit' ? /40/ : /Ada/);
    const turnId = events[0]?.data.turn_id;
    const replay = await (await fetch(`${parley.url}/sessions/${session}/turns/${turnId}/events`)).text();
    assert.deepEqual(readEvents(replay), events);
  }
});

test('what is entered at another server reaches the tool', { skip: skipWithoutRedis }, async (context) => {
  const redis = await startRedis();
  context.after(() => redis.stop());
  const env = { DATABASE_URL: redis.url() };
  const one = await start(context, {}, env);
  const other = await start(context, {}, env);
  const session = await newSession(one.parley.url);
  one.double.respondOnce(asked('web__elicit'), { text: 'Thanks.' });
  const events = await conversation(one.parley, session, async ({ data }, turnId) => {
    const path = `/sessions/${session}/turns/${turnId}/inputs`;
    const answer = (content: object) =>
      call(other.parley.url, 'POST', path, { request_id: data.request_id, action: 'accept', content });
    const wrong = await answer({ age: 'old' });
    assert.deepEqual([wrong.status, wrong.body.error.details.problems[0].path], [400, '/content/age']);
    assert.equal((await answer({ age: 41 })).status, 204);
    assert.equal((await answer({ age: 42 })).status, 404);
  });
  assert.equal(events.at(-1)?.event, 'turn.completed');
  assert.match(await resultOf(other.parley, session), /41/);
});
