/** What was accepted of the tools of servers, in the store: the sentences of admin-store.ts as tests. */

import assert from 'node:assert/strict';
import type { KnownTool, ToolSight } from '../conversation/known-tool.ts';
import { type Sentence, sampleEntry } from './admin-store-samples.contract.ts';

const ALL = { limit: 100, after: null, order: 'asc' } as const;

export function sampleSight(change: Partial<ToolSight> = {}): ToolSight {
  const inputSchema = { type: 'object', properties: { 'é\u0000"': { type: 'string' } }, more: [1.5, null] };
  return { fingerprint: 'f1', description: 'Reads.', inputSchema, seenAt: 1000, ...change };
}

export function sampleTool(change: Partial<KnownTool> = {}): KnownTool {
  return { server: 'files', name: 'read', accepted: sampleSight(), waiting: null, ...change };
}

export const toolTests: Sentence[] = [
  [
    'tools come back as they were given, by server and name, whatever they are called',
    async (store) => {
      const names = ['a', 'B', 'a/b', 'é', '["', 'nul\u0000', '\ud800'].sort();
      const description = 'Half \udc00 and "whole" \u0000';
      const tools = names.map((name) =>
        sampleTool({ name, accepted: sampleSight({ description, fingerprint: name }) }),
      );
      const other = sampleTool({ server: 'web', accepted: sampleSight({ description: null }) });
      await store.addKnownTools([other, ...tools.toReversed()]);
      assert.deepEqual(await store.listKnownTools(), [...tools, other]);
      // No operator has done anything.
      assert.deepEqual((await store.listAudit(ALL)).data, []);
    },
  ],
  [
    'what is known of a tool stays when it is seen again, also by many at once',
    async (store) => {
      const sights = Array.from({ length: 10 }, (_, index) => sampleSight({ fingerprint: `f${index}` }));
      await Promise.all(sights.map((accepted) => store.addKnownTools([sampleTool({ accepted })])));
      const [first] = await store.listKnownTools();
      await store.addKnownTools([sampleTool({ accepted: sampleSight({ fingerprint: 'late' }) })]);
      assert.deepEqual(await store.listKnownTools(), [first]);
      await store.addKnownTools([]);
    },
  ],
  [
    'what waits is accepted by its fingerprint alone, and once',
    async (store) => {
      await store.addKnownTools([sampleTool(), sampleTool({ name: 'write' })]);
      const [second, third] = [
        sampleSight({ fingerprint: 'f2' }),
        sampleSight({ fingerprint: 'f3', seenAt: 3 }),
      ];
      assert.equal(await store.acceptTool('files', 'read', 'f1', sampleEntry()), false, 'nothing waits');
      await store.setWaitingTool('files', 'read', second);
      await store.setWaitingTool('files', 'read', third);
      await store.setWaitingTool('files', 'nobody', third);
      assert.deepEqual(await store.listKnownTools(), [
        sampleTool({ waiting: third }),
        sampleTool({ name: 'write' }),
      ]);
      assert.equal(await store.acceptTool('files', 'read', 'f2', sampleEntry()), false);
      assert.equal(await store.acceptTool('files', 'nobody', 'f3', sampleEntry()), false);
      const entries = [sampleEntry(), sampleEntry()];
      const accepted = await Promise.all(
        entries.map((entry) => store.acceptTool('files', 'read', 'f3', entry)),
      );
      assert.deepEqual(accepted.filter(Boolean), [true]);
      assert.deepEqual((await store.listKnownTools())[0], sampleTool({ accepted: third }));
      assert.deepEqual((await store.listAudit(ALL)).data, [entries[accepted.indexOf(true)]]);
    },
  ],
  [
    'a server may come back to what was accepted; then nothing waits',
    async (store) => {
      await store.addKnownTools([sampleTool()]);
      await store.setWaitingTool('files', 'read', sampleSight({ fingerprint: 'f2' }));
      await store.setWaitingTool('files', 'read', null);
      assert.deepEqual(await store.listKnownTools(), [sampleTool()]);
      assert.equal(await store.acceptTool('files', 'read', 'f2', sampleEntry()), false);
    },
  ],
  [
    'a tool that is forgotten can be seen for the first time again',
    async (store) => {
      await store.addKnownTools([sampleTool({ waiting: sampleSight({ fingerprint: 'f2' }) })]);
      assert.equal(await store.forgetTool('files', 'read', sampleEntry()), true);
      assert.equal(await store.forgetTool('files', 'read', sampleEntry()), false);
      assert.deepEqual(await store.listKnownTools(), []);
      const again = sampleTool({ accepted: sampleSight({ fingerprint: 'f3' }) });
      await store.addKnownTools([again]);
      assert.deepEqual(await store.listKnownTools(), [again]);
      assert.equal((await store.listAudit(ALL)).data.length, 1);
    },
  ],
  [
    'a change of a tool whose entry cannot be written has not happened',
    async (store) => {
      const entry = sampleEntry();
      await store.saveAudit(entry);
      const tool = sampleTool({ waiting: sampleSight({ fingerprint: 'f2' }) });
      await store.addKnownTools([tool]);
      await assert.rejects(store.acceptTool('files', 'read', 'f2', entry));
      await assert.rejects(store.forgetTool('files', 'read', entry));
      assert.deepEqual(await store.listKnownTools(), [tool]);
    },
  ],
];
