/**
 * A provider that speaks Chat Completions, the dialect nearly all speak. One attempt is one request; there are no
 * clocks here but the one for making a connection.
 */

import { context, propagation } from '@opentelemetry/api';
import { type Dispatcher, Pool } from 'undici';
import {
  type Continuation,
  type Prompt,
  type Provider,
  ProviderError,
  type ProviderEvent,
} from '../provider.ts';
import type { AnswerContext, AnswerReader } from './answer-reader.ts';
import { createChatAnswer } from './chat-answer.ts';
import { chatRequest } from './chat-request.ts';
import { createChatStream } from './chat-stream.ts';
import { createConnector, isConnectTimeout } from './connector.ts';
import { errorOfStatus } from './provider-error.ts';
import { createRedact } from './redact.ts';

export interface OpenAICompatibleSettings {
  name: string;
  /** With its path: `/chat/completions` is added to it. */
  baseUrl: string;
  /** Sent as a bearer token; null for servers that want none. */
  apiKey: string | null;
  defaultModel: string | null;
  models: readonly string[];
  modelsHaveSlashes: boolean;
  /** Sent with every request. */
  headers: Readonly<Record<string, string>>;
  contextTokens: number | null;
  /** How its models can be made to go on with a given text. */
  continuation: Continuation;
  /** Connections at most; what goes beyond waits. */
  connections: number;
  /** For making a connection; two seconds where left out. */
  connectMilliseconds?: number;
}

/** In milliseconds. A server that is there takes a connection in far less, also across the world. */
const CONNECT_TIMEOUT = 2000;

/** In bytes. An error object has less; proxies in front answer pages. */
const MAX_ERROR_BYTES = 64 * 1024;

/** What a whole answer may leave behind, in bytes and milliseconds, so that its connection is worth keeping. */
const MAX_REST_BYTES = 16 * 1024;
const MAX_REST_MILLISECONDS = 1000;

/** A header that holds a word of prose needs no blanking, and blanking it would spoil messages. */
const MIN_SECRET_CHARACTERS = 8;

/** A provider on these settings. Throws a `TypeError` if `baseUrl` is no URL; connects when first asked. */
export function createOpenAICompatible(settings: OpenAICompatibleSettings): Provider {
  const url = new URL(settings.baseUrl);
  const path = `${url.pathname.replace(/\/+$/, '')}/chat/completions${url.search}`;
  const headers = requestHeaders(settings);
  const redact = createRedact(secretsOf(settings));
  const pool = new Pool(url.origin, {
    connections: settings.connections,
    connect: createConnector(settings.connectMilliseconds ?? CONNECT_TIMEOUT),
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const { defaultModel, continuation } = settings;

  return {
    name: settings.name,
    defaultModel,
    models: [...new Set(defaultModel === null ? settings.models : [defaultModel, ...settings.models])],
    modelsHaveSlashes: settings.modelsHaveSlashes,
    contextTokens: settings.contextTokens,
    continuation,
    stream,
    close: () => pool.destroy(),
  };

  async function* stream(prompt: Prompt, signal: AbortSignal): AsyncGenerator<ProviderEvent> {
    const { statusCode: status, headers: head, body } = await send(prompt, signal);
    let state: AnswerReader['state'] = 'open';
    try {
      if (status < 200 || status > 299) {
        throw errorOfStatus({ status, headers: head, body: await readError(body) }, redact);
      }
      const reader = createReader(head['content-type'], prompt, { model: prompt.model, status, redact });
      const chunks = body.iterator({ destroyOnReturn: false });
      while (state === 'open') {
        const chunk = await nextChunk(chunks, status, reader);
        if (chunk.done) reader.end();
        else reader.push(chunk.value);
        state = reader.state;
        for (const event of reader.take()) {
          signal.throwIfAborted();
          yield event;
        }
      }
      if (state instanceof ProviderError) throw state;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      if (state === 'complete') leave(body);
      else abandon(body);
    }
  }

  async function send(prompt: Prompt, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    signal.throwIfAborted();
    // undici looks at the signal only once it has a connection, for which a request may have to wait.
    const { promise: aborted, reject } = Promise.withResolvers<never>();
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      const request = pool.request({
        method: 'POST',
        path,
        headers: inTrace(prompt.stream ? headers.stream : headers.whole),
        body: JSON.stringify(chatRequest(prompt, continuation)),
        signal,
      });
      return await Promise.race([request, aborted]);
    } catch (cause) {
      signal.throwIfAborted();
      throw isConnectTimeout(cause)
        ? new ProviderError('timeout', { clock: 'connect', cause })
        : new ProviderError('unreachable', { cause });
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

function requestHeaders({ apiKey, headers }: OpenAICompatibleSettings) {
  const given: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'parley' };
  if (apiKey !== null) given['authorization'] = `Bearer ${apiKey}`;
  for (const [name, value] of Object.entries(headers)) given[name.toLowerCase()] = value;
  return {
    stream: { accept: 'text/event-stream', ...given },
    whole: { accept: 'application/json', ...given },
  };
}

/** With the trace that goes on in the active context, if one does, for the provider to be part of. */
function inTrace(headers: Readonly<Record<string, string>>): Record<string, string> {
  const traced = { ...headers };
  propagation.inject(context.active(), traced);
  return traced;
}

/** Keys may also stand in headers, as Azure wants them. */
function secretsOf({ apiKey, headers }: OpenAICompatibleSettings): string[] {
  const others = Object.values(headers).filter((value) => value.length >= MIN_SECRET_CHARACTERS);
  return apiKey === null || apiKey === '' ? others : [apiKey, ...others];
}

/** The reader for what came, which is not always what was asked for. */
function createReader(
  contentType: string | string[] | undefined,
  prompt: Prompt,
  context: Omit<AnswerContext, 'tellsFrames'>,
): AnswerReader {
  const type = String(contentType ?? '');
  const whole = prompt.stream ? /\b(json|html)\b/i.test(type) : !/\bevent-stream\b/i.test(type);
  // A frame is of use only to who asked for that form.
  const tellsFrames = prompt.takesFrames === true && whole !== prompt.stream;
  return (whole ? createChatAnswer : createChatStream)({ ...context, tellsFrames });
}

async function nextChunk(
  chunks: AsyncIterator<Uint8Array, undefined>,
  status: number,
  { usage }: AnswerReader,
): Promise<IteratorResult<Uint8Array, undefined>> {
  try {
    return await chunks.next();
  } catch (cause) {
    throw new ProviderError('interrupted', { status, usage: usage ?? undefined, cause });
  }
}

/** As much of an error's body as matters. */
async function readError(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= MAX_ERROR_BYTES) break;
    }
  } catch {
    // The body only explains the status, which is there already; an abort is noticed by who called.
  }
  return Buffer.concat(chunks).toString();
}

/**
 * Lets the connection be used again once the body has ended, which comes a moment after `[DONE]`; a server that
 * does not end it loses the connection.
 */
function leave(body: Dispatcher.ResponseData['body']): void {
  if (body.readableEnded) return;
  const late = setTimeout(abandon, MAX_REST_MILLISECONDS, body);
  // Not `dump` of the library, whose limit counts what has been read before as well.
  let left = MAX_REST_BYTES;
  body.on('data', (bytes: Uint8Array) => {
    left -= bytes.length;
    if (left < 0) abandon(body);
  });
  body.on('error', () => undefined);
  body.once('close', () => clearTimeout(late));
}

/** Breaks off the request with its connection. What becomes of them concerns nobody any more. */
function abandon(body: Dispatcher.ResponseData['body']): void {
  body.on('error', () => undefined).destroy();
}
