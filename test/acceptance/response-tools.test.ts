/** Tools of servers in responses, by HTTP alone: chosen by the request, approved by the client, and told in the stream. */

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { type McpDouble, startMcpDouble } from '../mcp-double.ts';
import { publishedServer } from '../mcp-settings.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call } from './client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';
import { type ResponseClient, responseClient } from './response-client.ts';

let mcp: McpDouble;
let double: ProviderDouble;
let parley: ParleyProcess;
let client: ResponseClient;
before(async () => {
  [mcp, double] = await Promise.all([startMcpDouble('stateless'), startProviderDouble()]);
  parley = await startParleyWithYaml(
    {
      mcp_servers: [
        { name: 'everything', command: process.execPath, args: [publishedServer('everything')] },
        { name: 'web', url: mcp.url },
      ],
    },
    { OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'none' },
  );
  client = responseClient(parley.url);
});
after(async () => {
  await removeParley(parley);
  await Promise.all([mcp.close(), double.close()]);
});
beforeEach(() => double.reset());

const SUM = { id: 'c1', name: 'everything__get-sum', arguments: '{"a":40,"b":2}' };
const everything = (more: object) => ({ type: 'mcp', server_label: 'everything', ...more });
const types = (events: readonly { type: string }[]) => events.map(({ type }) => type);
const offered = () =>
  ((double.last.body['tools'] ?? []) as { function: { name: string } }[]).map((tool) => tool.function.name);

test('a model calls the tools that the request names, and the stream tells of it', async () => {
  double.respondOnce({ text: 'Let me see.', toolCalls: [SUM] }, { text: 'It is 42.' });
  const own = { type: 'function', name: 'own', parameters: { type: 'object' } };
  const tools = [everything({ allowed_tools: ['get-sum', 'echo'], require_approval: 'never' }), own];
  const events = await client.stream({ input: 'What is 40 + 2?', tools });
  assert.deepEqual(offered().toSorted(), ['everything__echo', 'everything__get-sum', 'own']);
  const { response } = events.at(-1)!;
  assert.deepEqual(
    response.output.map(({ type }: { type: string }) => type),
    ['message', 'mcp_call', 'message'],
  );
  const [, made] = response.output;
  assert.deepEqual(
    [made.server_label, made.name, made.arguments, made.error, made.status],
    ['everything', 'get-sum', SUM.arguments, null, 'completed'],
  );
  assert.match(made.output, /42/);
  const told = types(events);
  const start = told.indexOf('response.mcp_call.in_progress');
  assert.deepEqual(told.slice(start - 1, start + 5), [
    'response.output_item.added',
    'response.mcp_call.in_progress',
    'response.mcp_call_arguments.delta',
    'response.mcp_call_arguments.done',
    'response.mcp_call.completed',
    'response.output_item.done',
  ]);
  for (let after = -1; after < events.length; after += 1) {
    assert.deepEqual(await client.replay(response.id, after), events.slice(after + 1));
  }
});

test('a call that fails is told as one', async () => {
  double.respondOnce({ toolCalls: [{ ...SUM, arguments: '{"a":"x"}' }] }, { text: 'That did not work.' });
  const events = await client.stream({ input: 'x', tools: [everything({ require_approval: 'never' })] });
  assert.ok(types(events).includes('response.mcp_call.failed'));
  const { response } = events.at(-1)!;
  assert.equal(response.output[0].status, 'failed');
  assert.ok(response.output[0].error.content.length > 0);
});

test('without a word on them the tools of the session are there, and with none, none', async () => {
  await client.respond({ input: 'x' });
  assert.ok(offered().includes('everything__get-sum'));
  await client.respond({ input: 'x', tools: [] });
  assert.deepEqual(offered(), []);
});

test('a call waits for its approval, unless the request says otherwise', async () => {
  const asked = { text: 'I would add.', toolCalls: [SUM] };
  for (const require_approval of [undefined, 'always', { always: { tool_names: ['get-sum'] } }]) {
    double.respondOnce(asked);
    const events = await client.stream({ input: 'Add', tools: [everything({ require_approval })] });
    const { response } = events.at(-1)!;
    assert.equal(response.status, 'completed');
    assert.equal(response.output.at(-1).type, 'mcp_approval_request');
    assert.deepEqual(await client.replay(response.id, -1), events);
  }
  for (const require_approval of ['never', { never: { tool_names: ['get-sum'] } }]) {
    double.respondOnce(asked, { text: 'Done.' });
    const response = await client.respond({ input: 'Add', tools: [everything({ require_approval })] });
    assert.equal(response.output.at(-1).content[0].text, 'Done.');
  }
});

test('what was approved is called once, however often it is sent, at either door', async () => {
  for (const approve of [true, false]) {
    for (const place of ['previous_response_id', 'conversation']) {
      double.reset();
      double.respondOnce({ toolCalls: [SUM] }, { text: 'Thank you.' });
      const waits = await client.respond({ input: 'Add', tools: [everything({})] });
      const [request] = waits.output;
      const decision = { approval_request_id: request.id, approve };
      const conversation = waits.id.replace(/^resp_(.{32}).*/, 'conv_$1');
      const body = {
        [place]: place === 'conversation' ? conversation : waits.id,
        input: [{ type: 'mcp_approval_response', ...decision }],
        tools: [everything({})],
      };
      const done = await client.respond(body);
      assert.deepEqual(
        done.output.map(({ type, status }: any) => [type, status]),
        [
          ['mcp_call', approve ? 'completed' : 'failed'],
          ['message', 'completed'],
        ],
      );
      assert.deepEqual(
        await client.respond({ ...body, previous_response_id: waits.id, conversation: null }),
        done,
      );
      const [, session = '', turn = ''] = /^resp_(.{32})(.{32})$/.exec(waits.id) ?? [];
      const dashed = (id: string) => id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
      const native = await call(
        parley.url,
        'POST',
        `/sessions/${dashed(session)}/turns/${dashed(turn)}/approvals`,
        { approvals: [decision] },
      );
      assert.equal(native.body.turn_id, dashed(done.id.slice(-32)));
      assert.equal(double.requests.length, 2);
    }
  }
});

test('decisions about nothing are refused, and so is what names a place', async () => {
  const decision = { type: 'mcp_approval_response', approval_request_id: 'mcpr_1', approve: true };
  assert.equal((await client.ask({ input: [decision] })).body.error.code, 'approval_not_found');
  const { id } = await client.respond({ input: 'x' });
  const wrong = await client.ask({ input: [decision], previous_response_id: id });
  assert.deepEqual([wrong.status, wrong.body.error.code], [400, 'approval_not_found']);
  for (const field of ['server_url', 'connector_id', 'authorization', 'headers']) {
    const { status, body } = await client.ask({ input: 'x', tools: [everything({ [field]: 'x' })] });
    assert.deepEqual([status, body.error.param], [400, `tools[0].${field}`]);
  }
});
