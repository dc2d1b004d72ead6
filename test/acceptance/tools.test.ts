/**
 * Tools inside turns, by HTTP alone: a double of a model calls tools of real MCP servers, a program and one behind a URL,
 * and whoever follows sees it, also after a disconnect in the middle of a call.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type McpDouble, startMcpDouble } from '../mcp-double.ts';
import { publishedServer } from '../mcp-settings.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, readEvents, type StreamEvent, send, stream } from './client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from './parley-process.ts';

const asked = (id: string, name: string, args: object) => ({ id, name, arguments: JSON.stringify(args) });

describe('a model that uses the tools of servers', () => {
  let directory: string;
  let mcp: McpDouble;
  let double: ProviderDouble;
  let parley: ParleyProcess;
  before(async () => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'parley-tools-')));
    writeFileSync(join(directory, 'notes.txt'), 'The answer is 42.');
    [mcp, double] = await Promise.all([startMcpDouble('stateless'), startProviderDouble()]);
    const program = (name: string, server: string) => ({
      name,
      command: process.execPath,
      args: [publishedServer(server), directory],
    });
    const servers = [
      { ...program('files', 'filesystem'), require_approval: ['write_*'] },
      { ...program('everything', 'everything'), args: [publishedServer('everything')] },
      { name: 'web', url: mcp.url },
      { name: 'away', url: 'http://127.0.0.1:9/mcp' },
    ];
    parley = await startParleyWithYaml(
      { mcp_servers: servers },
      { OPENAI_BASE_URL: double.url, OPENAI_API_KEY: 'none', MEMORY_DEFAULT: '50', TOOL_STEPS_MAX: '3' },
    );
  });
  after(async () => {
    await removeParley(parley);
    await Promise.all([mcp.close(), double.close()]);
    rmSync(directory, { recursive: true });
  });
  beforeEach(() => double.reset());

  test('two servers in one turn: what they said is in its record, in its stream, and before the model', async () => {
    const session = await newSession(parley.url, { tools: ['files.read_*', 'everything.get-sum'] });
    double.respondOnce(
      {
        text: 'Let me look. ',
        toolCalls: [
          asked('c1', 'files__read_text_file', { path: join(directory, 'notes.txt') }),
          asked('c2', 'everything__get-sum', { a: 40, b: 2 }),
        ],
      },
      { text: ['It is', ' 42.'] },
    );
    const { status, events } = await stream(parley.url, session, 'What is the answer?');
    assert.equal(status, 200);
    const types = events.map(({ event }) => event);
    assert.deepEqual(types.slice(0, 4), ['turn.started', 'message.delta', 'tool.started', 'tool.started']);
    assert.deepEqual(types.slice(-3), ['message.delta', 'message.delta', 'turn.completed']);
    const read = events.find(({ event, data }) => event === 'tool.completed' && data.call_id === 'c1');
    assert.equal(read?.data.output, 'The answer is 42.');

    const turnId = events[0]?.data.turn_id;
    const { body: turn } = await call(parley.url, 'GET', `/sessions/${session}/turns/${turnId}`);
    const made = turn.output.map((item: any) => [item.type, item.server_label, item.name, item.status]);
    assert.deepEqual(made, [
      ['message', undefined, undefined, 'completed'],
      ['mcp_call', 'files', 'read_text_file', 'completed'],
      ['mcp_call', 'everything', 'get-sum', 'completed'],
      ['message', undefined, undefined, 'completed'],
    ]);
    assert.equal(turn.attempts.length, 2);
    assert.equal(turn.usage.total_tokens, 36);

    const [first, second] = double.requests.map(({ body }) => body as any);
    const offered = new Set(first.tools.map((tool: any) => tool.function.name));
    assert.ok(offered.has('everything__get-sum') && offered.has('files__read_text_file'));
    assert.ok(!offered.has('files__write_file'), 'what the session did not choose');
    const roles = second.messages.map(({ role }: any) => role);
    assert.deepEqual(roles, ['user', 'assistant', 'tool', 'tool']);
    assert.equal(second.messages[2].content, 'The answer is 42.');

    const { body: messages } = await call(parley.url, 'GET', `/sessions/${session}/messages`);
    const said = messages.data.map(({ content }: any) => content);
    assert.deepEqual(said, ['What is the answer?', 'Let me look. ', 'It is 42.']);
    const replay = await (await fetch(`${parley.url}/sessions/${session}/turns/${turnId}/events`)).text();
    assert.deepEqual(readEvents(replay), events);
  });

  test('a client that leaves in the middle of a call goes on reading where it was', async () => {
    const session = await newSession(parley.url, { tools: ['everything'] });
    double.respondOnce(
      {
        toolCalls: [asked('c1', 'everything__trigger-long-running-operation', { duration: 1, steps: 4 })],
      },
      { text: 'Done.' },
    );
    const leaving = new AbortController();
    const response = await fetch(`${parley.url}/sessions/${session}/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ content: 'Work', stream: true }),
      signal: leaving.signal,
    });
    let text = '';
    const decoder = new TextDecoder();
    for await (const piece of response.body!) {
      text += decoder.decode(piece as Uint8Array, { stream: true });
      if (text.includes('event: tool.progress')) break;
    }
    leaving.abort();
    const before: StreamEvent[] = readEvents(text.slice(0, text.lastIndexOf('\n\n') + 2));
    const { id } = before.at(-1)!;
    const path = `${parley.url}/sessions/${session}/turns/${before[0]?.data.turn_id}/events`;
    const rest = await fetch(path, { headers: { 'last-event-id': String(id) } });
    const events = [...before, ...readEvents(await rest.text())];
    assert.deepEqual(
      events.map(({ id: number }) => number),
      events.map((_, index) => index),
    );
    const types = events.map(({ event }) => event);
    assert.deepEqual(types.slice(0, 2), ['turn.started', 'tool.started']);
    assert.deepEqual(types.slice(-3), ['tool.completed', 'message.delta', 'turn.completed']);
  });

  test('a turn that is stopped in the middle of a call stops the call, and its record says so', async () => {
    const session = await newSession(parley.url);
    double.respondOnce({
      toolCalls: [asked('c1', 'everything__trigger-long-running-operation', { duration: 60, steps: 600 })],
    });
    const answer = send(parley.url, session, 'Work');
    const running = async () =>
      (await call(parley.url, 'GET', `/sessions/${session}/turns`)).body.data[0]?.id as string | undefined;
    await double.arrived(1);
    let turnId = await running();
    while (turnId === undefined) turnId = await running();
    await pause(200);
    const { body: turn } = await call(parley.url, 'POST', `/sessions/${session}/turns/${turnId}/cancel`, {});
    assert.equal(turn.status, 'cancelled');
    assert.deepEqual(
      turn.output.map(({ type, status }: any) => [type, status]),
      [['mcp_call', 'incomplete']],
    );
    assert.equal((await answer).status, 409);
  });

  test('sessions choose their tools, or none', async () => {
    const offered = async (tools: unknown) => {
      const before = double.requests.length;
      await send(parley.url, await newSession(parley.url, { tools }), 'Hello');
      const { tools: functions = [] } = double.requests[before]!.body as any;
      return functions.map((tool: any) => tool.function.name) as string[];
    };
    assert.deepEqual(await offered('none'), []);
    assert.deepEqual(await offered([]), []);
    assert.deepEqual(await offered(['away']), [], 'a server that is not there keeps nobody from an answer');
    const [all, web] = [await offered(null), await offered(['web'])];
    assert.ok(all.length > web.length && web.length > 0);
    assert.ok(web.every((name) => name.startsWith('web__')));
    const { status } = await call(parley.url, 'POST', '/sessions', { tools: 'everything' });
    assert.equal(status, 400);
  });

  test('a call that needs an approval waits for it, and is made once', async () => {
    const session = await newSession(parley.url, { tools: ['files'] });
    const path = join(directory, 'written.txt');
    const writes = { toolCalls: [asked('c1', 'files__write_file', { path, content: 'once' })] };
    double.respondOnce(writes, { text: 'It is written.' });
    const { status, body: answer } = await send(parley.url, session, 'Write');
    assert.deepEqual(
      [status, answer.status, answer.message, existsSync(path)],
      [200, 'incomplete', null, false],
    );
    const [pending] = answer.pending_approvals;
    assert.deepEqual([pending.server, pending.name], ['files', 'write_file']);

    const url = `/sessions/${session}/turns/${answer.turn_id}/approvals`;
    const decide = (approve: boolean, id = pending.approval_request_id, at = url) =>
      call(parley.url, 'POST', at, { approvals: [{ approval_request_id: id, approve }] });
    assert.equal((await decide(true, 'mcpr_of_nobody')).body.error.code, 'approval_not_found');
    const elsewhere = `/sessions/${await newSession(parley.url)}/turns/${answer.turn_id}/approvals`;
    assert.equal((await decide(true, undefined, elsewhere)).status, 404);
    const [approved, again] = await Promise.all([decide(true), decide(true)]);
    assert.equal(readFileSync(path, 'utf8'), 'once');
    for (const { status: code, body } of [approved, again, await decide(true)]) {
      assert.deepEqual([code, body.status, body.message.content], [200, 'completed', 'It is written.']);
      assert.equal(body.turn_id, approved.body.turn_id);
    }
    assert.equal((await decide(false)).body.error.code, 'idempotency_key_reused');
    assert.equal(double.requests.length, 2);
    const { body: turn } = await call(
      parley.url,
      'GET',
      `/sessions/${session}/turns/${approved.body.turn_id}`,
    );
    const made = [turn.parent_turn_id, ...turn.output.map(({ type }: any) => type)];
    assert.deepEqual(made, [answer.turn_id, 'mcp_call', 'message']);
  });

  test('a call that is denied is not made, and the model is told why', async () => {
    const session = await newSession(parley.url, { tools: ['files'] });
    const path = join(directory, 'never.txt');
    double.respondOnce(
      { toolCalls: [asked('c1', 'files__write_file', { path, content: 'never' })] },
      { text: 'Then not.' },
    );
    const { body: answer } = await send(parley.url, session, 'Write');
    const id = answer.pending_approvals[0].approval_request_id;
    const decision = { approval_request_id: id, approve: false, reason: 'It is late.' };
    const url = `${parley.url}/sessions/${session}/turns/${answer.turn_id}/approvals`;
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ approvals: [decision], stream: true }),
    });
    const types = readEvents(await response.text()).map(({ event }) => event);
    assert.deepEqual(types, [
      'turn.started',
      'tool.started',
      'tool.completed',
      'message.delta',
      'turn.completed',
    ]);
    assert.equal(existsSync(path), false);
    const last = double.last.body.messages.at(-1) as any;
    assert.deepEqual(
      [last.role, last.content],
      ['tool', 'The call was not approved, and not made. It is late.'],
    );
  });

  test('all tools are listed, and the servers that cannot be asked', async () => {
    const { status, body } = await call(parley.url, 'GET', '/tools');
    assert.equal(status, 200);
    const ids = new Set(body.data.map(({ id }: any) => id));
    assert.ok(ids.has('files.read_text_file') && ids.has('everything.get-sum'));
    assert.deepEqual(
      body.unavailable.map(({ server }: any) => server),
      ['away'],
    );
  });
});
