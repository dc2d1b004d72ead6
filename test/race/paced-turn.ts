/** A streamed turn that goes on only when the test lets it: what was sent of it so far has been heard by a client. */

import { readEvents, type StreamEvent } from '../acceptance/client.ts';
import type { ParleysWithDouble } from '../acceptance/parley-with-double.ts';

export interface PacedTurn {
  /** The path of the turn. */
  turn: string;
  /** All events, as a client heard them that was there from the start. */
  events: readonly StreamEvent[];
}

/**
 * Answers a message in a new session with these pieces of text, and resolves when the turn is over.
 * @param afterPiece called when the piece of this number, counted from 0, was heard; the next one waits for it
 */
export async function startPacedTurn(
  { url, double, newSession }: ParleysWithDouble,
  pieces: readonly string[],
  afterPiece: (index: number, turn: string) => Promise<unknown>,
): Promise<PacedTurn> {
  const sessionId = await newSession();
  const heard = createHearing();
  let sent = '';
  let count = 0;
  double.respondOnce({
    text: pieces,
    waitBetween: async () => {
      const piece = pieces[count - 1];
      count += 1;
      // Nothing is shown before the first piece, and nothing of the text follows the last one.
      if (piece === undefined) return;
      sent += piece;
      await heard.text(sent.length);
      await afterPiece(count - 2, `/sessions/${sessionId}/turns/${heard.events[0]?.data.turn_id}`);
    },
  });
  const response = await fetch(`${url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content: 'Go', stream: true }),
  });
  for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) heard.hear(part);
  const { events } = heard;
  return { turn: `/sessions/${sessionId}/turns/${events[0]?.data.turn_id}`, events };
}

/** Reads events as they arrive, and tells when so much text was among them. */
function createHearing() {
  const events: StreamEvent[] = [];
  let rest = '';
  let characters = 0;
  let waiting: { length: number; resolve: () => void } | null = null;
  return { events, hear, text };

  function hear(part: string): void {
    rest += part;
    const end = rest.lastIndexOf('\n\n') + 2;
    if (end < 2) return;
    for (const event of readEvents(rest.slice(0, end))) {
      events.push(event);
      if (event.event === 'message.delta') characters += event.data.text.length;
    }
    rest = rest.slice(end);
    if (waiting !== null && characters >= waiting.length) waiting.resolve();
  }

  function text(length: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting = { length, resolve };
    if (characters >= length) resolve();
    return promise;
  }
}
