/**
 * A client that sends what it has to say under a key, again and again, until it is acknowledged, whatever happens
 * to the server meanwhile. It writes down what it was told and judges nothing but answers that cannot be right.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { StreamEvent } from '../acceptance/client.ts';
import { type Exchange, eventsIn, exchange, type Sending } from './exchange.ts';
import type { BrokenStream, ToldAnswer, ToldCreation, ToldMessage } from './history.ts';
import type { Ledger } from './ledger.ts';
import type { Moments } from './moments.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { Life, Stronghold } from './stronghold.ts';

export interface StubbornClient {
  /** Makes the session, or asks again for the one that was made; resolves with its id. */
  create(creation: ToldCreation): Promise<string>;
  /** Sends the message, streamed or not, until it is acknowledged once more than before. */
  deliver(sessionId: string, message: ToldMessage): Promise<void>;
}

export interface ClientSurroundings {
  server: Stronghold;
  ledger: Ledger;
  moments: Moments;
  random: SeededRandom;
}

/** A client that was refused waits so long at most, as `Retry-After` would have it, only less. */
const REFUSED_PAUSE_MILLISECONDS = 100;

export function createStubbornClient({
  server,
  ledger,
  moments,
  random,
}: ClientSurroundings): StubbornClient {
  return { create, deliver };

  async function create(creation: ToldCreation): Promise<string> {
    const { key } = creation;
    const sending: Sending = {
      method: 'POST',
      path: '/sessions',
      headers: { 'idempotency-key': key },
      body: { metadata: { key } },
    };
    for (;;) {
      const { arrived, life } = await attempt(sending);
      if (!arrived.whole || (await isForgiven(arrived, life))) continue;
      if (arrived.status !== 201) throw new Error(`no session: ${arrived.status} ${arrived.text}`);
      const { id } = JSON.parse(arrived.text);
      creation.ids.push(id);
      return id;
    }
  }

  async function deliver(sessionId: string, message: ToldMessage): Promise<void> {
    const told = message.acknowledgements.length;
    while (message.acknowledgements.length === told) {
      const stream = random.chance(0.5);
      message.attempts += 1;
      moments.reached('sent');
      const sentAt = ledger.tick();
      const { arrived, life } = await attempt({
        method: 'POST',
        path: `/sessions/${sessionId}/messages`,
        headers: { 'idempotency-key': message.key },
        body: { content: message.text, stream },
      });
      const { status } = arrived;
      if (status !== null && status !== 200) {
        if (await isForgiven(arrived, life)) continue;
        ledger.surprise(`session ${sessionId}: "${message.text}" was answered ${status} ${arrived.text}`);
        return;
      }
      if (status === null) continue;
      if (stream) await heardStream(sessionId, message, sentAt, arrived, life);
      else if (arrived.whole)
        acknowledged(message, sentAt, JSON.parse(arrived.text), null, saysReplayed(arrived));
    }
  }

  /** One try at the server that is there. A connection may break only because the server was killed. */
  async function attempt(sending: Sending): Promise<{ arrived: Exchange; life: Life }> {
    const life = await server.alive();
    ledger.counts.attempts += 1;
    const arrived = await exchange(life.url, sending);
    if (!arrived.whole) ledger.counts.broken += 1;
    if (!arrived.whole && !life.over)
      ledger.surprise(`${sending.method} ${sending.path} broke off although nobody killed the server`);
    const took = life.undisturbed();
    ledger.counts.longest = Math.max(ledger.counts.longest, took);
    if (took > server.patience)
      ledger.surprise(`4: ${sending.method} ${sending.path} took ${took} ms after the last blow`);
    return { arrived, life };
  }

  /** Whether it was answered, from its head on, with an error that a blow explains; then waits a little. */
  async function isForgiven({ status, whole, text }: Exchange, life: Life): Promise<boolean> {
    if (status === null || status < 400) return false;
    // Nothing can be said of what broke off in the middle of an error.
    if (whole && !life.forgives(JSON.parse(text).error?.code)) return false;
    ledger.counts.refused += 1;
    await pause(random.integer(0, REFUSED_PAUSE_MILLISECONDS));
    return true;
  }

  async function heardStream(
    sessionId: string,
    message: ToldMessage,
    sentAt: number,
    arrived: Exchange,
    life: Life,
  ): Promise<void> {
    const events = eventsIn(arrived.text);
    // The end of a turn that could not be stored is not the turn's: what is stored may be another one.
    if (life.forgives(failureIn(events.at(-1)))) {
      ledger.counts.refused += 1;
      broke(events.slice(0, -1));
      return;
    }
    const last = events.at(-1);
    if (last?.event === 'turn.completed') {
      acknowledged(message, sentAt, last.data, events, saysReplayed(arrived));
    } else if (arrived.whole) {
      ledger.surprise(`session ${sessionId}: the stream of "${message.text}" ended with ${ending(last)}`);
    } else if (events.length > 0) {
      const broken = broke(events);
      if (random.chance(0.5)) await readOn(sessionId, message, sentAt, broken);
    }

    function broke(events: readonly StreamEvent[]): BrokenStream {
      const broken = { turnId: events[0]?.data.turn_id, events };
      if (events.length > 0) message.broken.push(broken);
      return broken;
    }
  }

  /** Asks for what follows in a stream that broke: the rest of the turn if it was committed, or why it was not. */
  async function readOn(
    sessionId: string,
    message: ToldMessage,
    sentAt: number,
    { turnId, events }: BrokenStream,
  ): Promise<void> {
    const { arrived, life } = await attempt({
      method: 'GET',
      path: `/sessions/${sessionId}/turns/${turnId}/events`,
      headers: { 'last-event-id': String(events.at(-1)?.id) },
    });
    // Nothing follows what was heard of a turn that the crash cut short of its events.
    if (arrived.status === null || arrived.status === 204 || (await isForgiven(arrived, life))) return;
    const rest = eventsIn(arrived.text);
    const last = rest.at(-1);
    if (arrived.status === 200 && last?.event === 'turn.completed') {
      ledger.counts.resumed += 1;
      acknowledged(message, sentAt, last.data, [...events, ...rest], null);
    } else if (arrived.whole && !server.failures.has(failureIn(last))) {
      ledger.surprise(
        `session ${sessionId}: turn ${turnId} was read on to ${arrived.status} ${ending(last)}`,
      );
    }
  }

  function acknowledged(
    message: ToldMessage,
    sentAt: number,
    answer: ToldAnswer,
    events: readonly StreamEvent[] | null,
    replayed: boolean | null,
  ): void {
    if (message.acknowledgements.length > 0) ledger.counts.replayed += 1;
    const at = ledger.tick();
    message.acknowledgements.push({ sentAt, at, attempt: message.attempts, answer, events, replayed });
    moments.reached('acknowledged');
  }
}

function saysReplayed({ headers }: Exchange): boolean {
  return headers.get('idempotent-replayed') === 'true';
}

/** The code of the error that the event tells of; empty if it tells of none. */
function failureIn(event: StreamEvent | undefined): string {
  return event?.data.error?.code ?? '';
}

function ending(last: StreamEvent | undefined): string {
  return last === undefined ? 'nothing' : `${last.event} ${JSON.stringify(last.data)}`;
}
