/**
 * A Parley server whose provider is the double, and a client of it that holds every answer against the server's
 * own OpenAPI document. One per test file.
 */

import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { startTcpBalancer } from '../tcp-balancer.ts';
import { type Answer, call } from './client.ts';
import { createJudge, type OpenApiDocument } from './openapi-document.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

export interface ParleyWithDouble {
  url: string;
  parley: ParleyProcess;
  double: ProviderDouble;
  document: OpenApiDocument;
  /** Calls and reads JSON; throws if the answer is not one that the document promises. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** The same with a body that is sent as it is. */
  callRaw(method: string, path: string, init?: Omit<RequestInit, 'method'>): Promise<Answer>;
  /** A new session's id. */
  newSession(settings?: object): Promise<string>;
  send(sessionId: string, content: unknown, more?: object): Promise<Answer>;
  /** Sends each and expects it to be answered; returns the last answer's body. */
  converse(sessionId: string, ...contents: readonly unknown[]): Promise<any>;
  close(): Promise<void>;
}

/** The same where it does not matter which process answers. */
export type ParleysWithDouble = Omit<ParleyWithDouble, 'parley'>;

/** @param env further settings */
export async function startParleyWithDouble(env: Record<string, string> = {}): Promise<ParleyWithDouble> {
  const double = await startProviderDouble();
  const parley = await startParley({ ...settingsFor(double), ...env });
  const client = await clientOf(parley.url, double);
  return {
    ...client,
    parley,
    close: async () => {
      await removeParley(parley);
      await double.close();
    },
  };
}

/** Two servers behind a balancer. @param env further settings, the store that they share among them */
export async function startParleysWithDouble(env: Record<string, string>): Promise<ParleysWithDouble> {
  const double = await startProviderDouble();
  const start = () => startParley({ ...settingsFor(double), ...env });
  const parleys = await Promise.all([start(), start(), start()]);
  const ports = parleys.map(({ url }) => Number(new URL(url).port));
  const balancer = await startTcpBalancer(() => ports);
  const client = await clientOf(`http://127.0.0.1:${balancer.port}`, double);
  return {
    ...client,
    close: async () => {
      await balancer.close();
      await Promise.all(parleys.map(removeParley));
      await double.close();
    },
  };
}

function settingsFor(double: ProviderDouble): Record<string, string> {
  return {
    OPENAI_BASE_URL: double.url,
    OPENAI_API_KEY: 'sk-double-key',
    OPENAI_MODEL: 'double-model',
  };
}

async function clientOf(url: string, double: ProviderDouble): Promise<Omit<ParleysWithDouble, 'close'>> {
  const document: OpenApiDocument = (await call(url, 'GET', '/openapi.json')).body;
  const judge = createJudge(document);
  return { url, double, document, call: checkedCall, callRaw, newSession, send, converse };

  async function checkedCall(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answer> {
    return judged(method, path, await call(url, method, path, body, headers));
  }

  async function callRaw(
    method: string,
    path: string,
    init: Omit<RequestInit, 'method'> = {},
  ): Promise<Answer> {
    const response = await fetch(url + path, { ...init, method, redirect: 'manual' });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
    const body = isJson && text !== '' ? JSON.parse(text) : text;
    return judged(method, path, { status: response.status, headers: response.headers, body });
  }

  function judged(method: string, path: string, answer: Answer): Answer {
    const problems = judge(method, path, answer);
    if (problems.length === 0) return answer;
    const shown = JSON.stringify(answer.body).slice(0, 2000);
    throw new Error(
      `${method} ${path} → ${answer.status} is not as documented: ${problems.join('; ')}\n${shown}`,
    );
  }

  async function newSession(settings: object = {}): Promise<string> {
    const { status, body } = await checkedCall('POST', '/sessions', settings);
    if (status !== 201) throw new Error(`no session: ${status} ${JSON.stringify(body)}`);
    return body.id;
  }

  function send(sessionId: string, content: unknown, more: object = {}): Promise<Answer> {
    return checkedCall('POST', `/sessions/${sessionId}/messages`, { content, ...more });
  }

  async function converse(sessionId: string, ...contents: readonly unknown[]): Promise<any> {
    let last: unknown;
    for (const content of contents) {
      const { status, body } = await send(sessionId, content);
      if (status !== 200) throw new Error(`no answer: ${status} ${JSON.stringify(body)}`);
      last = body;
    }
    return last;
  }
}

/** A promise that a test resolves when it likes, to hold an answer of the double. */
export function createGate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}
