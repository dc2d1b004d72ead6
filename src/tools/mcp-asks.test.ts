/** What servers ask for in the course of a call: who answers, and in whose name. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { startMcpDouble } from '../../test/mcp-double.ts';
import { doubleProgram, httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { createMcpSource } from './mcp.ts';
import type { McpServerSettings } from './mcp-settings.ts';
import { rejects } from './tool-source.contract.ts';
import type { AskedDuring, ServerRequests, ToolSource } from './tool-source.ts';

const ways: Record<string, (t: TestContext) => Promise<McpServerSettings['reach']>> = {
  'a program': async () => doubleProgram(),
  'a URL, stateless': async (t) => {
    const double = await startMcpDouble('stateless');
    t.after(() => double.close());
    return httpReach(double.url);
  },
  'a URL, with sessions': async (t) => {
    const double = await startMcpDouble('sessions');
    t.after(() => double.close());
    return httpReach(double.url);
  },
};

for (const [way, start] of Object.entries(ways)) {
  describe(`a server that asks, ${way}`, () => {
    const opened = async (t: TestContext, requests: ServerRequests): Promise<ToolSource> => {
      const settings = serverSettings(await start(t));
      const source = createMcpSource({ settings, version: '0.0.0', requests, bounds: testBounds() });
      // Before the server that it is connected to.
      t.after(() => source.close());
      return source;
    };

    it('is answered by whoever was made to, in the name of each of many calls', async (t) => {
      const all = Promise.withResolvers<void>();
      let asking = 0;
      const source = await opened(t, {
        async sample(params, { context }) {
          assert.deepEqual(params['messages'], [{ role: 'user', content: { type: 'text', text: 'hello?' } }]);
          asking += 1;
          if (asking === 5) all.resolve();
          // Nobody is answered before all have asked, so that each could be taken for another.
          await all.promise;
          const content = { type: 'text', text: `for ${String(context)}` };
          return { role: 'assistant', model: 'double', content };
        },
      });
      await source.list();
      const results = await Promise.all(
        [1, 2, 3, 4, 5].map((context) => source.call('sample', {}, { context })),
      );
      assert.deepEqual(
        results.map(({ text }) => (JSON.parse(text) as { content: { text: string } }).content.text),
        [1, 2, 3, 4, 5].map((context) => `for ${context}`),
      );
    });

    it('is told what was entered, declined or given up', async (t) => {
      const answers = [
        { action: 'accept' as const, content: { age: 40 } },
        { action: 'accept' as const, content: {} },
        { action: 'decline' as const },
        { action: 'cancel' as const },
      ];
      const during: AskedDuring[] = [];
      let next = 0;
      const source = await opened(t, {
        async elicit(params, asked) {
          assert.equal(params['message'], 'how old?');
          during.push(asked);
          const answer = answers[next] ?? { action: 'cancel' as const };
          next += 1;
          return { ...answer, ...('content' in answer ? { content: { ...answer.content } } : {}) };
        },
      });
      const heard: unknown[] = [];
      for (const _answer of answers)
        heard.push(JSON.parse((await source.call('elicit', {}, { context: 'turn' })).text));
      // Where nothing was entered the server's own defaults are.
      assert.deepEqual(heard, [
        answers[0],
        { action: 'accept', content: { age: 7 } },
        answers[2],
        answers[3],
      ]);
      assert.ok(during.every(({ source: name, context }) => name === 'double' && context === 'turn'));
    });

    it('is told the roots', async (t) => {
      const source = await opened(t, { roots: [{ uri: 'file:///work', name: 'work' }] });
      const { text } = await source.call('roots', {});
      assert.deepEqual(JSON.parse(text), { roots: [{ uri: 'file:///work', name: 'work' }] });
    });

    it('is refused what nobody would answer', async (t) => {
      const source = await opened(t, {});
      for (const tool of ['sample', 'elicit', 'roots']) await rejects(source.call(tool, {}), 'refused');
      assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
    });

    it('is not told why nobody could answer', async (t) => {
      const source = await opened(t, {
        async sample() {
          throw new Error('the key hunter2 has no credit');
        },
      });
      const refused = await rejects(source.call('sample', {}), 'refused');
      assert.doesNotMatch(JSON.stringify(refused), /hunter2/);
    });
  });
}
