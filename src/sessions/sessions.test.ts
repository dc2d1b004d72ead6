/** What the service adds to the store: sessions whose time is over, keys, and who is asked next. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RequestKey } from '../conversation/request-key.ts';
import type { Session, SessionChange } from '../conversation/session.ts';
import type { CreateOutcome, SessionQuery, Store } from '../stores/store.ts';
import { createSessions } from './sessions.ts';

const OWNER = 'o';
const key = (fingerprint = 'f'): RequestKey => ({ value: 'k', fingerprint, expiresAt: Date.now() + 60_000 });

/** A store of sessions alone, in an array; everything else is not to be asked. */
function storing() {
  const sessions: Session[] = [];
  const keys = new Map<string, { fingerprint: string; sessionId: string }>();
  const changes: SessionChange[] = [];
  const unused = new Proxy({}, { get: (_, name) => assert.fail(`${String(name)} is not part of this test`) });
  const at = (id: string) => sessions.findIndex((session) => session.id === id);
  const store: Partial<Store> = {
    createSession: async (session, _turns, key): Promise<CreateOutcome> => {
      const known = key ? keys.get(key.value) : undefined;
      const found = sessions.find(({ id }) => id === known?.sessionId);
      if (known !== undefined && found !== undefined) {
        if (known.fingerprint !== key?.fingerprint) return { kind: 'key_reused' };
        return { kind: 'replay', session: found };
      }
      sessions.push(session);
      if (key) keys.set(key.value, { fingerprint: key.fingerprint, sessionId: session.id });
      return { kind: 'created' };
    },
    getSession: async (_owner, id) => sessions[at(id)] ?? null,
    readPath: async ({ sessionId }) => {
      const session = sessions[at(sessionId)];
      return session === undefined ? null : { session, path: [] };
    },
    deleteSession: async (_owner, id) => at(id) !== -1 && sessions.splice(at(id), 1).length === 1,
    updateSession: async (_owner, id, change, updatedAt) => {
      changes.push(change);
      const index = at(id);
      const session = sessions[index];
      if (session === undefined) return null;
      return (sessions[index] = { ...session, ...change, updatedAt });
    },
    listSessions: async ({ after, limit }: SessionQuery) => {
      const start = after === null ? 0 : at(after) + 1;
      return { data: sessions.slice(start, start + limit), hasMore: start + limit < sessions.length };
    },
  };
  const service = createSessions({
    store: Object.assign(Object.create(unused), store) as Store,
    memory: { defaultPlaces: 10, maxPlaces: 10 },
    checkProviders: () => undefined,
    modelOf: () => null,
  });
  /** Adds a session that has a second to live, or had. */
  const add = async (isOver: boolean) => {
    const { session } = await service.create(OWNER, { ttlSeconds: 1 });
    if (isOver) sessions[at(session.id)] = { ...session, updatedAt: session.updatedAt - 1000 };
    else sessions[at(session.id)] = { ...session, updatedAt: session.updatedAt + 3_600_000 };
    return session.id;
  };
  return { service, sessions, changes, add };
}

describe('sessions whose time is over', () => {
  it('are missing, and stay so', async () => {
    const { service, add, changes } = storing();
    const id = await add(true);
    const page = { limit: 1, after: null, order: 'asc' } as const;
    for (const asked of [
      () => service.get(OWNER, id),
      () => service.update(OWNER, id, { ttlSeconds: null }),
      () => service.delete(OWNER, id),
      () => service.fork(OWNER, id, null),
      () => service.items(OWNER, id, page),
      () => service.path(OWNER, id, undefined, 1),
      () => service.turns(OWNER, id, page),
      () => service.turn(OWNER, id, id),
    ]) {
      await assert.rejects(asked, { code: 'session_not_found' }, asked.toString());
    }
    assert.deepEqual(changes, []);
  });

  it('are left out of pages, which are filled up all the same', async () => {
    const { service, add } = storing();
    const states = [true, true, false, true, false, false, true, false, true, true];
    const ids: string[] = [];
    for (const isOver of states) ids.push(await add(isOver));
    const alive = ids.filter((_, index) => states[index] === false);
    for (const limit of [1, 2, 3, 4, 5, 20]) {
      const seen: string[] = [];
      let after: string | null = null;
      for (let hasMore = true; hasMore; ) {
        const page: Awaited<ReturnType<typeof service.list>> = await service.list({
          owner: OWNER,
          metadata: {},
          limit,
          after,
          order: 'asc',
        });
        assert.ok(page.data.length <= limit);
        if (page.hasMore) assert.equal(page.data.length, limit, 'a page before the last one is full');
        seen.push(...page.data.map(({ id }) => id));
        ({ hasMore } = page);
        after = page.data.at(-1)?.id ?? null;
      }
      assert.deepEqual(seen, alive, `limit ${limit}`);
    }
  });

  it('give up their keys', async () => {
    const { service, sessions } = storing();
    const first = await service.create(OWNER, { ttlSeconds: 1 }, key());
    sessions[0] = { ...first.session, updatedAt: first.session.updatedAt - 1000 };
    const again = await service.create(OWNER, { ttlSeconds: 1 }, key());
    assert.equal(again.replayed, false);
    assert.notEqual(again.session.id, first.session.id);
    assert.equal(sessions.length, 1);
  });
});

describe('keys', () => {
  it('give the session that was made under them, as it is now', async () => {
    const { service } = storing();
    const first = await service.create(OWNER, { title: 'a' }, key());
    assert.equal(first.replayed, false);
    const changed = await service.update(OWNER, first.session.id, { title: 'b' });
    assert.deepEqual(await service.create(OWNER, { title: 'a' }, key()), {
      session: changed,
      replayed: true,
    });
  });

  it('stand for one request', async () => {
    const { service } = storing();
    await service.create(OWNER, {}, key());
    await assert.rejects(service.create(OWNER, {}, key('other')), { code: 'idempotency_key_reused' });
  });

  it('are not needed', async () => {
    const { service, sessions } = storing();
    for (const _ of [1, 2]) assert.equal((await service.create(OWNER, {})).replayed, false);
    assert.equal(sessions.length, 2);
  });
});

describe('a change', () => {
  it('of who should answer lets the next turn choose anew; any other does not', async () => {
    const { service, changes } = storing();
    const { session } = await service.create(OWNER, {});
    for (const change of [
      { provider: 'p' },
      { model: null },
      { fallbackProviders: [] },
      { title: 't' },
      {},
    ]) {
      await service.update(OWNER, session.id, change);
    }
    assert.deepEqual(
      changes.map((change) => 'servedBy' in change && change.servedBy === null),
      [true, true, true, false, false],
    );
  });
});
