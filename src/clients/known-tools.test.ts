/** What was accepted of tools, in memory and in the store: turns ask, operators accept, other servers change it. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { AppError } from '../errors.ts';
import type { AdminStore, OpenedStore } from '../stores/admin-store.ts';
import { openStore } from '../stores/open-store.ts';
import { createKnownTools, type KnownTools, type SeenTool } from './known-tools.ts';

let store: OpenedStore;
let changed: string[];
let failures: unknown[];
let full: string[];
beforeEach(async () => {
  store = await openStore('memory:');
  changed = [];
  failures = [];
  full = [];
});
afterEach(() => store.close());

function open(adminStore: AdminStore = store.admin): Promise<KnownTools> {
  return createKnownTools({
    adminStore,
    onChanged: ({ server, name }) => changed.push(`${server}.${name}`),
    onFull: (server) => full.push(server),
    onFailure: (error) => failures.push(error),
  });
}

function seen(name: string, fingerprint = 'f1'): SeenTool {
  return { server: 'files', name, fingerprint, description: fingerprint, inputSchema: { type: 'object' } };
}

/** The store, which counts how often it is asked, and fails or does not answer when it is told to. */
function watched() {
  const state = { calls: 0, fails: false, isSilent: false };
  const adminStore = new Proxy(store.admin, {
    get:
      (target, name: keyof AdminStore) =>
      (given: never, ...more: never[]) => {
        state.calls += 1;
        if (state.isSilent) return Promise.withResolvers().promise;
        if (state.fails) return Promise.reject(new AppError('store_unavailable'));
        return (target[name] as (...all: unknown[]) => unknown)(given, ...more);
      },
  });
  return { state, adminStore };
}

describe('the tools that are known', () => {
  it('are accepted as they are first seen, and asked about without the store from then on', async () => {
    const { state, adminStore } = watched();
    const tools = await open(adminStore);
    assert.deepEqual(await tools.judge([seen('read'), seen('write')]), [true, true]);
    state.calls = 0;
    assert.deepEqual(await tools.judge([seen('write'), seen('read')]), [true, true]);
    assert.equal(state.calls, 0);
    assert.deepEqual(
      (await tools.list()).map(({ name, waiting }) => [name, waiting]),
      [
        ['read', null],
        ['write', null],
      ],
    );
  });

  it('are not accepted as anything else, which is told once and kept, over restarts too', async () => {
    await (await open()).judge([seen('read'), seen('write')]);
    const tools = await open();
    assert.deepEqual(await tools.judge([seen('read', 'f2'), seen('write')]), [false, true]);
    await tools.close();
    const { state, adminStore } = watched();
    const again = await open(adminStore);
    state.calls = 0;
    assert.deepEqual(await again.judge([seen('read', 'f2')]), [false]);
    assert.deepEqual([state.calls, changed], [0, ['files.read']]);
    assert.deepEqual(await again.judge([seen('read', 'f3')]), [false]);
    await again.close();
    assert.deepEqual(changed, ['files.read', 'files.read']);
    // Back to what was accepted.
    assert.deepEqual(await again.judge([seen('read')]), [true]);
    assert.deepEqual((await again.list())[0]?.waiting, null);
  });

  it('are accepted by operators, who say what they have looked at', async () => {
    const tools = await open();
    await tools.judge([seen('read')]);
    await tools.judge([seen('read', 'f2')]);
    await assert.rejects(tools.accept('files', 'read', 'f3'), { code: 'tool_changed' });
    await assert.rejects(tools.accept('files', 'nobody', 'f2'), { code: 'tool_not_known' });
    const accepted = await tools.accept('files', 'read', 'f2');
    assert.deepEqual([accepted.accepted.description, accepted.waiting], ['f2', null]);
    assert.deepEqual(await tools.judge([seen('read', 'f2')]), [true]);
    assert.deepEqual(await tools.judge([seen('read')]), [false], 'what was accepted before');
    // Sent again, as after an answer that was lost.
    assert.equal((await tools.accept('files', 'read', 'f2')).accepted.fingerprint, 'f2');
  });

  it('are forgotten by operators, and then seen for the first time', async () => {
    const tools = await open();
    await tools.judge([seen('read')]);
    await tools.forget('files', 'read');
    await assert.rejects(tools.forget('files', 'read'), { code: 'tool_not_known' });
    assert.deepEqual(await tools.judge([seen('read', 'f2')]), [true]);
  });

  it('are the same for all servers that share the store', async () => {
    const [one, other] = [await open(), await open()];
    assert.deepEqual(await one.judge([seen('read')]), [true]);
    assert.deepEqual(await other.judge([seen('read', 'f2')]), [false], 'the other was first');
    await other.accept('files', 'read', 'f2');
    await one.reload();
    assert.deepEqual(await one.judge([seen('read', 'f2')]), [true]);
  });

  it('are stored once, however many turns see them at the same time', async () => {
    const { state, adminStore } = watched();
    const tools = await open(adminStore);
    const names = Array.from({ length: 120 }, (_, index) => `t${index}`);
    const judgeAll = (fingerprint: string) =>
      Promise.all(
        Array.from({ length: 20 }, () => tools.judge(names.map((name) => seen(name, fingerprint)))),
      );
    state.calls = 0;
    assert.ok((await judgeAll('f1')).flat().every((isAccepted) => isAccepted));
    assert.equal(state.calls, 4, 'three pieces, and what has become of them');
    state.calls = 0;
    assert.ok((await judgeAll('f2')).flat().every((isAccepted) => !isAccepted));
    await tools.close();
    assert.deepEqual([state.calls, changed.length], [names.length + 1, names.length]);
  });

  it('keep no turn waiting that sees a change', async () => {
    const { state, adminStore } = watched();
    const tools = await open(adminStore);
    await tools.judge([seen('read'), seen('write')]);
    state.isSilent = true;
    assert.deepEqual(await tools.judge([seen('read', 'f2'), seen('write')]), [false, true]);
  });

  it('are not written down as changed by a server that has not heard of their acceptance', async () => {
    const [one, other] = [await open(), await open()];
    await one.judge([seen('read')]);
    await one.judge([seen('read', 'f2')]);
    await other.reload();
    await one.judge([seen('read')]);
    await one.judge([seen('read', 'f3')]);
    await one.accept('files', 'read', 'f3');
    assert.deepEqual(await other.judge([seen('read', 'f3')]), [false], 'it has heard of nothing yet');
    const [tool] = await other.list();
    assert.deepEqual([tool?.accepted.fingerprint, tool?.waiting], ['f3', null]);
  });

  it('are 2000 of one server at most, whatever it calls them; those of others are as before', async () => {
    const tools = await open();
    const renamed = (round: string) => Array.from({ length: 1000 }, (_, index) => seen(`${round}_${index}`));
    for (const round of ['a', 'b']) assert.ok((await tools.judge(renamed(round))).every(Boolean));
    const [first] = renamed('a');
    const other = { ...seen('read'), server: 'web' };
    for (let time = 0; time < 2; time += 1) {
      assert.deepEqual(await tools.judge([seen('late'), first!, other]), [false, true, true]);
    }
    assert.deepEqual([(await tools.list()).length, full], [2001, ['files']]);
    await tools.forget('files', 'b_0');
    assert.deepEqual(await tools.judge([seen('late')]), [true]);
  });

  it('are not accepted while that cannot be stored', async () => {
    const { state, adminStore } = watched();
    const tools = await open(adminStore);
    await tools.judge([seen('read')]);
    state.fails = true;
    assert.deepEqual(await tools.judge([seen('read'), seen('write')]), [true, false]);
    await tools.judge([seen('write')]);
    assert.equal(failures.length, 1);
    state.fails = false;
    assert.deepEqual(await tools.judge([seen('read'), seen('write')]), [true, true]);
  });
});
