/**
 * Which promises were broken in a session that lived through crashes. Pure: it judges a history, whoever made it.
 * Each finding names the promise by its number in the design: 1 nothing acknowledged is lost, 2 a turn is all or
 * nothing, 3 a retried request is the same turn, 4 turns never interleave, 5 a turn can be read again, 6 no cut
 * answer passes for a whole one.
 */

import { isDeepStrictEqual } from 'node:util';
import type { StreamEvent } from '../acceptance/client.ts';
import { isAnswerTo } from './answer-text.ts';
import type { ListedSession, SessionHistory, ShownMessage, ToldCreation, ToldMessage } from './history.ts';

/** The findings, one sentence each; empty if all was kept. */
export function brokenPromises(history: SessionHistory): string[] {
  return [
    ...lost(history),
    ...torn(history),
    ...notTheSame(history),
    ...interleaved(history),
    ...eventsChanged(history),
    ...cutShort(history),
  ].map((finding) => `session ${history.sessionId}: ${finding}`);
}

/** The findings about the sessions themselves: each key made one session, which is listed. */
export function brokenCreations(told: readonly ToldCreation[], listed: readonly ListedSession[]): string[] {
  return told.flatMap(({ key, ids }) => {
    const [first, ...others] = ids;
    const made = listed.filter(({ metadata }) => metadata['key'] === key);
    return [
      ...(first === undefined || made.some(({ id }) => id === first)
        ? []
        : [`1: session ${first} was acknowledged and is lost`]),
      ...(made.length > 1 ? [`3: the key ${key} made ${made.length} sessions`] : []),
      ...(others.some((id) => id !== first)
        ? [`3: the key ${key} was told the sessions ${ids.join(' ')}`]
        : []),
    ];
  });
}

/** Promise 1: what was acknowledged is there, once, as it was told. */
function* lost({ told, shown, final }: SessionHistory): Generator<string> {
  for (const { text, acknowledgements } of told) {
    if (final && acknowledgements.length === 0) yield `1: "${text}" was never acknowledged`;
    const places = shown.messages.filter((message) => message.role === 'user' && message.content === text);
    if (places.length > 1) yield `1: "${text}" is there ${places.length} times`;
    const [first] = acknowledgements;
    if (first === undefined) continue;
    const { turn_id: turnId, message } = first.answer;
    if (places[0] === undefined) yield `1: "${text}" was acknowledged and is lost`;
    else if (places[0].turn_id !== turnId) yield `1: "${text}" is there in another turn than was told`;
    const answers = shown.messages.filter(({ turn_id, role }) => turn_id === turnId && role === 'assistant');
    if (!answers.some(({ id, content }) => id === message.id && content === message.content))
      yield `1: the answer to "${text}" is not there as it was told`;
  }
}

/** Promise 2: the conversation is made of whole turns, and a turn that did not end leaves nothing in it. */
function* torn({ told, shown, failures }: SessionHistory): Generator<string> {
  const { messages, turns } = shown;
  for (let index = 0; index < messages.length; index += 2)
    yield* tornPair(messages[index], messages[index + 1]);
  const texts = new Set(told.map(({ text }) => text));
  for (const { role, content } of messages)
    if (role === 'user' && !texts.has(content)) yield `2: "${content}" is there and nobody said it`;

  const present = new Set(messages.map(({ turn_id }) => turn_id));
  for (const { id, status, error } of turns) {
    const joins = status === 'completed';
    if (joins !== present.has(id)) {
      yield `2: turn ${id} is ${status} and ${joins ? 'not ' : ''}part of the conversation`;
    }
    if (status !== 'completed' && status !== 'failed') yield `2: turn ${id} is ${status}`;
    if (status === 'failed' && !failures.has(error?.code ?? ''))
      yield `2: turn ${id} failed with ${error?.code ?? 'no error'} and not with ${[...failures].join(' or ')}`;
  }
}

function* tornPair(question: ShownMessage | undefined, answer: ShownMessage | undefined): Generator<string> {
  if (question?.role !== 'user' || answer?.role !== 'assistant')
    yield `2: ${shownAs(question)} is followed by ${shownAs(answer)}`;
  else if (question.turn_id !== answer.turn_id)
    yield `2: "${question.content}" and its answer are of two turns`;
  else if (!isAnswerTo(answer.content, question.content))
    yield `2: "${question.content}" is followed by "${answer.content}", which is no answer to it`;
}

function shownAs(message: ShownMessage | undefined): string {
  return message === undefined ? 'nothing' : `${message.role} "${message.content}"`;
}

/** Promise 3: whoever sends the same key again gets the same turn, and is told so. */
function* notTheSame({ told }: SessionHistory): Generator<string> {
  const owners = new Map<string, string>();
  for (const { text, acknowledgements } of told) {
    const [first, ...others] = acknowledgements;
    if (first === undefined) continue;
    const owner = owners.get(first.answer.turn_id);
    if (owner !== undefined) yield `3: "${text}" and "${owner}" were told the same turn`;
    owners.set(first.answer.turn_id, text);
    if (first.replayed === true && first.attempt === 1)
      yield `3: "${text}" was called a replay when it was sent for the first time`;
    for (const again of others) {
      if (again.answer.turn_id !== first.answer.turn_id)
        yield `3: the key of "${text}" gave another turn when it was sent again`;
      else if (!isDeepStrictEqual(again.answer, first.answer))
        yield `3: the key of "${text}" gave the same turn with another answer`;
      if (again.replayed === false && again.sentAt > first.at)
        yield `3: the key of "${text}" was sent again and not called a replay`;
    }
    const begun = acknowledgements.filter(({ replayed }) => replayed === false).length;
    if (begun > 1) yield `3: "${text}" was called no replay ${begun} times`;
  }
}

/** Promise 4: one turn after another, and who was answered before another spoke stands before it. */
function* interleaved({ told, shown }: SessionHistory): Generator<string> {
  let head: string | null = null;
  for (const turn of shown.turns) {
    if (turn.parent_turn_id !== head)
      yield `4: turn ${turn.id} follows ${turn.parent_turn_id ?? 'nothing'} and not ${head ?? 'nothing'}`;
    if (turn.status === 'completed') head = turn.id;
  }
  const completed = shown.turns.filter(({ status }) => status === 'completed').map(({ id }) => id);
  const answered = shown.messages.filter(({ role }) => role === 'assistant').map(({ turn_id }) => turn_id);
  if (!isDeepStrictEqual(completed, answered))
    yield '4: the conversation has the turns in another order than they began';
  yield* outOfOrder(told, shown.messages);
}

function* outOfOrder(told: readonly ToldMessage[], messages: readonly ShownMessage[]): Generator<string> {
  const byText = new Map(told.map((message) => [message.text, message]));
  let latest: ToldMessage | undefined;
  for (const { role, content } of messages) {
    const message = role === 'user' ? byText.get(content) : undefined;
    if (message === undefined) continue;
    const acknowledgedAt = message.acknowledgements[0]?.at ?? Infinity;
    if (latest !== undefined && acknowledgedAt < latest.sentAt)
      yield `4: "${content}" was acknowledged before "${latest.text}" was sent, and stands behind it`;
    if (latest === undefined || message.sentAt > latest.sentAt) latest = message;
  }
}

/** Promise 5: the events of a turn are the same, with the same numbers, whenever they are read. */
function* eventsChanged({ told, shown }: SessionHistory): Generator<string> {
  for (const { text, acknowledgements, broken } of told) {
    for (const { answer, events } of acknowledgements) {
      const again = shown.events.get(answer.turn_id);
      if (events === null || again === undefined) continue;
      if (!isDeepStrictEqual(again, events))
        yield `5: the events of "${text}" are others when they are read again`;
    }
    for (const { turnId, events } of broken) {
      const again = shown.events.get(turnId);
      if (again !== undefined && !isDeepStrictEqual(again.slice(0, events.length), events))
        yield `5: the stream of "${text}" that broke had begun otherwise than its turn`;
    }
  }
}

/** Promise 6: an acknowledged answer is whole, and a stream adds up to it. */
function* cutShort({ told }: SessionHistory): Generator<string> {
  for (const { text, acknowledgements } of told) {
    for (const { answer, events } of acknowledgements) {
      const { content } = answer.message;
      if (!isAnswerTo(content, text))
        yield `6: "${text}" was told "${content}", which is no whole answer to it`;
      if (events !== null) yield* notAddingUp(text, content, events);
    }
  }
}

function* notAddingUp(text: string, content: string, events: readonly StreamEvent[]): Generator<string> {
  if (events.some(({ id }, index) => id !== index))
    yield `6: the events of "${text}" are numbered ${events.map(({ id }) => id).join(' ')}`;
  const deltas = events.filter(({ event }) => event === 'message.delta').map(({ data }) => data.text);
  if (deltas.join('') !== content) yield `6: the stream of "${text}" does not add up to its answer`;
  const kinds = [events[0]?.event, events.at(-1)?.event];
  if (!isDeepStrictEqual(kinds, ['turn.started', 'turn.completed']))
    yield `6: the stream of "${text}" begins with ${kinds[0]} and ends with ${kinds[1]}`;
}
