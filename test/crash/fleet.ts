/**
 * Three servers on one store behind a balancer, and all that can happen to them: they are killed or stand still for
 * longer than their leases, the engine is killed, the links between them are cut, slow, or swallow answers.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { call } from '../acceptance/client.ts';
import { type ParleyProcess, removeParley, startParley } from '../acceptance/parley-process.ts';
import type { SharedEngine } from '../shared-engine.ts';
import { startTcpBalancer } from '../tcp-balancer.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import { type Blow, missingUsage, type ServerLife, stuckTurns } from './aftermath.ts';
import type { TurnRecord } from './history.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { Life, Stronghold } from './stronghold.ts';

export interface FleetOptions {
  engine: SharedEngine;
  /** Settings of the servers. */
  env: Record<string, string>;
  random: SeededRandom;
}

interface Replica {
  parley: ParleyProcess;
  /** Between it and the engine. */
  link: TcpProxy;
  life: ServerLife;
}

const REPLICAS = 3;
/** Longer than other tests on the same machine keep a server from renewing it. */
const LEASE_MILLISECONDS = 2000;
/**
 * After so long from the last blow a session whose server has died is free. The second is for a machine that is busy
 * with starting servers.
 */
const RECOVERY_MILLISECONDS = LEASE_MILLISECONDS + 1000;
/** A client has to hear of it as well, on a machine that is busy with other tests. */
const PATIENCE_MILLISECONDS = RECOVERY_MILLISECONDS + 1000;
/** Longer than a lease, so that who stood still comes back too late. */
const STANDSTILL_MILLISECONDS = 1.5 * LEASE_MILLISECONDS;
/** In each direction: a second for each call, and less than the two after which it is cut. */
const SLOWNESS_MILLISECONDS = 500;
/** How long a link is slow. */
const SLOW_FOR_MILLISECONDS = 1000;
/** How long an engine is away at most beside its start. */
const AWAY_MOST_MILLISECONDS = 500;

const BLOWS = [
  'server killed',
  'server killed',
  'server killed',
  'server stood still',
  'engine killed',
  'engine killed',
  'links cut',
  'links cut',
  'links slow',
  'answers lost',
  'clients cut off',
] as const;

type BlowKind = (typeof BLOWS)[number];

/** What a client may be told of a turn that was hit, or of a store that is out of reach. */
const FORGIVEN = new Set(['store_unavailable', 'server_restarted', 'turn_superseded']);
const ADMIN_TOKEN = 'admin-token';
/** Nothing keeps an engine away for as long as so many starts take. */
const START_TRIES = 5;
/** Usage is stored every second, and read until it is all there. */
const USAGE_TRIES = 20;

export async function startFleet({ engine, env, random }: FleetOptions): Promise<Stronghold> {
  const settings = {
    ...env,
    TURN_LEASE_SECONDS: String(LEASE_MILLISECONDS / 1000),
    ADMIN_TOKEN,
  };
  const blows: Blow[] = [];
  const lives: ServerLife[] = [];
  const replicas: Replica[] = [];
  let deck: BlowKind[] = [];
  // One makes the tables, the others find them.
  for (let server = 0; server < REPLICAS; server += 1) replicas.push(await startReplica(server));
  const balancer = await startTcpBalancer(() =>
    replicas.map(({ parley }) => Number(new URL(parley.url).port)),
  );
  const url = `http://127.0.0.1:${balancer.port}`;
  return { alive, strike, patience: PATIENCE_MILLISECONDS, failures: FORGIVEN, judge, suffered, close };

  async function startReplica(server: number): Promise<Replica> {
    const link = await startTcpProxy(engine.port);
    const life = newLife(server);
    const parley = await startParley({
      ...settings,
      DATABASE_URL: engine.url(link.port),
      OPENAI_MODEL: life.model,
    });
    return { parley, link, life };
  }

  /** A model of its own for each process tells which of them has run a turn. */
  function newLife(server: number): ServerLife {
    const life = { server, model: `model-of-process-${lives.length}`, killedAt: null };
    lives.push(life);
    return life;
  }

  async function alive(): Promise<Life> {
    const sentAt = Date.now();
    const isFelt = ({ passedAt }: Blow) => passedAt + RECOVERY_MILLISECONDS > sentAt;
    return {
      url,
      get over() {
        return blows.some(isFelt);
      },
      forgives: (code) => blows.some(isFelt) && FORGIVEN.has(code),
      undisturbed: () => Date.now() - Math.max(sentAt, ...blows.map(({ passedAt }) => passedAt)),
    };
  }

  /** At times one blow falls while another lasts. */
  async function strike(): Promise<void> {
    const kinds = new Set([drawn()]);
    if (random.chance(0.25)) kinds.add(drawn());
    await Promise.all([...kinds].map(deal));
  }

  /** All kinds come before one comes too often. */
  function drawn(): BlowKind {
    if (deck.length === 0) deck = random.shuffled(BLOWS);
    return deck.pop() ?? BLOWS[0];
  }

  async function deal(kind: BlowKind): Promise<void> {
    const hit = random.integer(0, REPLICAS - 1);
    const all = random.chance(0.5);
    const milliseconds = random.integer(0, AWAY_MOST_MILLISECONDS);
    const links = replicas.filter((_, server) => all || server === hit).map(({ link }) => link);
    const replica = replicas[hit]!;
    switch (kind) {
      case 'server killed': {
        // The others go on at once, but for the turns that it had.
        const blow = note(kind, hit, Date.now());
        replica.life.killedAt = blow.begunAt;
        replica.parley.process.kill('SIGKILL');
        replica.life = newLife(hit);
        replica.parley = await comeBack(replica);
        return;
      }
      case 'server stood still': {
        const blow = note(kind, hit);
        replica.parley.process.kill('SIGSTOP');
        await pause(STANDSTILL_MILLISECONDS);
        replica.parley.process.kill('SIGCONT');
        return passed(blow);
      }
      case 'engine killed': {
        const blow = note(kind, null);
        await engine.kill();
        await pause(milliseconds);
        await engine.start();
        return passed(blow);
      }
      case 'links cut': {
        note(kind, all ? null : hit, Date.now());
        for (const link of links) link.cut();
        return;
      }
      case 'links slow': {
        const blow = note(kind, all ? null : hit);
        for (const link of links) link.delay(SLOWNESS_MILLISECONDS);
        await pause(SLOW_FOR_MILLISECONDS);
        for (const link of links) link.delay(0);
        // What was sent last arrives later.
        await pause(2 * SLOWNESS_MILLISECONDS);
        return passed(blow);
      }
      case 'answers lost': {
        const blow = note(kind, all ? null : hit);
        for (const link of links) link.hold('answers');
        await pause(milliseconds);
        for (const link of links) link.cut();
        return passed(blow);
      }
      case 'clients cut off':
        note(kind, null, Date.now());
        balancer.cut();
    }
  }

  /** As whatever keeps servers running would: one that finds no engine is started again. */
  async function comeBack({ parley, life }: Replica): Promise<ParleyProcess> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await parley.restart({ OPENAI_MODEL: life.model });
      } catch (error) {
        if (tries === START_TRIES) throw error;
      }
    }
  }

  function note(kind: string, server: number | null, passedAt = Infinity): Blow {
    const blow = { kind, server, begunAt: Date.now(), passedAt };
    blows.push(blow);
    return blow;
  }

  function passed(blow: Blow): void {
    blow.passedAt = Date.now();
  }

  async function judge(turns: readonly TurnRecord[]): Promise<string[]> {
    let missing: string[] = [];
    for (let tries = 0; tries < USAGE_TRIES; tries += 1) {
      missing = missingUsage(turns, lives, blows, await countedUsage());
      if (missing.length === 0) break;
      await pause(LEASE_MILLISECONDS / 4);
    }
    return [...stuckTurns(turns, blows, RECOVERY_MILLISECONDS), ...missing];
  }

  /** Tokens by model. */
  async function countedUsage(): Promise<Map<string, number>> {
    const { status, body } = await call(url, 'GET', '/admin/usage?by=model', undefined, {
      'x-admin-token': ADMIN_TOKEN,
    });
    if (status !== 200) throw new Error(`no usage: ${status} ${JSON.stringify(body)}`);
    return new Map(
      body.data.map(({ model, input_tokens: input, output_tokens: output }: Record<string, any>) => [
        model,
        input + output,
      ]),
    );
  }

  function suffered(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { kind } of blows) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }

  async function close(): Promise<void> {
    await balancer.close();
    for (const { parley, link } of replicas) {
      parley.process.kill('SIGCONT');
      await removeParley(parley);
      await link.close();
    }
  }
}
