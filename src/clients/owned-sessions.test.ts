import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AuditEntry } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { Session } from '../conversation/session.ts';
import { AppError } from '../errors.ts';
import { sampleSession } from '../stores/store-samples.contract.ts';
import { createOwnedSessions } from './owned-sessions.ts';

/** Sessions of one owner, `shop`, and what was done to them. */
function owned(count: number, listed: Session[] = []) {
  const sessions = new Set(Array.from({ length: count }, () => newId()));
  const all = [...sessions];
  const batches: { ids: readonly string[]; entry: AuditEntry }[] = [];
  const abandoned: string[] = [];
  let beforeBatch = async () => {};
  const rooms = createOwnedSessions({
    adminStore: {
      allSessions: () => Promise.resolve({ data: listed, hasMore: true, lastId: 'x' }),
      ownerOf: (sessionId) => Promise.resolve(sessions.has(sessionId) ? 'shop' : null),
      async deleteSessions(owner, ids, entry) {
        await beforeBatch();
        batches.push({ ids, entry });
        return owner === 'shop' ? ids.filter((id) => sessions.delete(id)) : [];
      },
    },
    async newest(owner, before, limit) {
      const left = owner === 'shop' ? [...sessions].toSorted().reverse() : [];
      const from = before === null ? left : left.filter((id) => id < before);
      return from.slice(0, limit).map((id) => ({ id }));
    },
    onDeleted: (sessionId) => abandoned.push(sessionId),
  });
  return {
    rooms,
    sessions,
    all,
    batches,
    abandoned,
    meanwhile: (work: () => Promise<void>) => {
      beforeBatch = work;
    },
  };
}

describe('the sessions of an owner', () => {
  it('are listed without those that have expired, which may leave nothing of a page', async () => {
    const stays = { ...sampleSession(), ttlSeconds: null };
    const over = { ...sampleSession(), ttlSeconds: 1, updatedAt: Date.now() - 1001 };
    const page = { limit: 2, after: null, order: 'desc' } as const;
    const { rooms } = owned(0, [stays, over]);
    assert.deepEqual(await rooms.list(page), { data: [stays], hasMore: true, lastId: 'x' });
    const { data, hasMore } = await owned(0, [over]).rooms.list(page);
    assert.deepEqual([data, hasMore], [[], true]);
  });

  it('are found with their owner, or not at all', async () => {
    const { rooms, all } = owned(1);
    assert.equal(await rooms.ownerOf(all[0]!), 'shop');
    await assert.rejects(rooms.ownerOf('x'), { code: 'session_not_found' });
  });

  it('are deleted one by one, with an entry, and their running turns told', async () => {
    const { rooms, all, batches, abandoned } = owned(2);
    await rooms.delete(all[0]!);
    assert.deepEqual([batches[0]?.ids, abandoned], [[all[0]], [all[0]]]);
    const { action, subject, details } = batches[0]!.entry;
    assert.deepEqual([action, subject, details], ['session.delete', all[0], { owner: 'shop' }]);
    await assert.rejects(rooms.delete(all[0]!), { code: 'session_not_found' });
  });

  it('are deleted all, in batches with an entry each, between which others are served', async () => {
    const { rooms, sessions, all, batches, abandoned } = owned(950);
    let served = 0;
    const serve = () => {
      served += 1;
      if (sessions.size > 0) setImmediate(serve);
    };
    setImmediate(serve);
    assert.equal(await rooms.deleteAll('shop'), 950);
    assert.equal(batches.length, 10);
    assert.ok(batches.every(({ ids }) => ids.length <= 100));
    assert.ok(served >= batches.length - 1, `${served} rounds of the event loop`);
    assert.deepEqual(abandoned.toSorted(), all.toSorted());
    assert.deepEqual(batches.flatMap(({ entry }) => entry.details['sessions'] as string[]).toSorted(), all);
    assert.ok(batches.every(({ entry }) => entry.subject === 'shop'));
  });

  it('that are made meanwhile stay', async () => {
    const { rooms, sessions, meanwhile } = owned(250);
    const made: string[] = [];
    meanwhile(async () => {
      made.push(newId());
      sessions.add(made.at(-1)!);
    });
    assert.equal(await rooms.deleteAll('shop'), 250);
    assert.deepEqual([...sessions], made);
  });

  it('that somebody else deletes meanwhile are not counted twice', async () => {
    const { rooms, sessions, meanwhile } = owned(150);
    meanwhile(async () => {
      for (const id of [...sessions].slice(-50)) sessions.delete(id);
    });
    assert.equal(await rooms.deleteAll('shop'), 100 - 50);
    assert.equal(sessions.size, 0);
  });

  it('of nobody are none', async () => {
    const { rooms, batches } = owned(3);
    assert.equal(await rooms.deleteAll('x'), 0);
    assert.equal(batches.length, 0);
  });

  it('stay deleted where the store fails before the last, and asking again deletes the rest', async () => {
    const { rooms, sessions, meanwhile, batches } = owned(250);
    meanwhile(async () => {
      if (batches.length === 1) throw new AppError('store_unavailable');
    });
    await assert.rejects(rooms.deleteAll('shop'), { code: 'store_unavailable' });
    assert.equal(sessions.size, 150);
    meanwhile(async () => undefined);
    assert.equal(await rooms.deleteAll('shop'), 150);
  });
});
