/** One stronghold of a campaign, with its provider, its clients, and whoever deals the blows. */

import { setTimeout as delay } from 'node:timers/promises';
import { startProviderDouble } from '../provider-double.ts';
import { answerPieces } from './answer-text.ts';
import { brokenCreations, brokenPromises } from './broken-promises.ts';
import type { ToldMessage, TurnRecord } from './history.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createMoments, MOMENTS, type Moment, type Moments } from './moments.ts';
import type { SeededRandom } from './seeded-random.ts';
import { readList, readSession } from './shown-session.ts';
import type { Stronghold } from './stronghold.ts';
import { type ClientSurroundings, createStubbornClient, type StubbornClient } from './stubborn-client.ts';

export interface SiegeReport {
  moments: Readonly<Record<Moment, number>>;
  /** The blows by their kind. */
  suffered: Readonly<Record<string, number>>;
  done: Readonly<Record<string, number>>;
  violations: readonly string[];
}

export interface SiegeOptions {
  /** Unlike that of any other siege. */
  name: string;
  blows: number;
  random: SeededRandom;
  /** Starts what is besieged, with these settings. */
  start(env: Record<string, string>): Promise<Stronghold>;
}

/** Sessions that are written to at a time, and how many write to each at once. */
const WRITERS_PER_SESSION = [1, 1, 2, 3];

/** A blow waits for at most so many of its moments, so that early and late ones of a turn are hit alike. */
const MOMENTS_MOST = 16;
/** And then for at most so long: about what a turn takes. */
const DELAY_MOST_MILLISECONDS = 10;

/** Deals so many blows while clients go on, lets them finish, and judges. */
export async function besiege({ name, blows, random, start }: SiegeOptions): Promise<SiegeReport> {
  const moments = createMoments();
  const double = await startTalkativeDouble(moments, random.branch());
  const settings = {
    OPENAI_BASE_URL: double.url,
    OPENAI_API_KEY: 'sk-double-key',
    OPENAI_MODEL: 'double-model',
    LOG_LEVEL: 'warn',
    // What the model sees is not at stake here, and short prompts leave more of the machine to blows.
    MEMORY_DEFAULT: '4',
  };
  let server: Stronghold | undefined;
  try {
    server = await start(settings);
    return await fight({ server, ledger: createLedger(name), moments, random }, blows);
  } finally {
    await server?.close();
    await double.close();
  }
}

async function fight(surroundings: ClientSurroundings, blows: number): Promise<SiegeReport> {
  const { server, ledger, moments, random } = surroundings;
  const hits = Object.fromEntries(MOMENTS.map((moment) => [moment, 0])) as Record<Moment, number>;
  const violations: string[] = [];
  let over = false;

  const writers = WRITERS_PER_SESSION.map((count) => {
    const client = createStubbornClient({ ...surroundings, random: random.branch() });
    return writeSessions(client, ledger, random.branch(), count, () => over);
  });
  const striking = strikeAll().finally(() => {
    over = true;
  });
  await Promise.all([striking, ...writers]);

  const client = createStubbornClient({ ...surroundings, random: random.branch() });
  violations.push(...(await lastWords(client, server, ledger)), ...ledger.surprises);
  // What an audit found is found again by those that follow.
  return {
    moments: hits,
    suffered: server.suffered(),
    done: deeds(ledger),
    violations: [...new Set(violations)],
  };

  async function strikeAll(): Promise<void> {
    let deck: Moment[] = [];
    for (let blow = 0; blow < blows; blow += 1) {
      // All moments come before one comes again, so that few blows hit each of them as well.
      if (deck.length === 0) deck = random.shuffled(MOMENTS);
      const moment = deck.pop() ?? MOMENTS[0];
      await moments.come(moment, random.integer(1, MOMENTS_MOST));
      await delay(random.integer(0, DELAY_MOST_MILLISECONDS));
      hits[moment] += 1;
      await server.strike(async (url) => {
        violations.push(...(await audit(url, server, ledger, random)));
      });
    }
  }
}

/** A provider that answers in several pieces with small pauses, and reports what it is at. */
async function startTalkativeDouble(moments: Moments, random: SeededRandom) {
  const double = await startProviderDouble();
  let answers = 0;
  const pause = (moment: Moment) => () => {
    moments.reached(moment);
    return delay(random.integer(0, 2));
  };
  double.respond((request) => {
    answers += 1;
    void request.ended.then(() => moments.reached('answered'));
    const question = String(request.body.messages.at(-1)?.content);
    return {
      text: answerPieces(answers, question),
      waitBefore: pause('asked'),
      waitBetween: pause('piece'),
    };
  });
  return double;
}

/** Writes to one session after another, several writers at once, until it is over; each finishes what it sends. */
async function writeSessions(
  client: StubbornClient,
  ledger: Ledger,
  random: SeededRandom,
  writers: number,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const creation = ledger.newCreation();
    const sessionId = await client.create(creation);
    ledger.addSession(sessionId);
    if (random.chance(0.5)) await client.create(creation);
    let left = random.integer(20, 200);
    await Promise.all(Array.from({ length: writers }, write));

    async function write(): Promise<void> {
      for (; left > 0 && !isOver(); left -= 1) {
        const message = ledger.newMessage(sessionId);
        // Some are so impatient that they send twice at once.
        const times = random.chance(0.1) ? 2 : 1;
        await Promise.all(Array.from({ length: times }, () => client.deliver(sessionId, message)));
        const known = acknowledged(ledger, sessionId);
        if (known.length > 0 && random.chance(0.1)) await client.deliver(sessionId, random.pick(known));
      }
    }
  }
}

/** Looks at one session of a server that has just come back, before anybody writes to it. */
async function audit(
  url: string,
  { failures }: Stronghold,
  ledger: Ledger,
  random: SeededRandom,
): Promise<string[]> {
  const sessionIds = [...ledger.sessions.keys()];
  if (sessionIds.length === 0) return [];
  const sessionId = random.pick(sessionIds);
  const told = ledger.sessions.get(sessionId) ?? [];
  const shown = await readSession(url, sessionId, streamedTurns(told.slice(-3)));
  return brokenPromises({ sessionId, told, shown, failures, final: false });
}

/** After the last blow: every session takes one more message, every key is sent once more, and all is read. */
async function lastWords(client: StubbornClient, server: Stronghold, ledger: Ledger): Promise<string[]> {
  const { url } = await server.alive();
  for (const creation of ledger.creations) await client.create(creation);
  const listed = await readList(url, '/sessions?order=asc');
  const turns: TurnRecord[] = [];
  const findings = [...ledger.sessions].map(async ([sessionId, told]) => {
    await client.deliver(sessionId, ledger.newMessage(sessionId));
    for (const message of told) await client.deliver(sessionId, message);
    const shown = await readSession(url, sessionId, streamedTurns(told));
    turns.push(...shown.turns);
    return brokenPromises({ sessionId, told, shown, failures: server.failures, final: true });
  });
  const found = (await Promise.all(findings)).flat();
  return [...brokenCreations(ledger.creations, listed), ...found, ...(await server.judge(turns))];
}

function acknowledged(ledger: Ledger, sessionId: string): ToldMessage[] {
  const told = ledger.sessions.get(sessionId) ?? [];
  return told.filter(({ acknowledgements }) => acknowledgements.length > 0);
}

function streamedTurns(told: readonly ToldMessage[]): string[] {
  return told.flatMap(({ acknowledgements, broken }) => [
    ...acknowledgements.filter(({ events }) => events !== null).map(({ answer }) => answer.turn_id),
    ...broken.map(({ turnId }) => turnId),
  ]);
}

function deeds(ledger: Ledger): Record<string, number> {
  const told = [...ledger.sessions.values()].flat();
  return {
    'sessions made': ledger.creations.length,
    'messages acknowledged': told.filter(({ acknowledgements }) => acknowledgements.length > 0).length,
    'acknowledged again by their key': ledger.counts.replayed,
    'answers streamed': told
      .flatMap(({ acknowledgements }) => acknowledgements)
      .filter(({ events }) => events !== null).length,
    'streams broken': told.reduce((sum, { broken }) => sum + broken.length, 0),
    'broken streams read on to the end': ledger.counts.resumed,
    'requests sent': ledger.counts.attempts,
    'requests broken': ledger.counts.broken,
    'requests refused': ledger.counts.refused,
    'longest wait in ms': ledger.counts.longest,
  };
}
