/**
 * What holds for every turn, whatever went wrong in it: the client is told what the server remembers, an answer
 * is whole, and a failure leaves the conversation as it was.
 */

import assert from 'node:assert/strict';
import { type Scene, type Told, textOf } from './stage.ts';

/**
 * Checks a turn that was answered, the first one of its session.
 * @param text what the answer must say
 */
export async function assertAnswered(scene: Scene, told: Told, text: string): Promise<void> {
  assert.equal(told.status, 200, JSON.stringify(told.body));
  assert.equal(told.body.error, undefined, JSON.stringify(told.body));
  assert.equal(told.body.message.content, text);
  if (told.events.length > 0) {
    assert.equal(textOf(told), text);
    assert.equal(told.events.at(-1)?.event, 'turn.completed');
    assertNumbered(told);
  }
  const turn = await scene.turn(told);
  assert.equal(turn.status, 'completed');
  assert.deepEqual(turn.attempts, told.body.attempts);
  const conversation = await scene.conversation();
  assert.deepEqual(
    conversation.map(({ role }) => role),
    ['user', 'assistant'],
  );
  assert.deepEqual(conversation[1], told.body.message);
}

/**
 * Checks a turn that failed, in a session that had none before.
 * @param output the text that the turn's record keeps
 */
export async function assertFailed(
  scene: Scene,
  told: Told,
  expected: { status: number; code: string; output?: string },
): Promise<void> {
  const { status, code, output = '' } = expected;
  assert.equal(told.body.error?.code, code, JSON.stringify(told.body));
  assert.equal(told.status, status);
  if (told.events.length > 0) {
    assert.equal(told.events.at(-1)?.event, 'turn.failed');
    assert.equal(textOf(told), output);
    assertNumbered(told);
  }
  const turn = await scene.turn(told);
  assert.equal(turn.status, 'failed');
  assert.equal(turn.error.code, code);
  assert.deepEqual(turn.attempts, told.body.error.details.attempts);
  assert.equal(outputText(turn), output);
  assert.deepEqual(await scene.conversation(), []);
}

/** The text that a turn's record keeps. */
export function outputText(turn: any): string {
  const messages: any[] = turn.output.filter(({ type }: any) => type === 'message');
  return messages.flatMap(({ content }) => content.map(({ text }: any) => text)).join('');
}

function assertNumbered({ events }: Told): void {
  assert.deepEqual(
    events.map(({ id }) => id),
    events.map((_, index) => index),
  );
}
