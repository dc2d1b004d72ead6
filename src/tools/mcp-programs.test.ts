/** What becomes of a source whose server is a program, of the program, and of what it misbehaves in. */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { doubleProgram, serverSettings, testBounds } from '../../test/mcp-settings.ts';
import { createMcpSource } from './mcp.ts';
import type { McpBounds, ProgramReach } from './mcp-settings.ts';
import { rejects } from './tool-source.contract.ts';
import type { ServerReport, ToolSource } from './tool-source.ts';

interface Bench {
  source: ToolSource;
  reports: ServerReport[];
}

function bench(t: TestContext, program: ProgramReach, bounds: Partial<McpBounds> = {}): Bench {
  const reports: ServerReport[] = [];
  const source = createMcpSource({
    settings: serverSettings(program),
    version: '0.0.0',
    bounds: testBounds(bounds),
    onReport: (report) => reports.push(report),
  });
  t.after(() => source.close());
  return { source, reports };
}

const pidOf = async (source: ToolSource) => Number((await source.call('pid', {})).text);

const told = (reports: readonly ServerReport[]) => reports.map(({ text }) => text);

describe('a program', () => {
  it('has the environment of its configuration, and nothing else', async (t) => {
    process.env['HUNTER'] = 'secret';
    t.after(() => delete process.env['HUNTER']);
    const { source } = bench(t, { ...doubleProgram(), env: { ONLY: 'this' } });
    const environment = JSON.parse((await source.call('environment', {})).text) as Record<string, string>;
    assert.deepEqual(environment, { ONLY: 'this' });
  });

  it('is started once', async (t) => {
    const { source } = bench(t, doubleProgram());
    const pids = await Promise.all([pidOf(source), pidOf(source)]);
    assert.equal(pids[0], pids[1]);
  });

  it('is started again, in the protocol of before, when the one of today makes it end', async (t) => {
    const { source } = bench(t, doubleProgram('touchy'));
    assert.deepEqual(
      (await source.list()).map(({ name }) => name),
      ['pid'],
    );
    assert.ok(isRunning(await pidOf(source)));
  });

  it('is started again after it died, and its call is not made again', async (t) => {
    const { source } = bench(t, doubleProgram());
    const first = await pidOf(source);
    await rejects(source.call('die', {}), 'interrupted', true);
    assert.notEqual(await pidOf(source), first);
  });

  it('is not started again and again when it dies each time', async (t) => {
    const { source } = bench(t, doubleProgram(), { restFirstMs: 60_000, restMostMs: 60_000 });
    await rejects(source.call('die', {}), 'interrupted', true);
    await rejects(source.call('die', {}), 'interrupted', true);
    const resting = await rejects(source.call('echo', { text: 'x' }), 'unavailable', false);
    assert.ok((resting.retryAfterMilliseconds ?? 0) > 30_000);
  });

  it('that was killed while nobody looked is started again for the call that finds out', async (t) => {
    const { source } = bench(t, doubleProgram());
    const pid = await pidOf(source);
    process.kill(pid, 'SIGKILL');
    while (isRunning(pid)) await pause(5);
    await pause(50);
    assert.notEqual(await pidOf(source), pid);
  });

  it('may print what is no message; it is reported', async (t) => {
    const { source, reports } = bench(t, doubleProgram('noisy'));
    assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
    assert.ok(told(reports).includes('listening on stdio'));
    assert.ok(told(reports).includes('ready when you are'));
    assert.ok(reports.every(({ source: name }) => name === 'double'));
  });

  it('answers with something that is no result', async (t) => {
    const { source } = bench(t, doubleProgram('garbage'));
    await rejects(source.call('echo', { text: 'x' }), 'bad_answer', true);
    assert.ok((await source.list()).length > 0);
  });

  it('answers with more than is taken, and is started again', async (t) => {
    const { source } = bench(t, doubleProgram(), { messageMaxBytes: 100_000 });
    assert.equal((await source.call('huge', { bytes: 90_000 })).text.length, 90_000);
    await rejects(source.call('huge', { bytes: 20_000_000 }), 'bad_answer', true);
    assert.equal((await source.call('echo', { text: 'x' })).text, 'x');
  });

  it('cannot be found', async (t) => {
    const { source } = bench(t, { kind: 'program', command: 'no-such-program', args: [], env: {} });
    const { cause } = await rejects(source.list(), 'unavailable', false);
    assert.match(String(cause), /ENOENT/);
  });

  it('ends at once, and what it said is reported', async (t) => {
    const { source, reports } = bench(t, doubleProgram('broken'));
    await rejects(source.list(), 'unavailable', false);
    assert.ok(told(reports).includes('cannot find my configuration'));
  });

  it('never says anything: that takes as long as connecting may', async (t) => {
    const { source } = bench(t, doubleProgram('silent'), { connectTimeoutMs: 1000, probeTimeoutMs: 100 });
    await rejects(source.list(), 'timeout', false);
  });

  it('that says nothing is not waited for any longer when its source is closed', async (t) => {
    const { source } = bench(t, doubleProgram('silent'));
    const waiting = rejects(source.list(), 'unavailable', false);
    await source.close();
    await waiting;
  });

  it('ends with its source, by itself if it does, with all that it has started', async (t) => {
    const quiet = bench(t, doubleProgram());
    const pid = await pidOf(quiet.source);
    await quiet.source.close();
    assert.ok(!isRunning(pid));

    const { command, args } = doubleProgram('stubborn');
    const quoted = [command, ...args].map((word) => `'${word}'`).join(' ');
    const shell: ProgramReach = {
      kind: 'program',
      command: '/bin/sh',
      args: ['-c', `${quoted}; true`],
      env: {},
    };
    const { source } = bench(t, shell, { programGraceMs: 100 });
    const stubborn = await pidOf(source);
    await source.close();
    // Its parent is gone, and so whoever takes orphans has to see it off.
    while (isRunning(stubborn)) await pause(5);
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
