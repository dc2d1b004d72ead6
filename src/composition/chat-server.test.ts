/** What becomes of a turn whose server of the Model Context Protocol misbehaves, with a real connection to it. */

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { type McpDouble, startMcpDouble } from '../../test/mcp-double.ts';
import { chatTools } from '../../test/mcp-double-chat.ts';
import type { Run } from '../../test/mcp-double-tools.ts';
import { doubleProgram, httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { createMcpChat } from '../providers/mcp-chat.ts';
import { collect, isFailure, promptOf } from '../providers/provider.contract.ts';
import { type Provider, ProviderError, type ProviderFailure } from '../providers/provider.ts';
import { createMcpSource } from '../tools/mcp.ts';
import type { McpBounds, McpServerSettings } from '../tools/mcp-settings.ts';
import { type ToolSource, ToolSourceError, type ToolSourceFailure } from '../tools/tool-source.ts';
import { chatServer } from './chat-server.ts';

const live = () => new AbortController().signal;
const asking = (tool: string) => ({ ...promptOf('Hello'), model: tool });

function providerOn(
  t: TestContext,
  reach: McpServerSettings['reach'],
  bounds: Partial<McpBounds> = {},
  settings: Partial<McpServerSettings> = {},
): Provider {
  const source = createMcpSource({
    settings: serverSettings(reach, settings),
    version: '0.0.0',
    bounds: testBounds(bounds),
  });
  t.after(() => source.close());
  return createMcpChat({
    name: 'double',
    tool: 'chat',
    contextTokens: null,
    server: chatServer(source, (tool) => tool !== 'secret'),
    secrets: [],
  });
}

async function started(t: TestContext): Promise<McpDouble> {
  const double = await startMcpDouble('stateless');
  double.state.extraRuns = chatTools;
  t.after(() => double.close());
  return double;
}

/** Answers requests of this method in the server's place. */
function answerInstead(double: McpDouble, method: string, answer: (response: ServerResponse) => void): void {
  double.intercept = (request, response) => {
    if (request.method !== method) return false;
    answer(response);
    return true;
  };
}

describe('the failures of a source, to the failure table', () => {
  const table: Record<ToolSourceFailure, ProviderFailure> = {
    unavailable: 'unreachable',
    unauthorized: 'unauthorized',
    not_offered: 'model_not_found',
    timeout: 'timeout',
    cancelled: 'interrupted',
    refused: 'server_error',
    bad_answer: 'invalid_answer',
    interrupted: 'interrupted',
  };
  for (const [kind, expected] of Object.entries(table)) {
    it(`${kind} is ${expected}, of a list as of a call`, async () => {
      const failure = new ToolSourceError(kind as ToolSourceFailure, { source: 'double' });
      const failing = async () => {
        throw failure;
      };
      const source = { list: failing, call: failing } as unknown as ToolSource;
      const server = chatServer(source, () => true);
      for (const asked of [server.offers('chat', live()), server.call('chat', {}, live())]) {
        await assert.rejects(asked, (error) => {
          assert.ok(error instanceof ProviderError);
          assert.equal(error.clock, kind === 'timeout' ? 'connect' : undefined);
          assert.equal(error.cause, failure);
          return isFailure(expected)(error);
        });
      }
    });
  }
});

describe('a server that answers turns', () => {
  it('is away, and rests: it cannot be reached', async (t) => {
    const bounds = { restFirstMs: 60_000, restMostMs: 60_000 };
    const provider = providerOn(t, httpReach('http://127.0.0.1:9/mcp'), bounds);
    for (const _ of ['tried', 'resting']) {
      await assert.rejects(collect(provider, asking('chat')), isFailure('unreachable'));
    }
  });

  it('is a program that does not start', async (t) => {
    await assert.rejects(
      collect(providerOn(t, doubleProgram('broken')), asking('chat')),
      isFailure('unreachable'),
    );
  });

  it('never says a word: the connection is not made in time', async (t) => {
    const provider = providerOn(t, doubleProgram('silent'), { connectTimeoutMs: 300, probeTimeoutMs: 300 });
    await assert.rejects(collect(provider, asking('chat')), (error: unknown) => {
      assert.equal((error as ProviderError).clock, 'connect');
      return isFailure('timeout')(error);
    });
  });

  it('wants another key', async (t) => {
    const double = await started(t);
    double.intercept = (_, response) => {
      response.writeHead(401).end();
      return true;
    };
    const provider = providerOn(t, httpReach(double.url));
    await assert.rejects(collect(provider, asking('chat')), isFailure('unauthorized'));
  });

  const misbehaved: [string, (response: ServerResponse) => void, ProviderFailure][] = [
    [
      'answers a page',
      (one) => one.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
      'invalid_answer',
    ],
    [
      'answers no JSON',
      (one) => one.writeHead(200, { 'content-type': 'application/json' }).end('{'),
      'invalid_answer',
    ],
    ['fails with 500', (one) => one.writeHead(500).end('no'), 'server_error'],
    ['is overwhelmed, with 503', (one) => one.writeHead(503).end('later'), 'unreachable'],
    ['limits, with 429', (one) => one.writeHead(429).end('later'), 'unreachable'],
    ['breaks off', (one) => one.destroy(), 'interrupted'],
    [
      'ends its stream early',
      (one) => one.writeHead(200, { 'content-type': 'text/event-stream' }).end(': hm\n\n'),
      'interrupted',
    ],
  ];
  for (const [what, answer, kind] of misbehaved) {
    it(`${what} in a call: ${kind}`, async (t) => {
      const double = await started(t);
      const provider = providerOn(t, httpReach(double.url));
      answerInstead(double, 'tools/call', answer);
      await assert.rejects(collect(provider, asking('chat')), isFailure(kind));
      double.intercept = () => false;
      assert.equal((await collect(provider, asking('chat'))).length, 2);
    });
  }

  it('answers with an error of the protocol, with garbage, or dies of the call', async (t) => {
    const double = await started(t);
    const provider = providerOn(t, httpReach(double.url));
    await assert.rejects(collect(provider, asking('refuse')), isFailure('server_error'));
    await assert.rejects(collect(provider, asking('fail')), isFailure('invalid_answer'));
    await assert.rejects(collect(provider, asking('die')), isFailure('interrupted'));
    await assert.rejects(collect(provider, asking('structured')), isFailure('invalid_answer'));
    const program = providerOn(t, doubleProgram('garbage'));
    await assert.rejects(collect(program, asking('echo')), isFailure('invalid_answer'));
    assert.equal((await collect(provider, asking('chat'))).length, 2);
  });

  it('answers with the tools that it has, and that may answer', async (t) => {
    const double = await started(t);
    const provider = providerOn(t, httpReach(double.url), {}, { filter: { allow: ['c*'], deny: [] } });
    double.state.extraRuns = { ...chatTools, secret: chatTools.chat };
    assert.equal((await collect(provider, asking('chat'))).length, 2);
    for (const tool of ['answer', 'secret', 'chapel']) {
      await assert.rejects(collect(provider, asking(tool)), isFailure('model_not_found'));
    }
    assert.equal(double.state.runs.size, 1);
  });

  it('answers with what is at hand, which may be more than text', async (t) => {
    const double = await started(t);
    double.state.extraRuns = { nothing: () => ({ content: [] }) };
    const provider = providerOn(t, httpReach(double.url));
    assert.deepEqual(
      (await collect(provider, asking('nothing'))).map(({ type }) => type),
      ['finish'],
    );
    const [delta] = await collect(provider, asking('everything'));
    assert.match(delta?.type === 'text-delta' ? delta.text : '', /^first\n\[image: image\/png/);
  });

  it('reports progress in words, which are no part of the answer', async (t) => {
    const double = await started(t);
    const talkative: Run = async (_args, { mcpReq }) => {
      const params = { progressToken: mcpReq._meta?.progressToken ?? 0, progress: 1, message: 'thinking' };
      await mcpReq.notify({ method: 'notifications/progress', params });
      return { content: [{ type: 'text', text: 'Done.' }] };
    };
    double.state.extraRuns = { talkative };
    const events = await collect(providerOn(t, httpReach(double.url)), asking('talkative'));
    assert.deepEqual(events[0], { type: 'text-delta', text: 'Done.' });
    assert.equal(events.length, 2);
  });

  it('is told when nobody waits any more', async (t) => {
    const double = await started(t);
    const hanging = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    double.state.onEvent = (event) => (event === 'hanging' ? hanging : cancelled).resolve();
    // The clock of tools is over long before; the places of tools are none of its.
    const provider = providerOn(t, httpReach(double.url), {}, { timeoutMs: 1, maxConcurrent: 1 });
    const controller = new AbortController();
    const reason = new Error('enough');
    const pending = collect(provider, asking('hang'), controller.signal);
    pending.catch(() => undefined);
    await hanging.promise;
    assert.equal((await collect(provider, asking('chat'))).length, 2);
    controller.abort(reason);
    await assert.rejects(pending, (error) => error === reason);
    await cancelled.promise;
  });

  it('is told as well when the provider closes', async (t) => {
    const double = await started(t);
    const hanging = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<void>();
    double.state.onEvent = (event) => (event === 'hanging' ? hanging : cancelled).resolve();
    const provider = providerOn(t, httpReach(double.url));
    const pending = collect(provider, asking('hang'));
    pending.catch(() => undefined);
    await hanging.promise;
    await provider.close();
    await assert.rejects(pending, isFailure('interrupted'));
    await cancelled.promise;
  });
});
