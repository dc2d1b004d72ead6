/** What becomes of a source whose server misbehaves, at a URL; programs have `mcp-programs.test.ts`. */

import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { type DoubleRequest, type McpDouble, startMcpDouble } from '../../test/mcp-double.ts';
import { httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { createMcpSource, type McpSourceOptions } from './mcp.ts';
import type { HttpReach, McpBounds } from './mcp-settings.ts';
import { rejects } from './tool-source.contract.ts';
import { type ServerReport, type ToolSource, ToolSourceError } from './tool-source.ts';

interface Bench {
  double: McpDouble;
  source: ToolSource;
  reports: ServerReport[];
}

interface Given extends Partial<Pick<McpSourceOptions, 'requests'>> {
  bounds?: Partial<McpBounds>;
  reach?: Partial<HttpReach>;
}

async function bench(t: TestContext, kind: 'stateless' | 'sessions', given: Given = {}): Promise<Bench> {
  const double = await startMcpDouble(kind);
  const reports: ServerReport[] = [];
  const source = createMcpSource({
    settings: serverSettings(httpReach(double.url, given.reach)),
    version: '0.0.0',
    bounds: testBounds(given.bounds),
    onReport: (report) => reports.push(report),
    ...(given.requests === undefined ? {} : { requests: given.requests }),
  });
  t.after(async () => {
    await source.close();
    await double.close();
  });
  return { double, source, reports };
}

const echo = (source: ToolSource) => source.call('echo', { text: 'x' });

/** Answers calls in the server's place. */
function answerCalls(
  double: McpDouble,
  answer: (response: ServerResponse, request: DoubleRequest) => void,
): void {
  double.intercept = (request, response) => {
    if (request.method !== 'tools/call') return false;
    answer(response, request);
    return true;
  };
}

const callsOf = (double: McpDouble) => double.requests.filter(({ method }) => method === 'tools/call').length;

for (const kind of ['stateless', 'sessions'] as const) {
  describe(`a server that misbehaves, ${kind}`, () => {
    it('dies in the middle of a call: the call is not made again', async (t) => {
      const { double, source } = await bench(t, kind);
      await source.list();
      await rejects(source.call('die', {}), 'interrupted', true);
      assert.equal(double.state.runs.get('die'), 1);
      assert.equal((await echo(source)).text, 'x');
    });

    it('ends the stream of an answer before the answer', async (t) => {
      const { double, source } = await bench(t, kind);
      await source.list();
      answerCalls(double, (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': nothing\n\n');
      });
      await rejects(echo(source), 'interrupted', true);
      assert.equal(callsOf(double), 1);
    });

    for (const [what, type, body] of [
      ['no JSON', 'application/json', '<html>'],
      ['JSON that is no message', 'application/json', '{"answer": 42}'],
      ['a page', 'text/html', '<html>'],
    ] as const) {
      it(`answers with ${what}`, async (t) => {
        const { double, source } = await bench(t, kind);
        await source.list();
        answerCalls(double, (response) => response.writeHead(200, { 'content-type': type }).end(body));
        await rejects(echo(source), 'bad_answer', true);
        double.intercept = () => false;
        assert.equal((await echo(source)).text, 'x');
      });
    }

    it('answers with something that is no result of a tool', async (t) => {
      const { double, source } = await bench(t, kind);
      await source.list();
      answerCalls(double, (response, { body }) => {
        const { id } = JSON.parse(body) as { id: number };
        const answer = { jsonrpc: '2.0', id, result: { resultType: 'complete', content: 'x' } };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
      await rejects(echo(source), 'bad_answer', true);
    });

    it('leaves out what kind of result it is', async (t) => {
      const { double, source } = await bench(t, kind);
      await source.list();
      answerCalls(double, (response, { body }) => {
        const { id } = JSON.parse(body) as { id: number };
        const answer = { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'bare' }] } };
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
      assert.equal((await echo(source)).text, 'bare');
    });

    for (const [status, failure, mayHaveRun] of [
      [500, 'refused', true],
      [503, 'unavailable', true],
      [429, 'unavailable', false],
      [401, 'unauthorized', false],
      [403, 'unauthorized', false],
      [413, 'refused', false],
    ] as const) {
      it(`answers a call with ${status}, which is made once`, async (t) => {
        const { double, source } = await bench(t, kind);
        await source.list();
        answerCalls(double, (response) => response.writeHead(status).end('no'));
        await rejects(echo(source), failure, mayHaveRun);
        assert.equal(callsOf(double), 1);
      });
    }

    it('answers with more than is taken', async (t) => {
      const { source, reports } = await bench(t, kind, { bounds: { messageMaxBytes: 100_000 } });
      assert.equal((await source.call('huge', { bytes: 90_000 })).text.length, 90_000);
      await rejects(source.call('huge', { bytes: 200_000 }), 'bad_answer', true);
      assert.ok(reports.some(({ text }) => text.includes('more than 100000 bytes')));
      assert.equal((await echo(source)).text, 'x');
    });

    it('is away for one call, which is no reason to end the others', async (t) => {
      const { double, source } = await bench(t, kind);
      const begun = Promise.withResolvers<void>();
      const abort = new AbortController();
      const running = source.call('hang', {}, { signal: abort.signal, onProgress: () => begun.resolve() });
      await begun.promise;
      answerCalls(double, (response) => response.writeHead(503).end('no'));
      await rejects(echo(source), 'unavailable', true);
      double.intercept = () => false;
      assert.equal((await echo(source)).text, 'x');
      abort.abort();
      await rejects(running, 'cancelled', true);
    });

    it('floods the log', async (t) => {
      const { source, reports } = await bench(t, kind);
      assert.equal((await source.call('flood', { count: 1000 })).text, 'done');
      const lines = reports.filter(({ text }) => text.startsWith('line ')).map(({ text }) => text);
      assert.deepEqual(
        lines,
        Array.from({ length: 1000 }, (_, index) => `line ${index}`),
      );
    });

    it('is told to stop a call, and the connection is not left open', async (t) => {
      const { double, source } = await bench(t, kind);
      const stopped = Promise.withResolvers<void>();
      const left = Promise.withResolvers<void>();
      double.state.onEvent = (event) => event === 'cancelled' && stopped.resolve();
      double.intercept = ({ method }, response) => {
        if (method === 'tools/call') response.once('close', () => left.resolve());
        return false;
      };
      const abort = new AbortController();
      const call = source.call('hang', {}, { signal: abort.signal, onProgress: () => abort.abort() });
      await rejects(call, 'cancelled', true);
      await Promise.all([stopped.promise, left.promise]);
    });

    it('changes a tool', async (t) => {
      const { double, source } = await bench(t, kind);
      const description = async () => (await source.list()).find(({ name }) => name === 'echo')?.description;
      assert.equal(await description(), 'Says what it was told.');
      await listening(double);
      double.state.description = 'Says something else.';
      double.toolsChanged();
      await until(async () => (await description()) === 'Says something else.');
    });

    it('says that it has changed all the time, and is asked now and then', async (t) => {
      const { double, source } = await bench(t, kind, { bounds: { relistPauseMs: 600_000 } });
      await source.list();
      await listening(double);
      for (let times = 0; times < 200; times += 1) double.toolsChanged();
      assert.equal((await echo(source)).text, 'x');
      assert.equal(double.state.lists, 1);
    });

    it('has a thousand tools, on many pages, and some more', async (t) => {
      const { double, source, reports } = await bench(t, kind);
      const inputSchema = { type: 'object' } as const;
      double.state.extraTools = [
        { name: 'echo', description: 'has the name of another', inputSchema },
        { name: 'long', description: 'x'.repeat(200_000), inputSchema },
        { name: 'n'.repeat(257), inputSchema },
        { name: 'half \ud83d', inputSchema },
        { name: 'deep', inputSchema: { ...inputSchema, properties: nested(300) } },
        { name: 'm'.repeat(256), inputSchema: { ...inputSchema, properties: nested(190) } },
        ...Array.from({ length: 1100 }, (_, index) => ({ name: `tool_${index}`, inputSchema })),
      ];
      double.state.pageSize = 50;
      const names = (await source.list()).map(({ name }) => name);
      assert.equal(names.length, 1000);
      assert.equal(new Set(names).size, 1000);
      assert.deepEqual(
        names.filter((name) => !/^(tool_\d+|[a-z]{3,12})$/.test(name)),
        ['m'.repeat(256)],
      );
      assert.ok(!names.includes('long') && !names.includes('deep'));
      const told = reports.map(({ text }) => text).join('\n');
      assert.match(told, /"echo" is left out: another one/);
      assert.match(told, /"long" is left out: its description/);
      assert.match(told, /"n+" is left out: its name has more than 256 characters/);
      assert.match(told, /is left out: its name has half a character/);
      assert.match(told, /"deep" is left out: its schema has more than 200 levels/);
      assert.match(told, /has more than 1000 tools/);
    });

    it('has a list without an end', async (t) => {
      const { double, source } = await bench(t, kind, { bounds: { toolsMax: 20 } });
      double.state.pageSize = 1;
      await rejects(source.list(), 'bad_answer', false);
      // Its tools can be called by whoever knows them.
      assert.equal((await echo(source)).text, 'x');
    });

    it('does not answer at first', async (t) => {
      const { double, source } = await bench(t, kind, { bounds: { connectTimeoutMs: 300 } });
      double.intercept = () => true;
      await rejects(source.list(), 'timeout', false);
      const resting = await rejects(source.list(), 'timeout', false);
      assert.ok((resting.retryAfterMilliseconds ?? 0) > 0);
      double.intercept = () => false;
      double.cut();
      await until(async () => {
        try {
          return (await source.list()).length > 0;
        } catch {
          return false;
        }
      });
    });

    it('wants a key', async (t) => {
      const { double, source } = await bench(t, kind, { reach: { apiKey: 'secret-1' } });
      let key = 'secret-1';
      double.intercept = ({ headers }, response) => {
        if (headers.authorization === `Bearer ${key}`) return false;
        response.writeHead(401, { 'www-authenticate': 'Bearer' }).end(`not ${headers.authorization}`);
        return true;
      };
      assert.equal((await echo(source)).text, 'x');
      key = 'secret-2';
      const refused = await rejects(echo(source), 'unauthorized', false);
      assert.ok(!`${refused.message} ${JSON.stringify(refused)}`.includes('secret-1'));
    });

    it('leads elsewhere', async (t) => {
      const elsewhere = await startMcpDouble('stateless');
      t.after(() => elsewhere.close());
      const { double, source } = await bench(t, kind, { reach: { apiKey: 'secret' } });
      double.intercept = (_request, response) => {
        response.writeHead(307, { location: elsewhere.url }).end();
        return true;
      };
      await rejects(source.list(), 'unavailable', false);
      assert.deepEqual(elsewhere.requests, []);
    });
  });
}

for (const status of [404, 400]) {
  it(`a session that the server has forgotten (${status}) is replaced, and the call made again`, async (t) => {
    const { double, source } = await bench(t, 'sessions');
    assert.equal((await echo(source)).text, 'x');
    double.forgetSessions(status);
    assert.equal((await echo(source)).text, 'x');
    assert.equal(double.state.runs.get('echo'), 2);
    assert.equal(double.requests.filter(({ method }) => method === 'initialize').length, 2);
  });
}

it('a call that is refused with 400 in a new session as well is not made a third time', async (t) => {
  const { double, source } = await bench(t, 'sessions');
  await source.list();
  answerCalls(double, (response) => response.writeHead(400).end('no'));
  await rejects(echo(source), 'unavailable', false);
  assert.equal(callsOf(double), 2);
});

it('a session is ended with its source', async (t) => {
  const { double, source } = await bench(t, 'sessions');
  await source.list();
  await source.close();
  assert.equal(double.requests.at(-1)?.line, 'DELETE /mcp');
});

it('a server that is gone is not asked again and again', async (t) => {
  const { double, source } = await bench(t, 'stateless', {
    bounds: { restFirstMs: 60_000, restMostMs: 60_000 },
  });
  const known = await source.list();
  await double.close();
  // At first the connections that there were may break under a call, which then may have run.
  await until(async () => {
    const error = await echo(source).catch((thrown: ToolSourceError) => thrown);
    return error instanceof ToolSourceError && error.kind === 'unavailable';
  });
  const resting = await rejects(echo(source), 'unavailable', false);
  assert.ok((resting.retryAfterMilliseconds ?? 0) > 30_000);
  // What it offers is still known.
  assert.equal(await source.list(), known);
});

it('an address of the link is not connected to', async (t) => {
  const settings = serverSettings(httpReach('http://169.254.169.254/mcp'));
  const source = createMcpSource({ settings, version: '0.0.0', bounds: testBounds() });
  t.after(() => source.close());
  const { cause } = await rejects(source.list(), 'unavailable', false);
  assert.match(
    String((cause as Error).cause ?? cause),
    /metadata of a cloud|link-local|fetch failed|probe failed/,
  );
});

/** Resolves when somebody listens for changes, with either protocol. */
async function listening(double: McpDouble): Promise<void> {
  const isListening = ({ line, method }: DoubleRequest) =>
    method === 'subscriptions/listen' || line.startsWith('GET ');
  await until(() => double.requests.some(isListening));
}

/** Resolves when the condition holds; the test's own time is the limit. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

interface Nested {
  [name: string]: Nested;
}

/** Objects in objects, so many levels. */
function nested(levels: number): Nested {
  let inner: Nested = {};
  for (let level = 0; level < levels; level += 1) inner = { a: inner };
  return inner;
}
