/**
 * A stage for faults: one server in a process of its own, and one double that plays all its providers. Every
 * scene has a model of its own, so that scenes run side by side without meeting each other's scripts, requests
 * or breakers.
 */

import { type Answer, call, newSession, readEvents, type StreamEvent } from '../acceptance/client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from '../acceptance/parley-process.ts';
import {
  type ProviderDouble,
  type RecordedRequest,
  type Script,
  startProviderDouble,
} from '../provider-double.ts';

/** The providers, and whether each can go on with a given text. */
const PLAYERS = {
  alpha: 'none',
  beta: 'none',
  gamma: 'none',
  'alpha-prefill': 'prefill',
  'beta-prefill': 'prefill',
  'alpha-instruct': 'instruct',
  'beta-instruct': 'instruct',
} as const;

export type Player = keyof typeof PLAYERS;

/** What a target answers: always the same, one script after another (then the last one again), or by request. */
export type Part = Script | readonly Script[] | ((request: RecordedRequest) => Script);

/** Who plays what. The first one is the session's provider, the others are its fallbacks in their order. */
export type Cast = Partial<Record<Player, Part>>;

export interface Stage {
  readonly url: string;
  readonly parley: ParleyProcess;
  /** A session with these targets and no others. */
  scene(cast: Cast, settings?: object): Promise<Scene>;
  /** Gives the parts on any model, for sessions whose targets are not made of a cast. */
  play(model: string, cast: Cast): RecordedRequest[];
  close(): Promise<void>;
}

export interface Scene {
  readonly sessionId: string;
  readonly model: string;
  /** What the targets of the scene were asked, oldest first. */
  readonly requests: readonly RecordedRequest[];
  /** A new session with the same targets; what they were asked is told of both together. */
  again(): Promise<Scene>;
  /** Changes what the targets play from here on. */
  recast(cast: Cast): void;
  /** The providers that were asked, in order. */
  asked(): string[];
  /** Sends a message and reads the answer to its end. */
  ask(streaming: boolean, more?: object): Promise<Told>;
  /** The record of the turn that the answer tells of. */
  turn(told: Told): Promise<any>;
  conversation(): Promise<any[]>;
}

/** An answer to a message, streamed or not, in the one shape that both have. */
export interface Told {
  status: number;
  headers: Headers;
  /** The answer or the error: of the JSON body, or of the last event. */
  body: any;
  /** Empty if it was not a stream. */
  events: StreamEvent[];
}

interface StageSettings {
  env?: Record<string, string>;
  /** More of the YAML; `providers` are added to the players. */
  yaml?: { providers?: readonly object[]; [name: string]: unknown };
}

/** Starts the server with all players, and no fallbacks but those of the sessions. */
export async function openStage({ env = {}, yaml = {} }: StageSettings = {}): Promise<Stage> {
  const double = await startProviderDouble();
  const { providers: others = [], ...lists } = yaml;
  const players = Object.entries(PLAYERS).map(([name, continuation]) => ({
    name,
    base_url: playedBy(double, name),
    model: `${name}-1`,
    continue: continuation,
  }));
  const parley = await startParleyWithYaml(
    { providers: [...players, ...others], ...lists },
    { DATABASE_URL: 'memory:', ...env },
  );
  const { url } = parley;
  const parts = new Map<string, Part>();
  const requestsOf = new Map<string, RecordedRequest[]>();
  let scenes = 0;
  double.respond((request) => {
    const { model } = request.body;
    requestsOf.get(model)?.push(request);
    return scriptOf(parts, `${playerOf(request)}/${model}`, request);
  });

  return {
    url,
    parley,
    scene,
    play,
    close: async () => {
      await removeParley(parley);
      await double.close();
    },
  };

  function play(model: string, cast: Cast): RecordedRequest[] {
    for (const [name, part] of Object.entries(cast)) parts.set(`${name}/${model}`, part);
    const requests = requestsOf.get(model) ?? [];
    requestsOf.set(model, requests);
    return requests;
  }

  function scene(cast: Cast, settings: object = {}): Promise<Scene> {
    scenes += 1;
    const model = `scene-${scenes}`;
    const [provider, ...fallbacks] = Object.keys(cast);
    const fallback_providers = fallbacks.map((name) => `${name}/${model}`);
    return begin(model, play(model, cast), { provider, model, fallback_providers, ...settings });
  }

  async function begin(
    model: string,
    requests: readonly RecordedRequest[],
    settings: object,
  ): Promise<Scene> {
    const sessionId = await newSession(url, settings);
    return {
      sessionId,
      model,
      requests,
      again: () => begin(model, requests, settings),
      recast: (cast) => void play(model, cast),
      asked: () => requests.map(playerOf),
      ask: (streaming, more) => ask(url, sessionId, streaming, more),
      turn: async (told) => (await call(url, 'GET', `/sessions/${sessionId}/turns/${turnIdOf(told)}`)).body,
      conversation: async () => (await call(url, 'GET', `/sessions/${sessionId}/messages`)).body.data,
    };
  }
}

/** Sends "Tell" to a session and reads the answer to its end. */
export async function ask(
  url: string,
  sessionId: string,
  streaming: boolean,
  more: object = {},
): Promise<Told> {
  const body = { content: 'Tell', stream: streaming, ...more };
  const {
    status,
    headers,
    body: told,
  }: Answer = await call(url, 'POST', `/sessions/${sessionId}/messages`, body);
  if (typeof told !== 'string') return { status, headers, body: told, events: [] };
  const events = readEvents(told);
  return { status, headers, body: events.at(-1)?.data, events };
}

/** The provider that a request was meant for. */
export function playerOf({ path }: RecordedRequest): string {
  return path.split('/')[1] ?? '';
}

/** The base URL under which the double plays this provider. */
export function playedBy(double: ProviderDouble, name: string): string {
  return double.url.replace(/v1$/, `${name}/v1`);
}

/** The text that a client has after a stream: what came since it was last told to discard. */
export function textOf({ events }: Told): string {
  return deltasOf(events, 'message.delta');
}

/** The same of the reasoning. */
export function reasoningOf({ events }: Told): string {
  return deltasOf(events, 'reasoning.delta');
}

/** The names of the events, those in a row once. */
export function courseOf({ events }: Told): string[] {
  const names = events.map(({ event }) => event);
  return names.filter((name, index) => name !== names[index - 1]);
}

/** The attempts that an answer or an error tells of, as provider and error. */
export function attemptsOf({ body }: Told): [provider: string, error: object | null][] {
  const attempts: any[] = body.attempts ?? body.error?.details?.attempts ?? [];
  return attempts.map(({ provider, error }) => [provider, error]);
}

function deltasOf(events: readonly StreamEvent[], kind: string): string {
  const start = events.findLastIndex(({ event }) => event === 'message.restart') + 1;
  return events
    .slice(start)
    .map(({ event, data }) => (event === kind ? data.text : ''))
    .join('');
}

function turnIdOf({ body }: Told): string {
  return body.turn_id ?? body.error.details.turn_id;
}

function scriptOf(parts: Map<string, Part>, target: string, request: RecordedRequest): Script {
  const part = parts.get(target);
  if (part === undefined) throw new Error(`nobody expected ${target} to be asked`);
  if (typeof part === 'function') return part(request);
  if (!isSeries(part)) return part;
  const [first, ...others] = part;
  if (others.length > 0) parts.set(target, others);
  return first ?? {};
}

function isSeries(part: Script | readonly Script[]): part is readonly Script[] {
  return Array.isArray(part);
}
