/** Reads what a server shows of a session: the conversation, the turns, and the events of turns that ended. */

import { call, readEvents, type StreamEvent } from '../acceptance/client.ts';
import type { ShownSession, TurnRecord } from './history.ts';

/** @param streamed turns whose events are read, unless they failed */
export async function readSession(
  url: string,
  sessionId: string,
  streamed: readonly string[],
): Promise<ShownSession & { turns: readonly TurnRecord[] }> {
  const path = `/sessions/${sessionId}`;
  const [messages, turns] = await Promise.all([
    readList(url, `${path}/messages?order=asc`),
    readList(url, `${path}/turns?order=asc`),
  ]);
  const completed = new Set(turns.filter(({ status }) => status === 'completed').map(({ id }) => id));
  const events = new Map<string, StreamEvent[]>();
  for (const turnId of streamed)
    if (completed.has(turnId)) events.set(turnId, await readTurnEvents(url, sessionId, turnId));
  return { messages, turns, events };
}

/** All of a list, page after page. */
export async function readList(url: string, path: string): Promise<any[]> {
  const all: any[] = [];
  for (let after = ''; ; ) {
    const { status, body } = await call(url, 'GET', `${path}&limit=100${after}`);
    if (status !== 200) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`);
    all.push(...body.data);
    if (!body.has_more) return all;
    after = `&after=${body.last_id}`;
  }
}

async function readTurnEvents(url: string, sessionId: string, turnId: string): Promise<StreamEvent[]> {
  const { status, body } = await call(url, 'GET', `/sessions/${sessionId}/turns/${turnId}/events`);
  // What is no stream differs from whatever was told, and says why.
  return status === 200 ? readEvents(body) : [{ id: null, event: `status ${status}`, data: body }];
}
