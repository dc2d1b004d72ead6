/** The checker itself: it is silent on a history that keeps every promise, and names each one that is broken. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { StreamEvent } from '../acceptance/client.ts';
import { answerPieces } from './answer-text.ts';
import { brokenCreations, brokenPromises } from './broken-promises.ts';
import type { SessionHistory, ShownMessage, ShownTurn, ToldAnswer, ToldMessage } from './history.ts';

const SESSION = 'the-session';

type Mutable<Value> = { -readonly [Field in keyof Value]: Value[Field] };

/** A history that can be spoiled, with what there is of each message at hand. */
interface Fixture {
  history: Omit<SessionHistory, 'told' | 'shown'> & {
    told: ToldMessage[];
    shown: { messages: Mutable<ShownMessage>[]; turns: ShownTurn[]; events: Map<string, StreamEvent[]> };
  };
  /** The message of this number, counted from 0. */
  told(index: number): ToldMessage;
  question(index: number): Mutable<ShownMessage>;
  answer(index: number): Mutable<ShownMessage>;
}

/**
 * Four messages, one after another: plain, streamed, one whose first turn died with the server after its stream had
 * begun, and one that was sent twice and streamed.
 */
function keptPromises(): Fixture {
  const history: Fixture['history'] = {
    sessionId: SESSION,
    told: [],
    shown: { messages: [], turns: [], events: new Map() },
    failures: new Set(['server_restarted']),
    final: true,
  };
  const told = (index: number) => history.told[index]!;
  say(0, { streamed: false });
  say(1, { streamed: true });
  history.shown.turns.push(failedTurn('turn-2-lost', 'turn-1'));
  say(2, { streamed: true });
  told(2).attempts = 2;
  told(2).acknowledgements[0]!.attempt = 2;
  told(2).broken.push({
    turnId: 'turn-2-lost',
    events: streamOf('turn-2-lost', answerTo(2, 40)).slice(0, 2),
  });
  say(3, { streamed: true });
  told(3).attempts = 2;
  told(3).acknowledgements.push({
    ...told(3).acknowledgements[0]!,
    sentAt: 99,
    at: 100,
    attempt: 2,
    replayed: true,
  });
  return {
    history,
    told,
    question: (index) => history.shown.messages[2 * index]!,
    answer: (index) => history.shown.messages[2 * index + 1]!,
  };

  function say(index: number, { streamed }: { streamed: boolean }): void {
    const text = `message ${index}`;
    const turnId = `turn-${index}`;
    const content = answerTo(index, index);
    const answer = answerOf(turnId, content);
    const events = streamOf(turnId, content);
    const acknowledgement = { attempt: 1, answer, events: streamed ? events : null, replayed: false };
    history.told.push({
      text,
      key: `key-${index}`,
      sentAt: 10 * index,
      attempts: 1,
      acknowledgements: [{ sentAt: 10 * index, at: 10 * index + 5, ...acknowledgement }],
      broken: [],
    });
    history.shown.messages.push(
      { id: `in-${index}`, turn_id: turnId, role: 'user', content: text },
      { id: `out-${turnId}`, turn_id: turnId, role: 'assistant', content },
    );
    const parent = index === 0 ? null : `turn-${index - 1}`;
    history.shown.turns.push({ id: turnId, status: 'completed', parent_turn_id: parent, error: null });
    history.shown.events.set(turnId, structuredClone(events));
  }
}

function answerTo(index: number, number: number): string {
  return answerPieces(number, `message ${index}`).join('');
}

function answerOf(turnId: string, content: string): ToldAnswer {
  const message = { id: `out-${turnId}`, role: 'assistant', content };
  return { session_id: SESSION, turn_id: turnId, message, usage: { total_tokens: 18 } };
}

function streamOf(turnId: string, content: string): StreamEvent[] {
  const half = Math.floor(content.length / 2);
  return [
    { id: 0, event: 'turn.started', data: { session_id: SESSION, turn_id: turnId } },
    { id: 1, event: 'message.delta', data: { text: content.slice(0, half) } },
    { id: 2, event: 'message.delta', data: { text: content.slice(half) } },
    { id: 3, event: 'turn.completed', data: answerOf(turnId, content) },
  ];
}

function failedTurn(id: string, parent: string, code = 'server_restarted'): ShownTurn {
  return { id, status: 'failed', parent_turn_id: parent, error: { code } };
}

/** How a promise can be broken, and what the checker has to say about it. */
const CRIMES: readonly [what: string, says: RegExp, spoil: (fixture: Fixture) => void][] = [
  [
    'an acknowledged turn is gone',
    /1: "message 3" was acknowledged and is lost/,
    ({ history }) => {
      history.shown.messages.splice(6, 2);
      history.shown.turns.pop();
    },
  ],
  [
    'an acknowledged answer is stored otherwise',
    /1: the answer to "message 0" is not there as it was told/,
    ({ answer }) => {
      answer(0).content = answerTo(0, 77);
    },
  ],
  [
    'a message is there twice',
    /1: "message 1" is there 2 times/,
    ({ history }) => {
      const again = history.shown.messages.slice(2, 4).map((message) => ({ ...message, turn_id: 'twice' }));
      history.shown.messages.push(...again);
      const turn: ShownTurn = { id: 'twice', status: 'completed', parent_turn_id: 'turn-3', error: null };
      history.shown.turns.push(turn);
    },
  ],
  [
    'a message was never acknowledged though its client did not give up',
    /1: "message 2" was never acknowledged/,
    ({ told }) => {
      told(2).acknowledgements = [];
    },
  ],
  [
    'a message is stored in another turn than was told',
    /1: "message 0" is there in another turn/,
    ({ question, answer, history }) => {
      question(0).turn_id = answer(0).turn_id = 'other';
      history.shown.turns[0] = { ...history.shown.turns[0]!, id: 'other' };
      history.shown.turns[1] = { ...history.shown.turns[1]!, parent_turn_id: 'other' };
    },
  ],
  [
    'a question has no answer',
    /2: user "message 1" is followed by user "message 2"/,
    ({ history }) => history.shown.messages.splice(3, 1),
  ],
  [
    'answers are mixed up',
    /2: "message 0" is followed by ".*message 1.*", which is no answer to it/,
    ({ answer }) => {
      [answer(0).content, answer(1).content] = [answer(1).content, answer(0).content];
    },
  ],
  [
    'a question is answered by another turn',
    /2: "message 2" and its answer are of two turns/,
    ({ answer }) => {
      answer(2).turn_id = 'turn-2-lost';
    },
  ],
  [
    'there is a message that nobody sent',
    /2: "out of nowhere" is there and nobody said it/,
    ({ question }) => {
      question(0).content = 'out of nowhere';
    },
  ],
  [
    'a failed turn left something',
    /2: turn turn-3 is failed and part of the conversation/,
    ({ history }) => {
      history.shown.turns[4] = failedTurn('turn-3', 'turn-2');
    },
  ],
  [
    'a completed turn is not in the conversation',
    /2: turn astray is completed and not part of the conversation/,
    ({ history }) => {
      const turn: ShownTurn = { id: 'astray', status: 'completed', parent_turn_id: 'turn-3', error: null };
      history.shown.turns.push(turn);
    },
  ],
  [
    'an unfinished turn still runs',
    /2: turn turn-2-lost is in_progress/,
    ({ history }) => {
      history.shown.turns[2] = { ...history.shown.turns[2]!, status: 'in_progress', error: null };
    },
  ],
  [
    'an unfinished turn failed for a wrong reason',
    /2: turn turn-2-lost failed with provider_error and not with server_restarted/,
    ({ history }) => {
      history.shown.turns[2] = failedTurn('turn-2-lost', 'turn-1', 'provider_error');
    },
  ],
  [
    'a key gave another turn',
    /3: the key of "message 3" gave another turn when it was sent again/,
    ({ told }) => {
      told(3).acknowledgements[1]!.answer = answerOf('turn-9', answerTo(3, 9));
    },
  ],
  [
    'a key gave the same turn with another answer',
    /3: the key of "message 3" gave the same turn with another answer/,
    ({ told }) => {
      const again = told(3).acknowledgements[1]!;
      again.answer = { ...again.answer, usage: { total_tokens: 19 } };
    },
  ],
  [
    'a replay was not called one',
    /3: the key of "message 3" was sent again and not called a replay/,
    ({ told }) => {
      told(3).acknowledgements[1]!.replayed = false;
    },
  ],
  [
    'two that were sent side by side were both called the first',
    /3: "message 3" was called no replay 2 times/,
    ({ told }) => {
      told(3).acknowledgements[1]!.sentAt = 31;
      told(3).acknowledgements[1]!.replayed = false;
    },
  ],
  [
    'a first answer was called a replay',
    /3: "message 0" was called a replay when it was sent for the first time/,
    ({ told }) => {
      told(0).acknowledgements[0]!.replayed = true;
    },
  ],
  [
    'two keys were told one turn',
    /3: "message 1" and "message 0" were told the same turn/,
    ({ told }) => {
      told(1).acknowledgements = told(0).acknowledgements;
    },
  ],
  [
    'two turns follow one',
    /4: turn turn-3 follows turn-1 and not turn-2/,
    ({ history }) => {
      history.shown.turns[4] = { ...history.shown.turns[4]!, parent_turn_id: 'turn-1' };
    },
  ],
  [
    'the conversation has another order than the turns',
    /4: the conversation has the turns in another order than they began/,
    ({ history }) => history.shown.messages.push(...history.shown.messages.splice(0, 2)),
  ],
  [
    'what was answered first stands behind what was sent later',
    /4: "message 0" was acknowledged before "message 3" was sent, and stands behind it/,
    ({ history }) => history.shown.messages.push(...history.shown.messages.splice(0, 2)),
  ],
  [
    'events have other numbers when they are read again',
    /5: the events of "message 1" are others/,
    ({ history }) => {
      const events = history.shown.events.get('turn-1')!;
      history.shown.events.set(
        'turn-1',
        events.map((event) => ({ ...event, id: event.id! + 1 })),
      );
    },
  ],
  [
    'a piece is cut otherwise when the events are read again',
    /5: the events of "message 3" are others/,
    ({ history }) => {
      const events = history.shown.events.get('turn-3')!;
      const text = `${events[1]!.data.text}${events[2]!.data.text}`;
      events.splice(1, 2, { id: 1, event: 'message.delta', data: { text } });
    },
  ],
  [
    'a broken stream had begun otherwise',
    /5: the stream of "message 2" that broke had begun otherwise/,
    ({ told }) => {
      told(2).broken[0] = { turnId: 'turn-2', events: streamOf('turn-2', answerTo(2, 50)).slice(0, 2) };
    },
  ],
  [
    'a cut answer was acknowledged as a whole one, and stored so',
    /6: "message 0" was told ".*", which is no whole answer to it/,
    ({ told, answer }) => {
      const content = answerTo(0, 0).slice(0, -4);
      told(0).acknowledgements[0]!.answer = answerOf('turn-0', content);
      answer(0).content = content;
    },
  ],
  [
    'a stream lacks a piece of its answer',
    /6: the stream of "message 1" does not add up to its answer/,
    ({ told }) => removeEvent(told(1), 1),
  ],
  [
    'a stream skips a number',
    /6: the events of "message 1" are numbered 0 1 3/,
    ({ told }) => removeEvent(told(1), 2),
  ],
  [
    'a stream has no beginning',
    /6: the stream of "message 1" begins with message\.delta and ends with turn\.completed/,
    ({ told }) => removeEvent(told(1), 0),
  ],
];

function removeEvent(message: ToldMessage, index: number): void {
  const acknowledgement = message.acknowledgements[0]!;
  message.acknowledgements[0] = { ...acknowledgement, events: acknowledgement.events!.toSpliced(index, 1) };
}

describe('the checker', () => {
  test('finds nothing where every promise was kept', () => {
    assert.deepEqual(brokenPromises(keptPromises().history), []);
  });

  test('takes an unacknowledged message as it finds it while clients are not done: there or not', () => {
    const { history, told } = keptPromises();
    history.final = false;
    told(3).acknowledgements = [];
    assert.deepEqual(brokenPromises(history), []);
    history.shown.messages.splice(6, 2);
    history.shown.turns.pop();
    assert.deepEqual(brokenPromises(history), []);
  });

  test('lets one of two that were sent side by side be the replay, whichever is answered first', () => {
    const { history, told } = keptPromises();
    const [first, again] = told(3).acknowledgements;
    first!.replayed = true;
    first!.attempt = 2;
    again!.replayed = false;
    again!.sentAt = first!.sentAt;
    assert.deepEqual(brokenPromises(history), []);
  });

  test('lets messages that were sent side by side stand in any order', () => {
    const { history, told } = keptPromises();
    told(0).sentAt = 1;
    told(1).sentAt = 0;
    told(1).acknowledgements[0]!.at = 4;
    assert.deepEqual(brokenPromises(history), []);
  });

  for (const [what, says, spoil] of CRIMES) {
    test(`notices when ${what}`, () => {
      const fixture = keptPromises();
      spoil(fixture);
      const findings = brokenPromises(fixture.history);
      assert.ok(
        findings.some((finding) => says.test(finding)),
        `not in ${JSON.stringify(findings, null, 2)}`,
      );
      assert.ok(findings.every((finding) => finding.startsWith(`session ${SESSION}: `)));
    });
  }

  test('notices sessions that are lost, doubled or told otherwise', () => {
    const listed = [
      { id: 'a', metadata: { key: 'one' } },
      { id: 'b', metadata: { key: 'two' } },
      { id: 'c', metadata: { key: 'two' } },
    ];
    assert.deepEqual(brokenCreations([{ key: 'one', ids: ['a', 'a'] }], listed), []);
    assert.deepEqual(brokenCreations([{ key: 'none', ids: [] }], listed), []);
    assert.deepEqual(brokenCreations([{ key: 'gone', ids: ['z'] }], listed), [
      '1: session z was acknowledged and is lost',
    ]);
    assert.deepEqual(brokenCreations([{ key: 'two', ids: ['b', 'c'] }], listed), [
      '3: the key two made 2 sessions',
      '3: the key two was told the sessions b c',
    ]);
  });
});
