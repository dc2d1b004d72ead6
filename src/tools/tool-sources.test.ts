import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startMcpDouble } from '../../test/mcp-double.ts';
import { doubleProgram, httpReach, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { openToolSources, type ToolSources } from './tool-sources.ts';

const PATIENCE = { patienceMs: 20_000 };

async function listed(sources: ToolSources, patienceMs: number) {
  const { tools, missing } = await sources.list(sources.all, { patienceMs });
  return {
    names: [...new Set(tools.map(({ source }) => source.name))],
    missing: missing.map(({ source, error }) => [source.name, error.kind]),
  };
}

describe('the sources together', () => {
  it('are none without a server', async () => {
    const sources = await openToolSources({ servers: [], version: '0.0.0' });
    assert.deepEqual(sources.all, []);
    assert.deepEqual(await sources.list([], PATIENCE), { tools: [], missing: [] });
    await sources.close();
  });

  it('have names, and an order', async (t) => {
    const double = await startMcpDouble('stateless');
    const servers = ['second', 'first'].map((name) => serverSettings(httpReach(double.url), { name }));
    const sources = await openToolSources({ servers, version: '0.0.0', bounds: testBounds() });
    t.after(async () => {
      await sources.close();
      await double.close();
    });
    assert.equal(sources.get('first')?.name, 'first');
    assert.equal(sources.get('third'), undefined);
    const { tools } = await sources.list(sources.all, PATIENCE);
    const names = tools.map(({ source, tool }) => `${source.name}.${tool.name}`);
    assert.deepEqual([names[0], names.at(-1)?.split('.')[0]], ['second.echo', 'first']);
    assert.equal((await sources.list([], PATIENCE)).tools.length, 0);
  });

  it('are not kept from answering by one that never does', async (t) => {
    const double = await startMcpDouble('stateless');
    const dying = await startMcpDouble('stateless');
    const gone = dying.url;
    await dying.close();
    const servers = [
      serverSettings(doubleProgram('silent'), { name: 'silent' }),
      serverSettings(httpReach(double.url), { name: 'well' }),
      serverSettings(httpReach(gone), { name: 'dead' }),
    ];
    const bounds = testBounds({ restFirstMs: 600_000, restMostMs: 600_000 });
    const sources = await openToolSources({ servers, version: '0.0.0', bounds });
    t.after(async () => {
      await sources.close();
      await double.close();
    });
    await sources.get('well')?.list();
    assert.deepEqual(await listed(sources, 1000), {
      names: ['well'],
      missing: [
        ['silent', 'timeout'],
        ['dead', 'unavailable'],
      ],
    });
    // The dead one rests, and is asked nothing; with the silent one not chosen there is nothing to wait for.
    const chosen = sources.all.filter(({ name }) => name !== 'silent');
    const { missing } = await sources.list(chosen, { patienceMs: 600_000 });
    const [dead] = missing;
    assert.ok((dead?.error.retryAfterMilliseconds ?? 0) > 400_000);
  });

  it('are left by whoever gives up', async (t) => {
    const servers = [serverSettings(doubleProgram('silent'))];
    const sources = await openToolSources({ servers, version: '0.0.0', bounds: testBounds() });
    t.after(() => sources.close());
    const abort = new AbortController();
    const leaving = sources.list(sources.all, { patienceMs: 600_000, signal: abort.signal });
    abort.abort(new Error('left'));
    await assert.rejects(leaving, /left/);
  });

  it('are connected to when they are needed, or at once if they are eager', async (t) => {
    const double = await startMcpDouble('stateless');
    const listening = Promise.withResolvers<void>();
    double.intercept = ({ method, headers }) => {
      if (method === 'tools/list' && headers['x-name'] === 'eager') listening.resolve();
      return false;
    };
    const servers = [
      serverSettings(httpReach(double.url, { headers: { 'x-name': 'lazy' } }), { name: 'lazy' }),
      serverSettings(httpReach(double.url, { headers: { 'x-name': 'eager' } }), {
        name: 'eager',
        eager: true,
      }),
    ];
    const sources = await openToolSources({ servers, version: '0.0.0', bounds: testBounds() });
    t.after(async () => {
      await sources.close();
      await double.close();
    });
    await listening.promise;
    assert.ok(double.requests.every(({ headers }) => headers['x-name'] === 'eager'));
  });
});
