/**
 * A server of the Model Context Protocol that answers turns itself, by HTTP alone: selected, before and after other
 * providers, streamed and not.
 */

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { type McpDouble, startMcpDouble } from '../mcp-double.ts';
import { chatTools } from '../mcp-double-chat.ts';
import type { DoubleState } from '../mcp-double-tools.ts';
import { doubleProgram } from '../mcp-settings.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call, newSession, send, stream } from './client.ts';
import { createJudge } from './openapi-document.ts';
import {
  emptyDirectory,
  type ParleyProcess,
  removeParley,
  runParley,
  startParley,
  startParleyWithYaml,
} from './parley-process.ts';

const ADMIN = { 'x-admin-token': 'secret-admin' };

describe('a server that answers turns', () => {
  let mcp: McpDouble;
  let openai: ProviderDouble;
  let parley: ParleyProcess;
  before(async () => {
    [mcp, openai] = await Promise.all([startMcpDouble('stateless'), startProviderDouble()]);
    const { kind: _, ...program } = doubleProgram('chat');
    const yaml = {
      mcp_servers: [
        {
          name: 'local',
          ...program,
          chat: { tool: 'answer', context_tokens: 8000 },
          require_approval: ['model-*'],
        },
        { name: 'away', url: 'http://127.0.0.1:9/mcp', chat: {} },
      ],
      routes: { both: [{ provider: 'away' }, { provider: 'mcp' }] },
    };
    parley = await startParleyWithYaml(yaml, {
      OPENAI_BASE_URL: openai.url,
      OPENAI_API_KEY: 'none',
      MCP_SERVER_URL: mcp.url,
      MCP_API_KEY: 'key-of-mcp',
      PROVIDER_TIMEOUT_SECONDS: '2',
      ADMIN_TOKEN: ADMIN['x-admin-token'],
    });
  });
  after(async () => {
    await removeParley(parley);
    await Promise.all([mcp.close(), openai.close()]);
  });
  beforeEach(() => {
    openai.reset();
    mcp.state.extraRuns = chatTools;
  });

  const say = async (settings: object, content: string, more: object = {}) =>
    send(parley.url, await newSession(parley.url, { tools: 'none', ...settings }), content, more);
  /** Has the tool answer with this. */
  const answerWith = (chat: DoubleState['extraRuns'][string]) => {
    mcp.state.extraRuns = { ...chatTools, chat };
  };
  const targetsOf = (answer: any) => answer.attempts.map(({ provider, model }: any) => [provider, model]);

  test('is selected, remembers, and its usage is kept; it is spoken to with its key', async () => {
    for (const [provider, tool] of [
      ['mcp', 'chat'],
      ['local', 'answer'],
    ]) {
      const session = await newSession(parley.url, { provider, tools: 'none' });
      await send(parley.url, session, 'My name is Ada.');
      const { status, body } = await send(parley.url, session, 'And now?');
      assert.equal(status, 200);
      assert.deepEqual(
        [body.provider, body.provider_source, body.model, body.message.content],
        [provider, 'session', tool, 'You said: And now?'],
      );
      // The double counts the transcript: the first turn is in it.
      const transcript = [
        { role: 'user', content: 'My name is Ada.' },
        { role: 'assistant', content: 'You said: My name is Ada.' },
        { role: 'user', content: 'And now?' },
      ];
      assert.equal(body.usage.input_tokens, JSON.stringify(transcript).length);
      const { body: turn } = await call(parley.url, 'GET', `/sessions/${session}/turns/${body.turn_id}`);
      assert.deepEqual(turn.usage, body.usage);
    }
    const asked = mcp.requests.find(({ method }) => method === 'tools/call');
    assert.equal(asked?.headers.authorization, 'Bearer key-of-mcp');
  });

  test('is named by a header, and by a model, which is one of its tools', async () => {
    const session = await newSession(parley.url, { tools: 'none' });
    const { body: named } = await send(parley.url, session, 'Hi', {}, { 'x-provider': 'local' });
    assert.deepEqual([named.provider, named.provider_source, named.model], ['local', 'override', 'answer']);
    const { body: other } = await send(parley.url, session, 'Hi', { model: 'local/chat' });
    assert.deepEqual([other.provider, other.model], ['local', 'chat']);
  });

  test('streams its answer whole, whether or not somebody streams', async () => {
    const session = await newSession(parley.url, { provider: 'mcp', tools: 'none' });
    const { status, events } = await stream(parley.url, session, 'Hello');
    assert.equal(status, 200);
    assert.deepEqual(
      events.map(({ event }) => event),
      ['turn.started', 'message.delta', 'turn.completed'],
    );
    assert.equal(events[1]?.data.text, 'You said: Hello');
    assert.equal(events[2]?.data.message.content, 'You said: Hello');
  });

  test('answers with another tool that a request chooses, and is sent the other options', async () => {
    let given: unknown;
    mcp.state.extraRuns = {
      ...chatTools,
      answer: ({ options }) => {
        given = options;
        return { content: [{ type: 'text', text: 'By another.' }] };
      },
    };
    const options = { tool_name: 'answer', temperature: 0 };
    const { body } = await say({ provider: 'mcp' }, 'Hi', { options });
    assert.deepEqual(
      [body.model, body.message.content, given],
      ['answer', 'By another.', { temperature: 0 }],
    );
  });

  test('says whose fault it is when it is asked for what it has not', async () => {
    for (const toolName of ['nope', 42, '']) {
      const { status, body } = await say({ provider: 'mcp', fallback_provider: 'openai' }, 'Hi', {
        options: { tool_name: toolName },
      });
      assert.equal(status, 400);
      assert.equal(body.error.code, 'provider_rejected_request');
      assert.match(body.error.details.provider_message, /tool/);
    }
    const unapproved = await say({ provider: 'local' }, 'Hi', { options: { tool_name: 'model-1' } });
    assert.equal(unapproved.body.error.code, 'provider_rejected_request');
    const { body } = await say({ provider: 'mcp', model: 'nope', fallback_provider: 'openai' }, 'Hi');
    assert.deepEqual(targetsOf(body), [
      ['mcp', 'nope'],
      ['openai', 'gpt-5-mini'],
    ]);
    assert.equal(body.attempts[0].error.kind, 'model_not_found');
  });

  test('takes over from a model, which is not told of its options', async () => {
    const options = { tool_name: 'answer' };
    const settings = { provider: 'openai', fallback_provider: 'mcp' };
    const { body: healthy } = await say(settings, 'Hi', { options });
    assert.equal(healthy.provider, 'openai');
    assert.equal('tool_name' in openai.last.body, false);
    openai.respond({ status: 401 });
    const { body } = await say(settings, 'Hi', { options });
    assert.deepEqual(
      [body.provider, body.provider_source, body.message.content],
      ['mcp', 'fallback', 'You said: Hi'],
    );
  });

  test('is followed by a model when it fails, hangs or is away', async () => {
    const settings = { provider: 'mcp', fallback_provider: 'openai' };
    answerWith(() => ({ content: [{ type: 'text', text: 'no luck' }], isError: true }));
    const { body: failed } = await say(settings, 'Hi');
    assert.deepEqual([failed.provider, failed.message.content], ['openai', 'You said: Hi']);
    assert.equal(failed.attempts[0].error.kind, 'invalid_answer');

    const cancelled = Promise.withResolvers<void>();
    answerWith(async (_args, { mcpReq }) => {
      await new Promise((resolve) => mcpReq.signal.addEventListener('abort', resolve, { once: true }));
      cancelled.resolve();
      return { content: [] };
    });
    const { body: slow } = await say(settings, 'Hi');
    const { kind, clock } = slow.attempts[0].error;
    assert.deepEqual([slow.provider, kind, clock], ['openai', 'timeout', 'first_token']);
    await cancelled.promise;

    const { body: away } = await say({ provider: 'away', fallback_provider: 'openai' }, 'Hi');
    assert.deepEqual([away.provider, away.attempts[0].error.kind], ['openai', 'unreachable']);
    mcp.state.extraRuns = chatTools;
    await call(parley.url, 'POST', '/admin/providers/mcp/reset', {}, ADMIN);
    const { body: routed } = await say({ model: 'both' }, 'Hi');
    assert.equal(routed.provider, 'mcp');
  });

  test('answers anew where a stream broke', async () => {
    openai.respond({ text: ['Once upon ', 'a time'], finishReason: null, done: false });
    const settings = { provider: 'openai', fallback_provider: 'mcp', tools: 'none' };
    const { events } = await stream(parley.url, await newSession(parley.url, settings), 'Hi');
    const restart = events.findIndex(({ event }) => event === 'message.restart');
    assert.deepEqual(
      events.slice(restart).map(({ event, data }) => [event, data.text ?? data.provider]),
      [
        ['message.restart', undefined],
        ['message.delta', 'You said: Hi'],
        ['turn.completed', 'mcp'],
      ],
    );
  });

  test('is stopped in the middle by a request', async () => {
    const [hanging, cancelled] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    answerWith(async (_args, { mcpReq }) => {
      hanging.resolve();
      await new Promise((resolve) => mcpReq.signal.addEventListener('abort', resolve, { once: true }));
      cancelled.resolve();
      return { content: [] };
    });
    const session = await newSession(parley.url, { provider: 'mcp', tools: 'none' });
    const answer = send(parley.url, session, 'Hi');
    await hanging.promise;
    const { body: turns } = await call(parley.url, 'GET', `/sessions/${session}/turns`);
    const path = `/sessions/${session}/turns/${turns.data[0].id}/cancel`;
    assert.equal((await call(parley.url, 'POST', path, {})).body.status, 'cancelled');
    assert.equal((await answer).body.error.code, 'turn_cancelled');
    await cancelled.promise;
  });

  test('asks for tools like a model, and offers its others to models, but not the one that answers', async () => {
    const session = await newSession(parley.url, { provider: 'local', tools: ['mcp.echo', 'local'] });
    const { body } = await send(parley.url, session, 'mcp__echo {"text": "from afar"}');
    assert.equal(body.message.content, 'You said: from afar');
    const { body: turn } = await call(parley.url, 'GET', `/sessions/${session}/turns/${body.turn_id}`);
    assert.deepEqual(
      turn.output.map(({ type, name, output }: any) => [type, name, output]),
      [
        ['mcp_call', 'echo', 'from afar'],
        ['message', undefined, undefined],
      ],
    );
    const { body: tools } = await call(parley.url, 'GET', '/tools');
    const ids = new Set(tools.data.map(({ id }: any) => id));
    assert.ok(ids.has('mcp.answer') && !ids.has('mcp.chat'));
    assert.ok(ids.has('local.chat') && !ids.has('local.answer'));
  });

  test('is shown, and taken out of service and put back, as any provider is', async () => {
    const judge = createJudge((await call(parley.url, 'GET', '/openapi.json')).body);
    const answer = await call(parley.url, 'GET', '/providers');
    assert.deepEqual(judge('GET', '/providers', answer), []);
    assert.deepEqual(
      answer.body.data.map((one: any) => [one.name, one.default_model, one.models, one.context_tokens]),
      [
        ['openai', 'gpt-5-mini', ['gpt-5-mini'], null],
        ['mcp', 'chat', ['chat'], null],
        ['local', 'answer', ['answer'], 8000],
        ['away', 'chat', ['chat'], null],
      ],
    );
    const { body: ready } = await call(parley.url, 'GET', '/ready');
    assert.match(JSON.stringify(ready), /"provider":"mcp"/);
    await call(parley.url, 'POST', '/admin/providers/local/stop', {}, ADMIN);
    assert.equal((await say({ provider: 'local' }, 'Hi')).body.error.code, 'provider_out_of_service');
    await call(parley.url, 'POST', '/admin/providers/local/start', {}, ADMIN);
    assert.equal((await say({ provider: 'local' }, 'Hi')).status, 200);
    const { body: configuration } = await call(parley.url, 'GET', '/admin/config', undefined, ADMIN);
    assert.deepEqual(
      configuration.mcp_servers.map(({ name, chat }: any) => [name, chat]),
      [
        ['mcp', { tool: 'chat', context_tokens: null }],
        ['local', { tool: 'answer', context_tokens: 8000 }],
        ['away', { tool: 'chat', context_tokens: null }],
      ],
    );
  });
});

test('the server of MCP_SERVER_URL is enough, also with the protocol of before', async (t) => {
  const mcp = await startMcpDouble('sessions');
  mcp.state.extraRuns = chatTools;
  const parley = await startParley({ MCP_SERVER_URL: mcp.url, DEFAULT_PROVIDER: 'mcp' });
  t.after(async () => {
    await removeParley(parley);
    await mcp.close();
  });
  const { body } = await send(parley.url, await newSession(parley.url), 'Hello');
  assert.deepEqual(
    [body.provider, body.provider_source, body.message.content],
    ['mcp', 'default', 'You said: Hello'],
  );
});

test('a default that nothing makes a provider is told at the start', async () => {
  const { code, output } = await runParley(await emptyDirectory(), { DEFAULT_PROVIDER: 'mcp' });
  assert.equal(code, 78);
  assert.match(output, /DEFAULT_PROVIDER .*MCP_SERVER_URL would add it/);
});
