/** The contract of `Exchange` as tests, run against every implementation. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Exchange, Notice } from './exchange.ts';

/** Gives the exchange of one more server among those of the same test; the suite closes it. */
export type OpenExchange = () => Promise<Exchange>;

/** @param open called once a test, for servers that are apart from those of other tests */
export function exchangeContract(name: string, open: (context: TestContext) => OpenExchange): void {
  const sentence = (
    text: string,
    check: (one: Exchange, two: Exchange, three: Exchange) => Promise<void>,
  ): void => {
    test(`${name}: ${text}`, async (context) => {
      const another = open(context);
      const [one, two, three] = await Promise.all([another(), another(), another()]);
      const all = [one, two, three];
      context.after(() => Promise.all(all.map((exchange) => exchange.close())));
      while (!all.every((exchange) => exchange.isConnected())) await pause(10);
      await check(one, two, three);
    });
  };

  sentence('every server has a name of its own', async (one, two, three) => {
    assert.equal(new Set([one.self, two.self, three.self]).size, 3);
  });

  sentence('a notice reaches all others, as it was told', async (one, two, three) => {
    const notices: Notice[] = [
      { kind: 'over', sessionId: 'ä \u0000 "{}" \ud83d\ude00' },
      { kind: 'events', followerId: 'f', first: 3, events: [{ type: 'message.delta', text: 'line\n' }] },
      ...Array.from({ length: 200 }, (_, index): Notice => ({ kind: 'waiting', sessionId: `${index}` })),
    ];
    const heard = [hearing(two), hearing(three)];
    const own = hearing(one);
    for (const notice of notices) one.tell(notice);
    for (const { until } of heard) assert.deepEqual(sorted(await until(notices.length)), sorted(notices));
    two.tell(LAST);
    assert.deepEqual(await own.until(1), [LAST], 'not one of its own');
  });

  sentence('a notice to one server reaches no other', async (one, two, three) => {
    const [atTwo, atThree] = [hearing(two), hearing(three)];
    one.tell({ kind: 'over', sessionId: 'for two' }, two.self);
    one.tell({ kind: 'over', sessionId: 'for nobody' }, 'a server that is not there');
    one.tell(LAST);
    assert.deepEqual(sorted(await atTwo.until(2)), sorted([{ kind: 'over', sessionId: 'for two' }, LAST]));
    assert.deepEqual(await atThree.until(1), [LAST]);
  });

  sentence('who has ended listening, or has closed, is told nothing', async (one, two, three) => {
    const [ended, going] = [hearing(two), hearing(two)];
    ended.end();
    const closed = hearing(three);
    await three.close();
    one.tell(LAST);
    await going.until(1);
    await pause(20);
    assert.deepEqual([ended.notices, closed.notices], [[], []]);
  });
}

const LAST: Notice = { kind: 'over', sessionId: 'the last' };

/** Their order is nothing to rely on. */
function sorted(notices: readonly Notice[]): string[] {
  return notices.map((notice) => JSON.stringify(notice)).sort();
}

/** What a listener hears; greetings of servers that have just been started are left out. */
function hearing(exchange: Exchange) {
  const notices: Notice[] = [];
  const end = exchange.listen((notice) => {
    if (notice.kind !== 'hello') notices.push(notice);
  });
  return { notices, end, until };

  async function until(count: number): Promise<Notice[]> {
    while (notices.length < count) await pause(5);
    return notices;
  }
}
