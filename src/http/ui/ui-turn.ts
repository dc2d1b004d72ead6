/**
 * What a request of the AI SDK's transport asks for, as a turn. The client sends its whole copy of the conversation; the
 * server has its own, and takes of it what is new.
 */

import type { Static } from 'typebox';
import { newItemId } from '../../conversation/id.ts';
import type { FunctionCallItem, Item } from '../../conversation/item.ts';
import type { Turn } from '../../conversation/turn.ts';
import type { Sessions } from '../../sessions/sessions.ts';
import { decidedCalls, undecidedCalls } from '../../turns/decided-calls.ts';
import type { TurnRequest } from '../../turns/turn-request.ts';
import { approvalsKey } from '../request-key.ts';
import {
  bringsResults,
  type ClientMessage,
  decisionItems,
  problem,
  resultItems,
  userItem,
} from './ui-input.ts';
import { MESSAGE_ID_NOTE, shownIdOf } from './ui-message.ts';
import type { UiChatRequest } from './ui-schemas.ts';
import type { UiWireOptions } from './ui-wire.ts';

type Body = Static<typeof UiChatRequest>;

/** What a turn is begun with, and the message of the client's that its answer goes into. */
export interface UiTurn extends Omit<UiWireOptions, 'before'> {
  turn: Pick<TurnRequest, 'input' | 'parentTurnId' | 'onBusy'> & { key?: TurnRequest['key'] };
}

type Place = Pick<TurnRequest, 'owner' | 'sessionId'>;

/** So far back messages are looked for that are sent or answered again, most of them in the first page. */
const SEARCHED = { pages: 50, turns: 20 };

/** More places than a model's calls, made at once, and their results take. */
const CALLS_REACH = 256;

/**
 * Throws `invalid_request` for messages in which there is nothing new, and `session_not_found` where it has to look into
 * the session.
 */
export async function uiTurn(body: Body, place: Place, sessions: Sessions): Promise<UiTurn> {
  const { messages, messageId } = body;
  const last = messages.length - 1;
  if (body.trigger === 'regenerate-message') return againTurn(body, place, sessions);
  if (messages[last]?.role === 'user') {
    const said = userItem(messages[last], last);
    const edited = typeof messageId === 'string' ? await findTurn([messageId], place, sessions) : null;
    if (edited !== null) return ownTurn([said], edited.parentId, body.on_busy);
    const answer = messages[last - 1];
    const results = answer === undefined ? [] : await resultsFor(answer, place, sessions);
    return ownTurn([...results, said], undefined, body.on_busy);
  }
  const answer = messages[last];
  if (answer?.role !== 'assistant' || !bringsResults(answer)) throw nothingNew(last);
  return continuedTurn(answer, last, body, place, sessions);
}

function ownTurn(
  input: readonly Item[],
  parentTurnId: string | null | undefined,
  onBusy: TurnRequest['onBusy'] = 'queue',
): UiTurn {
  return { turn: { input, parentTurnId, onBusy }, messageId: null, decided: [] };
}

function nothingNew(last: number) {
  return problem(
    `/messages/${last}`,
    'must be of the user, or have results or approvals of calls that wait for them',
  );
}

/** Answers a message again: one that the server does not know is answered for the first time. */
async function againTurn(body: Body, place: Place, sessions: Sessions): Promise<UiTurn> {
  const { messages, messageId } = body;
  const last = messages.findLastIndex(({ role }) => role === 'user');
  const asked = messages[last];
  const names = [messageId, asked?.id].filter((name) => typeof name === 'string');
  // Whoever wants another answer does not wait for the one that is being made.
  const onBusy = body.on_busy ?? 'interrupt';
  const known = names.length === 0 ? null : await findTurn(names, place, sessions);
  if (known !== null) return ownTurn(known.input.map(copyOf), known.parentId, onBusy);
  if (asked === undefined) throw problem('/messages', 'must have the message that is to be answered');
  return ownTurn([userItem(asked, last)], undefined, onBusy);
}

/** Under an id of its own, and known to the client as before. */
function copyOf(item: Item): Item {
  if (item.type !== 'message')
    return item.type === 'function_call_output' ? { ...item, id: newItemId('fco') } : item;
  const metadata = { ...item.metadata, [MESSAGE_ID_NOTE]: shownIdOf(item) };
  return { ...item, id: newItemId('msg'), metadata };
}

/** Goes on with an answer that waits for results, or for approvals. */
async function continuedTurn(
  answer: ClientMessage,
  index: number,
  { on_busy: onBusy = 'queue' }: Body,
  { owner, sessionId }: Place,
  sessions: Sessions,
): Promise<UiTurn> {
  const path = await sessions.path(owner, sessionId, undefined, CALLS_REACH);
  const head = path.at(-1);
  const messageId = answer.id ?? null;
  const decided = undecidedCalls(head?.output ?? []);
  const decisions = decisionItems(answer, decided);
  const results = resultItems(answer, openCalls(path));
  if (head === undefined || decisions.length + results.length === 0) throw nothingNew(index);
  if (decisions.length === 0) {
    return { turn: { input: results, parentTurnId: undefined, onBusy }, messageId, decided: [] };
  }
  decidedCalls(head.output, decisions);
  const told = decisions.map(({ approval_request_id, approve, reason }) => ({
    approval_request_id,
    approve,
    ...(reason === null ? {} : { reason }),
  }));
  const key = approvalsKey(head.id, told);
  const turn = { input: [...results, ...decisions], parentTurnId: head.id, onBusy, key };
  return { turn, messageId, decided };
}

async function resultsFor(
  answer: ClientMessage,
  { owner, sessionId }: Place,
  sessions: Sessions,
): Promise<Item[]> {
  if (answer.role !== 'assistant' || !bringsResults(answer)) return [];
  return resultItems(answer, openCalls(await sessions.path(owner, sessionId, undefined, CALLS_REACH)));
}

/** The calls that the client has to answer. */
function openCalls(path: readonly { input: readonly Item[]; output: readonly Item[] }[]): FunctionCallItem[] {
  const open = new Map<string, FunctionCallItem>();
  for (const item of path.flatMap(({ input, output }) => [...input, ...output])) {
    if (item.type === 'function_call') open.set(item.call_id, item);
    else if (item.type === 'function_call_output') open.delete(item.call_id);
  }
  return [...open.values()];
}

/**
 * The newest turn of that name, or with a message of that name in its input; null if there is none. Throws
 * `invalid_request` if that cannot be told, for the session is too long to be searched.
 */
async function findTurn(
  names: readonly string[],
  { owner, sessionId }: Place,
  sessions: Sessions,
): Promise<Turn | null> {
  let after: string | null = null;
  for (let page = 0; page < SEARCHED.pages; page += 1) {
    const query = { limit: SEARCHED.turns, after, order: 'desc' as const };
    const { data, hasMore } = await sessions.turns(owner, sessionId, query);
    const turn = data.find(({ id, input }) => names.includes(id) || input.some(isNamed));
    if (turn !== undefined) return turn;
    if (!hasMore) return null;
    after = data.at(-1)?.id ?? null;
  }
  throw problem('/messageId', `names none of the last ${SEARCHED.pages * SEARCHED.turns} turns`);

  function isNamed(item: Item): boolean {
    return item.type === 'message' && names.includes(shownIdOf(item));
  }
}
