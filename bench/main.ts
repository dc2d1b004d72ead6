/**
 * `npm run bench`: what a turn costs, beside a bare proxy in the same run, as processor time per request of the
 * server's own process. Prints a table and asserts nothing: the budgets are the design's.
 *
 * Options: --requests N (per round and row), --rounds N, --turns N (for the memory row; 0 leaves it out).
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createLoad, type Load } from './load.ts';
import { writeLongSession } from './long-session.ts';
import { type MeasuredProcess, startMeasured } from './measured-process.ts';
import { median } from './median.ts';

const CONCURRENCY = 32;
/** Messages in the window of every turn that is measured. */
const WINDOW = 20;
const LONG_SESSION_ITEMS = 100_000;
const CONTENT = 'A message of about sixty characters, as people send them all day.';

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '5' },
    turns: { type: 'string', default: '20000' },
  },
});
const requests = Number(values.requests);
const rounds = Number(values.rounds);

/** One thing that is measured: a server and one request to it. */
interface Subject {
  server: MeasuredProcess;
  load: Load;
  request: (worker: number) => Promise<unknown>;
}

/** How a comparison is run where it is not the usual way. */
interface Comparison {
  concurrency?: number;
}

const directory = await mkdtemp(join(tmpdir(), 'parley-bench-'));
const location = `sqlite:${join(directory, 'parley.db')}`;
const longSession = await writeLongSession(location, LONG_SESSION_ITEMS, CONTENT, WINDOW);
const upstream = await startMeasured('upstream.ts');
const proxy = await startMeasured('bare-proxy.ts', { env: { UPSTREAM: upstream.url } });
const parley = await startMeasured('../dist/cli/main.js', {
  args: ['serve'],
  env: {
    RATE_RPS: '1000000',
    RATE_BURST: '1000000',
    PORT: '0',
    DATABASE_URL: location,
    OPENAI_BASE_URL: `${upstream.url}/v1`,
    OPENAI_API_KEY: 'none',
    LOG_LEVEL: 'warn',
  },
});
const idleMegabytes = parley.residentMegabytes();
const proxyLoad = createLoad(proxy.url);
const parleyLoad = createLoad(parley.url);

try {
  await measureAll();
} finally {
  await Promise.all([proxyLoad.close(), parleyLoad.close()]);
  await Promise.all([proxy.stop(), parley.stop(), upstream.stop()]);
  await rm(directory, { recursive: true, force: true });
}

async function measureAll(): Promise<void> {
  const short = await sessionsWith(WINDOW);
  const window = promptOf(WINDOW);
  const bare = (stream: boolean): Subject => ({
    server: proxy,
    load: proxyLoad,
    request: () => proxyLoad.post('/', { model: 'bench', messages: window, stream }),
  });
  const turn = (sessions: readonly string[], stream: boolean): Subject => ({
    server: parley,
    load: parleyLoad,
    request: (worker) =>
      parleyLoad.post(`/sessions/${sessions[worker]}/messages`, { content: CONTENT, stream }),
  });
  const completion = (stream: boolean): Subject => ({
    server: parley,
    load: parleyLoad,
    request: () => parleyLoad.post('/v1/chat/completions', { model: 'bench', messages: window, stream }),
  });

  console.log(
    `${requests} requests a round, ${rounds} rounds, ${CONCURRENCY} at once; Node ${process.version}\n`,
  );
  console.log('| processor time per request | Parley ms | beside | ms | ratio | budget |');
  console.log('|---|---|---|---|---|---|');
  await compare(
    'a turn on SQLite, 20 messages of window',
    turn(short, false),
    'the bare proxy',
    bare(false),
    '≤ 3',
  );
  await compare('a streamed turn of 100 pieces', turn(short, true), 'the bare relay', bare(true), '≤ 1.5');

  await compare('a stateless chat completion', completion(false), 'the bare proxy', bare(false), '≤ 2');
  await compare('the same, streamed, of 100 pieces', completion(true), 'the bare relay', bare(true), '');

  // Turns of one session run one after another, so this comparison sends one request at a time.
  await compare(
    `a turn in a session of ${LONG_SESSION_ITEMS} items`,
    turn([longSession], false),
    'one of 20',
    turn(short, false),
    '≤ 1.2',
    { concurrency: 1 },
  );

  console.log(`\nfirst answer after start: ${Math.round(parley.startMilliseconds)} ms (budget < 1000)`);
  console.log(`idle memory: ${Math.round(idleMegabytes)} MB (budget < 100)`);
  await memory(short);
}

/** Measures the two in turn, round by round, so that both meet the same moods of the machine. */
async function compare(
  name: string,
  subject: Subject,
  against: string,
  other: Subject,
  budget: string,
  { concurrency = CONCURRENCY }: Comparison = {},
): Promise<void> {
  const costs: [number, number][] = [];
  // The first round warms both up and is not counted.
  for (let index = 0; index <= rounds; index += 1) {
    const pair: [number, number] = [await round(subject, concurrency), await round(other, concurrency)];
    if (index > 0) costs.push(pair);
  }
  const own = median(costs.map(([cost]) => cost));
  const others = median(costs.map(([, cost]) => cost));
  const ratio = median(costs.map(([cost, reference]) => cost / reference));
  console.log(
    `| ${name} | ${own.toFixed(3)} | ${against} | ${others.toFixed(3)} | ${ratio.toFixed(2)} | ${budget} |`,
  );
}

/** Processor milliseconds per request of one round. */
async function round({ server, load, request }: Subject, concurrency: number): Promise<number> {
  const before = server.processorMilliseconds();
  await load.run(requests, concurrency, request);
  return (server.processorMilliseconds() - before) / requests;
}

/** A session for each worker, with a conversation longer than the window. */
async function sessionsWith(memoryLimit: number): Promise<string[]> {
  const sessions = await Promise.all(Array.from({ length: CONCURRENCY }, () => newSession(memoryLimit)));
  await parleyLoad.run(CONCURRENCY * memoryLimit, CONCURRENCY, (worker) =>
    parleyLoad.post(`/sessions/${sessions[worker]}/messages`, { content: CONTENT }),
  );
  return sessions;
}

async function newSession(memoryLimit: number): Promise<string> {
  const session = JSON.parse(await parleyLoad.post('/sessions', { memory_limit: memoryLimit })) as {
    id: string;
  };
  return session.id;
}

/** What the bare proxy is sent: as many messages as the window has. */
function promptOf(messages: number): object[] {
  return Array.from({ length: messages }, (_, index) => ({
    role: index % 2 === 0 ? 'user' : 'assistant',
    content: CONTENT,
  }));
}

async function memory(sessions: readonly string[]): Promise<void> {
  const turns = Number(values.turns);
  if (turns === 0) return;
  const samples: number[] = [];
  for (let quarter = 0; quarter < 4; quarter += 1) {
    await parleyLoad.run(turns / 4, CONCURRENCY, (worker) =>
      parleyLoad.post(`/sessions/${sessions[worker]}/messages`, { content: CONTENT }),
    );
    samples.push(Math.round(parley.residentMegabytes()));
  }
  console.log(`memory after each quarter of ${turns} more turns: ${samples.join(', ')} MB`);
}
