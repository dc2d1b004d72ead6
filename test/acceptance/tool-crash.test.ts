/** A server that is killed in the middle of a call of a tool: the call is on record, and nobody makes it a second time. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { type McpDouble, startMcpDouble } from '../mcp-double.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, send } from './client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

const asked = (name: string, args: object) => [{ id: 'c1', name, arguments: JSON.stringify(args) }];

interface Servers {
  mcp: McpDouble;
  double: ProviderDouble;
  parley: ParleyProcess;
}

async function start(context: TestContext): Promise<Servers> {
  const [mcp, double] = await Promise.all([startMcpDouble('stateless'), startProviderDouble()]);
  const parley = await startParleyWithYaml(
    { mcp_servers: [{ name: 'web', url: mcp.url }] },
    { OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'none' },
  );
  context.after(async () => {
    await removeParley(parley);
    await Promise.all([mcp.close(), double.close()]);
  });
  return { mcp, double, parley };
}

test('a call in whose middle the server was killed is told to the model, and not made again', async (context) => {
  const { mcp, double, parley } = await start(context);
  const session = await newSession(parley.url);
  const key = { 'idempotency-key': randomUUID() };
  double.respondOnce({ toolCalls: asked('web__echo', { text: 'one' }) });
  double.respondOnce({ toolCalls: asked('web__hang', {}) });
  const hanging = new Promise<void>((resolve) => {
    mcp.state.onEvent = () => resolve();
  });
  const lost = send(parley.url, session, 'Go', {}, key).catch(() => null);
  await hanging;
  await parley.stop('SIGKILL');
  assert.equal(await lost, null);

  const again = await parley.restart();
  context.after(() => again.stop('SIGKILL'));
  const { body: turns } = await call(again.url, 'GET', `/sessions/${session}/turns`);
  const [left] = turns.data;
  assert.deepEqual([left.status, left.error.code], ['failed', 'server_restarted']);
  assert.deepEqual(
    left.output.map((item: any) => [item.type, item.name, item.status, item.output]),
    [
      ['mcp_call', 'echo', 'completed', 'one'],
      ['mcp_call', 'hang', 'incomplete', null],
    ],
  );
  double.respondOnce({ text: 'I cannot tell.' });
  const { status, body } = await send(again.url, session, 'Go', {}, key);
  assert.deepEqual([status, body.message.content], [200, 'I cannot tell.']);
  assert.deepEqual([mcp.state.runs.get('echo'), mcp.state.runs.get('hang')], [1, 1]);
  const read = double.last.body.messages.filter(({ role }) => role === 'tool');
  assert.deepEqual(
    read.map(({ content }) => content),
    ['one', 'The turn was ended before there was a result. It may have been done all the same.'],
  );
});

test('a turn that failed after its calls goes on from them when it is sent again', async (context) => {
  const { mcp, double, parley } = await start(context);
  const session = await newSession(parley.url);
  const key = { 'idempotency-key': randomUUID() };
  double.respondOnce({ toolCalls: asked('web__echo', { text: 'one' }) });
  double.respond({ status: 401 });
  assert.equal((await send(parley.url, session, 'Go', {}, key)).status, 502);
  double.respond({ text: 'It says one.' });
  const answer = await send(parley.url, session, 'Go', {}, key);
  assert.deepEqual([answer.status, answer.body.message.content], [200, 'It says one.']);
  assert.equal(mcp.state.runs.get('echo'), 1);
  const { body: turn } = await call(parley.url, 'GET', `/sessions/${session}/turns/${answer.body.turn_id}`);
  assert.deepEqual(
    turn.output.map(({ type }: any) => type),
    ['mcp_call', 'message'],
  );
});
