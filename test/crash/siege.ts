/** One server of a campaign, with its provider, its clients, and whoever kills it. */

import { setTimeout as delay } from 'node:timers/promises';
import { startProviderDouble } from '../provider-double.ts';
import { answerPieces } from './answer-text.ts';
import { brokenCreations, brokenPromises } from './broken-promises.ts';
import type { ToldMessage } from './history.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createMoments, MOMENTS, type Moment, type Moments } from './moments.ts';
import { type MortalServer, startMortalServer } from './mortal-server.ts';
import type { SeededRandom } from './seeded-random.ts';
import { readList, readSession } from './shown-session.ts';
import { type ClientSurroundings, createStubbornClient, type StubbornClient } from './stubborn-client.ts';

export interface SiegeReport {
  moments: Readonly<Record<Moment, number>>;
  done: Readonly<Record<string, number>>;
  violations: readonly string[];
}

export interface SiegeOptions {
  /** Unlike that of any other siege. */
  name: string;
  kills: number;
  random: SeededRandom;
  /** Settings of the server beside those of the provider. */
  env: Record<string, string>;
}

/** Sessions that are written to at a time, and how many write to each at once. */
const WRITERS_PER_SESSION = [1, 1, 2, 3];

/** A kill waits for at most so many of its moments, so that early and late ones of a turn are hit alike. */
const MOMENTS_MOST = 16;
/** And then for at most so long: about what a turn takes. */
const DELAY_MOST_MILLISECONDS = 10;

/** Kills the server so many times under its clients, lets them finish, and judges. */
export async function besiege({ name, kills, random, env }: SiegeOptions): Promise<SiegeReport> {
  const moments = createMoments();
  const double = await startTalkativeDouble(moments, random.branch());
  const settings = {
    OPENAI_BASE_URL: double.url,
    OPENAI_API_KEY: 'sk-double-key',
    OPENAI_MODEL: 'double-model',
    LOG_LEVEL: 'warn',
    // What the model sees is not at stake here, and short prompts leave more of the machine to kills.
    MEMORY_DEFAULT: '4',
  };
  const server = await startMortalServer({ ...settings, ...env });
  const ledger = createLedger(name);
  try {
    return await fight({ server, ledger, moments, random }, kills);
  } finally {
    await server.close();
    await double.close();
  }
}

async function fight(surroundings: ClientSurroundings, kills: number): Promise<SiegeReport> {
  const { server, ledger, moments, random } = surroundings;
  const hits = Object.fromEntries(MOMENTS.map((moment) => [moment, 0])) as Record<Moment, number>;
  const violations: string[] = [];
  let over = false;

  const writers = WRITERS_PER_SESSION.map((count) => {
    const client = createStubbornClient({ ...surroundings, random: random.branch() });
    return writeSessions(client, ledger, random.branch(), count, () => over);
  });
  const killing = killAll().finally(() => {
    over = true;
  });
  await Promise.all([killing, ...writers]);

  const client = createStubbornClient({ ...surroundings, random: random.branch() });
  violations.push(...(await lastWords(client, server, ledger)), ...ledger.surprises);
  // What an audit found is found again by those that follow.
  return { moments: hits, done: deeds(ledger), violations: [...new Set(violations)] };

  async function killAll(): Promise<void> {
    for (let kill = 0; kill < kills; kill += 1) {
      const moment = random.pick(MOMENTS);
      await moments.come(moment, random.integer(1, MOMENTS_MOST));
      await delay(random.integer(0, DELAY_MOST_MILLISECONDS));
      hits[moment] += 1;
      await server.kill(async (url) => {
        violations.push(...(await audit(url, ledger, random)));
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
        await client.deliver(sessionId, ledger.newMessage(sessionId));
        const known = acknowledged(ledger, sessionId);
        if (known.length > 0 && random.chance(0.1)) await client.deliver(sessionId, random.pick(known));
      }
    }
  }
}

/** Looks at one session of a server that has just come back, before anybody writes to it. */
async function audit(url: string, ledger: Ledger, random: SeededRandom): Promise<string[]> {
  const sessionIds = [...ledger.sessions.keys()];
  if (sessionIds.length === 0) return [];
  const sessionId = random.pick(sessionIds);
  const told = ledger.sessions.get(sessionId) ?? [];
  const shown = await readSession(url, sessionId, streamedTurns(told.slice(-3)));
  return brokenPromises({ sessionId, told, shown, final: false });
}

/** After the last kill: every session takes one more message, every key is sent once more, and all is read. */
async function lastWords(client: StubbornClient, server: MortalServer, ledger: Ledger): Promise<string[]> {
  const { url } = await server.alive();
  for (const creation of ledger.creations) await client.create(creation);
  const listed = await readList(url, '/sessions?order=asc');
  const findings = [...ledger.sessions].map(async ([sessionId, told]) => {
    await client.deliver(sessionId, ledger.newMessage(sessionId));
    for (const message of told) await client.deliver(sessionId, message);
    const shown = await readSession(url, sessionId, streamedTurns(told));
    return brokenPromises({ sessionId, told, shown, final: true });
  });
  return [...brokenCreations(ledger.creations, listed), ...(await Promise.all(findings)).flat()];
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
  };
}
