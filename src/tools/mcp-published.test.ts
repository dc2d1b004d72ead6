/** Against the servers that the protocol's authors publish: what they offer is in their hands, and not in ours. */

import assert from 'node:assert/strict';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  httpReach,
  nodeReach,
  publishedServer,
  serverSettings,
  testBounds,
} from '../../test/mcp-settings.ts';
import { type ListeningServer, startEverything } from '../../test/published-server.ts';
import { createMcpSource } from './mcp.ts';
import type { McpServerSettings } from './mcp-settings.ts';
import { rejects } from './tool-source.contract.ts';
import type { AskedDuring, ServerRequests, ToolProgress, ToolSource } from './tool-source.ts';

function sourceAt(reach: McpServerSettings['reach'], requests: ServerRequests = {}): ToolSource {
  const settings = serverSettings(reach, { name: 'published' });
  return createMcpSource({ settings, version: '0.0.0', requests, bounds: testBounds() });
}

const asked: AskedDuring[] = [];
const requests: ServerRequests = {
  async sample({ messages }, during) {
    asked.push(during);
    const text = `heard ${JSON.stringify(messages)}`;
    return { role: 'assistant', model: 'double', content: { type: 'text', text }, stopReason: 'endTurn' };
  },
  async elicit(_params, during) {
    asked.push(during);
    return { action: 'decline' };
  },
  roots: [{ uri: 'file:///work', name: 'work' }],
};

type Start = () => Promise<{ reach: McpServerSettings['reach']; server?: ListeningServer }>;

const ways: Record<string, Start> = {
  'as a program': async () => ({ reach: nodeReach(publishedServer('everything')) }),
  'over Streamable HTTP': async () => {
    const server = await startEverything('streamableHttp');
    return { reach: httpReach(`http://127.0.0.1:${server.port}/mcp`), server };
  },
  'over the transport of old': async () => {
    const server = await startEverything('sse');
    return { reach: httpReach(`http://127.0.0.1:${server.port}/sse`), server };
  },
};

for (const [way, start] of Object.entries(ways)) {
  describe(`server-everything ${way}`, () => {
    let source: ToolSource;
    let server: ListeningServer | undefined;

    before(async () => {
      const started = await start();
      server = started.server;
      source = sourceAt(started.reach, requests);
    });

    after(async () => {
      await source.close();
      await server?.stop();
    });

    it('is listed, with its instructions', async () => {
      const names = new Set((await source.list()).map((tool) => tool.name));
      for (const name of ['echo', 'get-tiny-image', 'trigger-sampling-request'])
        assert.ok(names.has(name), name);
      assert.match(source.instructions() ?? '', /Everything/i);
    });

    it('gives every kind of result', async () => {
      assert.equal((await source.call('echo', { message: 'hi' })).text, 'Echo: hi');
      const image = await source.call('get-tiny-image', {});
      assert.deepEqual(
        image.content.map((part) => part.type),
        ['text', 'image', 'text'],
      );
      assert.match(image.text, /\n\[image: image\/png, \d+ bytes\]\n/);
      const sum = await source.call('get-structured-content', { location: 'Chicago' });
      assert.deepEqual(sum.structured, JSON.parse(sum.text));
      const links = await source.call('get-resource-links', { count: 2 });
      assert.equal(links.content.filter((part) => part.type === 'resource_link').length, 2);
      const inside = await source.call('get-resource-reference', { resourceType: 'Blob', resourceId: 1 });
      assert.ok(inside.content.some((part) => part.type === 'resource' && 'blob' in part));
    });

    it('says what is wrong with arguments', async () => {
      const result = await source.call('get-sum', { a: 'one' });
      assert.equal(result.isError, true);
      assert.match(result.text, /validation/i);
    });

    it('reports progress, and stops when told to', async () => {
      const reports: ToolProgress[] = [];
      const quick = { duration: 0.05, steps: 5 };
      const onProgress = (report: ToolProgress) => void reports.push(report);
      const done = await source.call('trigger-long-running-operation', quick, { onProgress });
      assert.match(done.text, /completed/);
      assert.deepEqual(reports[0], { progress: 1, total: 5, message: null });
      const abort = new AbortController();
      const slow = source.call(
        'trigger-long-running-operation',
        { duration: 1000, steps: 10_000 },
        { signal: abort.signal, onProgress: () => abort.abort() },
      );
      await rejects(slow, 'cancelled', true);
      assert.equal((await source.call('echo', { message: 'still here' })).text, 'Echo: still here');
    });

    it('is answered what it asks for, in the course of the call that it asks in', async () => {
      asked.length = 0;
      const prompt = { prompt: 'What is it?', maxTokens: 10 };
      const sampled = await source.call('trigger-sampling-request', prompt, { context: 'a turn' });
      assert.match(sampled.text, /heard .*What is it\?/s);
      const elicited = await source.call('trigger-elicitation-request', {}, { context: 'another' });
      assert.match(elicited.text, /declined/i);
      assert.deepEqual(
        asked.map(({ source: name, context }) => [name, context]),
        [
          ['published', 'a turn'],
          ['published', 'another'],
        ],
      );
    });
  });
}

it('offers servers nothing that nobody would answer', async (t) => {
  const source = sourceAt(nodeReach(publishedServer('everything')));
  t.after(() => source.close());
  const names = (await source.list()).map((tool) => tool.name);
  assert.ok(names.length > 5);
  const asking = names.filter((name) => /sampling|elicitation|roots/.test(name));
  assert.deepEqual(asking, []);
});

it('finds its way back to a server that was started anew', async (t) => {
  let server = await startEverything('streamableHttp');
  const source = sourceAt(httpReach(`http://127.0.0.1:${server.port}/mcp`));
  t.after(async () => {
    await source.close();
    await server.stop();
  });
  assert.equal((await source.call('echo', { message: 'one' })).text, 'Echo: one');
  await server.stop();
  // What there was of a connection may break under the call, or be gone already.
  await assert.rejects(source.call('echo', { message: 'two' }), { name: 'ToolSourceError' });
  server = await startEverything('streamableHttp', server.port);
  // This server answers 400 for a session that it does not know.
  assert.equal((await eventually(() => source.call('echo', { message: 'three' }))).text, 'Echo: three');
});

it('reads files where server-filesystem may', async (t) => {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'parley-files-')));
  await writeFile(join(directory, 'a.txt'), 'what is inside');
  const source = sourceAt(nodeReach(publishedServer('filesystem'), [directory]));
  t.after(async () => {
    await source.close();
    await rm(directory, { recursive: true });
  });
  assert.equal(
    (await source.call('read_text_file', { path: join(directory, 'a.txt') })).text,
    'what is inside',
  );
  const outside = await source.call('read_text_file', { path: '/etc/hostname' });
  assert.equal(outside.isError, true);
  const hints = (await source.list()).find((tool) => tool.name === 'read_text_file')?.annotations;
  assert.equal(hints?.['readOnlyHint'], true);
});

it('remembers what server-memory was told', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'parley-memory-'));
  const env = { MEMORY_FILE_PATH: join(directory, 'memory.jsonl') };
  const source = sourceAt(nodeReach(publishedServer('memory'), [], env));
  t.after(async () => {
    await source.close();
    await rm(directory, { recursive: true });
  });
  const entities = [{ name: 'Parley', entityType: 'server', observations: ['holds conversations'] }];
  await source.call('create_entities', { entities });
  const { structured } = await source.call('read_graph', {});
  assert.deepEqual(structured, { entities, relations: [] });
});

/** What the call gives once the source no longer rests. */
async function eventually<Value>(call: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      const pause = (error as { retryAfterMilliseconds?: number }).retryAfterMilliseconds;
      if (pause === undefined) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
