import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AppError } from '../errors.ts';
import { createSessionQueue } from './session-queue.ts';

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('the queue of a session', () => {
  it('lets one in at a time, in the order of their coming', async () => {
    const queue = createSessionQueue(10);
    const order: string[] = [];
    const leaves = new Map<string, () => void>();
    for (const name of ['a', 'b', 'c']) {
      void queue.enter('s').then((leave) => {
        order.push(name);
        leaves.set(name, leave);
      });
    }
    await settled();
    assert.deepEqual(order, ['a']);
    leaves.get('a')?.();
    await settled();
    assert.deepEqual(order, ['a', 'b']);
    leaves.get('b')?.();
    await settled();
    assert.deepEqual(order, ['a', 'b', 'c']);
  });

  it('does not let others wait for a session that is not theirs', async () => {
    const queue = createSessionQueue(0);
    await queue.enter('s');
    await queue.enter('other');
  });

  it('refuses more than may wait, and lets in again once there is room', async () => {
    const queue = createSessionQueue(1);
    const leave = await queue.enter('s');
    const second = queue.enter('s');
    await assert.rejects(
      queue.enter('s'),
      (error) => error instanceof AppError && error.code === 'session_queue_full',
    );
    leave();
    const leaveSecond = await second;
    const third = queue.enter('s');
    leaveSecond();
    await third;
  });

  it('counts a leave once', async () => {
    const queue = createSessionQueue(2);
    const leave = await queue.enter('s');
    const second = queue.enter('s');
    const third = queue.enter('s').then(() => assert.fail('two are in'));
    leave();
    leave();
    await second;
    await settled();
    void third;
  });
});
