/**
 * `npm run bench:scaling -- --store sqlite|redis|postgres --sessions 1000,10000`: what a turn costs in a store of so many
 * sessions, as processor time of the server's own process and of its engine's. Each number of sessions has a store, an
 * engine and a server of its own, and they are measured in turn, round by round, so that all of them meet the same moods
 * of the machine. Prints tables and asserts nothing; docs/scaling.md says what came out.
 *
 * Options: --turns N (of each session), --requests N (turns of a round), --rounds N, --starts N (of each server; the
 * middle one counts), --idle N (seconds of doing nothing that are measured, twice; 0 leaves it out), --seed N, --sources
 * (serves the sources, not what was built).
 */

import { parseArgs } from 'node:util';
import { createSeededRandom } from '../test/crash/seeded-random.ts';
import { type Conversation, fillStore, readConversation } from './filled-store.ts';
import { createLoad, type Load } from './load.ts';
import { type MeasuredEngine, type StoreName, startMeasuredEngine } from './measured-engine.ts';
import { type MeasuredProcess, startMeasured } from './measured-process.ts';
import { median } from './median.ts';

const CONCURRENCY = 32;
const CONTENT = 'A message of about sixty characters, as people send them all day.';
/** Rounds before those that count: so long a server goes on being compiled while it runs. */
const WARM_UP_ROUNDS = 3;
const MEGABYTE = 1_000_000;

const { values } = parseArgs({
  options: {
    store: { type: 'string', default: 'sqlite' },
    sessions: { type: 'string', default: '1000,10000,100000,1000000' },
    turns: { type: 'string', default: '4' },
    requests: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '9' },
    starts: { type: 'string', default: '3' },
    idle: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    sources: { type: 'boolean', default: false },
  },
});
const requests = Number(values.requests);

/** Processor milliseconds. */
interface Cost {
  server: number;
  engine: number;
}

/** A number of sessions, and what was measured with it. */
interface Step {
  ids: readonly string[];
  engine: MeasuredEngine;
  server: MeasuredProcess;
  load: Load;
  fillSeconds: number;
  bytes: number;
  startMilliseconds: number;
  /** The first page of the list, asked for as the first request after a start. */
  listMilliseconds: number;
  /** Of a turn, in each round. */
  turns: Cost[];
  /** Of a second in which nobody asks anything: at first, and after all rounds. */
  idle: Cost[];
}

const random = createSeededRandom(Number(values.seed));
const engines: MeasuredEngine[] = [];
const processes: MeasuredProcess[] = [];
const loads: Load[] = [];
let releasing: Promise<void> | null = null;
const upstream = await startMeasured('upstream.ts');
processes.push(upstream);

// Whoever breaks it off is not left with a store of gigabytes.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void release().finally(() => process.exit(1)));
}
try {
  await measureAll();
} finally {
  await release();
}

/** Whoever comes second waits for what the first has begun. */
function release(): Promise<void> {
  releasing ??= releaseAll();
  return releasing;
}

async function releaseAll(): Promise<void> {
  await Promise.all(loads.map((load) => load.close()));
  await Promise.all(processes.map((one) => one.stop()));
  await Promise.all(engines.map((engine) => engine.stop()));
}

async function measureAll(): Promise<void> {
  const conversation = await holdConversation(Number(values.turns));
  const steps: Step[] = [];
  for (const count of values.sessions.split(',')) steps.push(await prepare(Number(count), conversation));
  await idle(steps);
  for (let index = 1 - WARM_UP_ROUNDS; index <= Number(values.rounds); index += 1) {
    for (const step of steps) {
      const cost = await round(step);
      if (index > 0) step.turns.push(cost);
    }
    note(`round ${index} of ${values.rounds}`);
  }
  await idle(steps);
  const characters = conversation.turns.reduce((sum, { input, output }) => sum + (input + output).length, 0);
  console.log(
    `${values.store}: ${values.turns} turns in a session, ${characters} characters of items as JSON; ` +
      `${requests} turns a round, ${values.rounds} rounds, ${CONCURRENCY} at once; Node ${process.version}\n`,
  );
  printTurns(steps);
  printRest(steps);
}

/** As many turns as each session is to have. The window is as long, so that turns to come do not make it longer. */
async function holdConversation(turns: number): Promise<Conversation> {
  const engine = await startMeasuredEngine('sqlite');
  engines.push(engine);
  const server = await startServer(engine);
  const load = createLoad(server.url);
  const session = JSON.parse(await load.post('/sessions', { memory_limit: 2 * turns })) as { id: string };
  for (let turn = 0; turn < turns; turn += 1) {
    await load.post(`/sessions/${session.id}/messages`, { content: CONTENT });
  }
  await load.close();
  await server.stop();
  return readConversation(engine.location);
}

async function prepare(count: number, conversation: Conversation): Promise<Step> {
  const engine = await startMeasuredEngine(storeName());
  engines.push(engine);
  note(`filling a store with ${count} sessions`);
  const filling = performance.now();
  const ids = await fillStore(engine.location, conversation, count, engine.lanes);
  const fillSeconds = (performance.now() - filling) / 1000;
  await engine.settle();
  const bytes = await engine.bytes();
  const starts: number[] = [];
  const lists: number[] = [];
  for (;;) {
    const server = await startServer(engine);
    const load = createLoad(server.url);
    starts.push(server.startMilliseconds);
    lists.push(await milliseconds(() => load.get('/sessions')));
    if (starts.length < Number(values.starts)) {
      await load.close();
      await server.stop();
      continue;
    }
    loads.push(load);
    note(`filled in ${Math.round(fillSeconds)} s`);
    const [startMilliseconds, listMilliseconds] = [median(starts), median(lists)];
    const measured = { fillSeconds, bytes, startMilliseconds, listMilliseconds };
    return { ids, engine, server, load, ...measured, turns: [], idle: [] };
  }
}

async function startServer({ location }: MeasuredEngine): Promise<MeasuredProcess> {
  const server = await startMeasured(values.sources ? '../src/cli/main.ts' : '../dist/cli/main.js', {
    args: ['serve'],
    env: {
      RATE_RPS: '1000000',
      RATE_BURST: '1000000',
      PORT: '0',
      DATABASE_URL: location,
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      OPENAI_API_KEY: 'none',
      // With it the sweep looks for idle sessions as well.
      SESSION_RETENTION_DAYS: '30',
      LOG_LEVEL: 'error',
    },
  });
  processes.push(server);
  return server;
}

/** What a turn of one round costs, in sessions from all over the store. */
async function round(step: Step): Promise<Cost> {
  const { ids, load } = step;
  const concurrency = Math.min(CONCURRENCY, ids.length);
  const share = Math.floor(ids.length / concurrency);
  const costOf = watch(step);
  // Each has sessions of its own: turns of one session would wait for each other.
  await load.run(requests, concurrency, (worker) => {
    const id = ids[random.integer(0, share - 1) * concurrency + worker];
    return load.post(`/sessions/${id}/messages`, { content: CONTENT });
  });
  return costOf(requests);
}

/** Watches all of them at the same time. */
async function idle(steps: readonly Step[]): Promise<void> {
  const seconds = Number(values.idle);
  if (seconds === 0) return;
  const watched = steps.map((step) => ({ step, costOf: watch(step) }));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  for (const { step, costOf } of watched) step.idle.push(costOf(seconds));
}

/** From now until the result is called: the cost of each of so many that were done meanwhile. */
function watch({ server, engine }: Step): (count: number) => Cost {
  const before = { server: server.processorMilliseconds(), engine: engine.processorMilliseconds() };
  return (count) => ({
    server: (server.processorMilliseconds() - before.server) / count,
    engine: (engine.processorMilliseconds() - before.engine) / count,
  });
}

function printTurns(steps: readonly Step[]): void {
  console.log("| sessions | Parley's ms a turn | ratio | engine's ms a turn | ratio | both | ratio |");
  console.log('|---|---|---|---|---|---|---|');
  const parts = [
    ({ server }: Cost) => server,
    ({ engine }: Cost) => engine,
    ({ server, engine }: Cost) => server + engine,
  ];
  for (const { ids, turns } of steps) {
    const cells = parts.flatMap((part) => {
      const ratios = turns.map((cost, index) => part(cost) / part(steps[0]?.turns[index] ?? cost));
      return [spread(turns.map(part), 3), spread(ratios, 2)];
    });
    console.log(`| ${[ids.length, ...cells].join(' | ')} |`);
  }
}

/** The middle, and in brackets the least and the most. */
function spread(numbers: readonly number[], digits: number): string {
  const [middle, least, most] = [median(numbers), Math.min(...numbers), Math.max(...numbers)];
  if (Number.isNaN(middle) || most === 0) return '–';
  return `${middle.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}

function printRest(steps: readonly Step[]): void {
  console.log(
    '\n| sessions | filled in s | store MB | kB a session | start ms | list ms | Parley MB | idle ms/s at first | later |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const { ids, server, idle, ...step } of steps) {
    const kilobytes = (step.bytes / ids.length / 1000).toFixed(1);
    const numbers = [step.fillSeconds, step.bytes / MEGABYTE].map(Math.round);
    const answers = [step.startMilliseconds, step.listMilliseconds, server.residentMegabytes()].map(
      Math.round,
    );
    const idles = idle.map((cost) => `${cost.server.toFixed(1)} + ${cost.engine.toFixed(1)}`);
    console.log(`| ${[ids.length, ...numbers, kilobytes, ...answers, ...idles].join(' | ')} |`);
  }
}

async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function storeName(): StoreName {
  const { store } = values;
  if (store === 'sqlite' || store === 'redis' || store === 'postgres') return store;
  throw new Error(`--store must be sqlite, redis or postgres, not "${store}".`);
}

/** How far it has come, apart from what is printed. */
function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
