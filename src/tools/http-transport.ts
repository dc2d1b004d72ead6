/**
 * Servers at a URL: the transport of today, or that of servers from before it (server-sent events), with the credentials
 * of the configuration. Adds to the driver's transports what they leave out.
 */

import {
  type AuthProvider,
  ClientCredentialsProvider,
  type JSONRPCMessage,
  type OAuthClientProvider,
  PrivateKeyJwtProvider,
  SSEClientTransport,
  SseError,
  StreamableHTTPClientTransport,
  type Transport,
} from '@modelcontextprotocol/client';
import type { Fetch } from './guarded-fetch.ts';
import type { ClientCredentials, HttpReach } from './mcp-settings.ts';
import { assumeComplete } from './result-type.ts';

/** The code of the answer that stands for one that never came. No server has reason to use it. */
export const STREAM_ENDED = -31_999;

/** Waits for a stream to resume are short: a call has its own time, and another connection can be made. */
const RECONNECTION = {
  initialReconnectionDelay: 500,
  maxReconnectionDelay: 10_000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 5,
};

export type HttpCredentials = AuthProvider | OAuthClientProvider;

/** What the server is shown; one provider for all connections, since it keeps the token that it was given. */
export function httpCredentials({ apiKey, oauth }: HttpReach): HttpCredentials | undefined {
  if (oauth !== null) return oauthProvider(oauth);
  return apiKey === null ? undefined : { token: async () => apiKey };
}

function oauthProvider({ clientId, proof, issuer, scope }: ClientCredentials): OAuthClientProvider {
  const given = {
    clientId,
    clientName: 'Parley',
    expectedIssuer: issuer,
    ...(scope === null ? {} : { scope }),
  };
  return proof.kind === 'secret'
    ? new ClientCredentialsProvider({ ...given, clientSecret: proof.secret })
    : new PrivateKeyJwtProvider({ ...given, privateKey: proof.pem, algorithm: proof.algorithm });
}

interface HttpTransportOptions {
  readonly reach: HttpReach;
  readonly credentials: HttpCredentials | undefined;
  readonly fetch: Fetch;
}

/** Streamable HTTP. A call whose stream ends without an answer is answered with `STREAM_ENDED`. */
export function createStreamableTransport({
  reach,
  credentials,
  fetch,
}: HttpTransportOptions): StreamableHTTPClientTransport {
  const transport = new StreamableHTTPClientTransport(new URL(reach.url), {
    fetch,
    requestInit: { headers: { ...reach.headers } },
    reconnectionOptions: RECONNECTION,
    ...(credentials === undefined ? {} : { authProvider: credentials }),
  });
  return withStreamEnds(transport);
}

/** The transport of servers from before 2025-03-26. The stream's end is the connection's: there is no resuming it. */
export function createSseTransport({ reach, credentials, fetch }: HttpTransportOptions): Transport {
  const transport = new SSEClientTransport(new URL(reach.url), {
    fetch,
    requestInit: { headers: { ...reach.headers } },
    ...(credentials === undefined ? {} : { authProvider: credentials }),
  });
  let started = false;
  let closed = false;
  const start = transport.start.bind(transport);
  const close = transport.close.bind(transport);
  transport.start = async () => {
    await start();
    started = true;
  };
  transport.close = async () => {
    if (closed) return;
    closed = true;
    await close();
  };
  // The driver would open another stream, in a session that has not been greeted, and wait on the first for ever.
  transport.onerror = (error) => {
    if (started && SseError.isInstance(error)) void transport.close();
  };
  return transport;
}

type SendOptions = NonNullable<Parameters<StreamableHTTPClientTransport['send']>[1]>;

/**
 * The driver leaves a request waiting whose stream has ended, and leaves a stream open whose request was cancelled (with
 * the older protocol, where cancelling is a message of its own). Both are put right where messages pass.
 */
function withStreamEnds(transport: StreamableHTTPClientTransport): StreamableHTTPClientTransport {
  const send = transport.send.bind(transport);
  /** Of requests without an answer. */
  const streams = new Map<number, AbortController>();
  // Whoever connects calls this before its own.
  transport.onmessage = (message) => {
    assumeComplete(message, transport.protocolVersion);
    if (!('method' in message) && typeof message.id === 'number') streams.delete(message.id);
  };
  transport.send = async (message: JSONRPCMessage | JSONRPCMessage[], options: SendOptions = {}) => {
    if (Array.isArray(message)) return send(message, options);
    // The driver's own requests, which it watches itself, have texts as ids.
    if ('method' in message && 'id' in message && typeof message.id === 'number') {
      return sendRequest(message.id, message, options);
    }
    await send(message, options);
    if (!('method' in message) || message.method !== 'notifications/cancelled') return;
    const cancelled = message.params?.['requestId'];
    if (typeof cancelled === 'number') streams.get(cancelled)?.abort();
  };
  return transport;

  async function sendRequest(id: number, message: JSONRPCMessage, options: SendOptions): Promise<void> {
    const stream = new AbortController();
    streams.set(id, stream);
    const onRequestStreamEnd = () => {
      if (!streams.delete(id)) return;
      const error = { code: STREAM_ENDED, message: 'the stream ended without an answer' };
      transport.onmessage?.({ jsonrpc: '2.0', id, error });
    };
    const { requestSignal } = options;
    const signals = requestSignal === undefined ? [stream.signal] : [requestSignal, stream.signal];
    try {
      await send(message, { ...options, requestSignal: AbortSignal.any(signals), onRequestStreamEnd });
    } catch (error) {
      streams.delete(id);
      throw error;
    }
  }
}
