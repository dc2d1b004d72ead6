/**
 * One connection to a server: the transport that reaches it, the protocol that both speak, and what the server said of
 * itself while they found out. Does not make itself again; `reconnecting.ts` does.
 */

import {
  Client,
  type ClientCapabilities,
  LOG_LEVEL_META_KEY,
  ProtocolError,
  ProtocolErrorCode,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  type Transport,
} from '@modelcontextprotocol/client';
import type { AskedDuringCalls } from './asked-during.ts';
import type { Fetch } from './guarded-fetch.ts';
import { createSseTransport, createStreamableTransport, type HttpCredentials } from './http-transport.ts';
import { failureOf, sourceError } from './mcp-failure.ts';
import type { HttpReach, McpBounds, McpServerSettings, ProgramReach } from './mcp-settings.ts';
import { createStdioTransport } from './stdio-transport.ts';
import { type ServerReport, type ServerRequests, ToolSourceError } from './tool-source.ts';

export interface McpClient {
  readonly client: Client;
  /** Whether this is the protocol in which each request stands for itself (2026-07-28). */
  readonly stateless: boolean;
  /** Whether the server can forget a session that it has given us. */
  hasSession(): boolean;
  /** What is sent with every request, such as the least important reports that are wanted. */
  readonly meta: Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

export interface McpClientOptions {
  readonly settings: McpServerSettings;
  readonly bounds: McpBounds;
  /** Told to servers. */
  readonly version: string;
  readonly requests: ServerRequests;
  readonly asked: AskedDuringCalls;
  readonly fetch: Fetch;
  readonly credentials: HttpCredentials | undefined;
  report(level: ServerReport['level'], text: string): void;
  onTooLarge(): void;
  /** The connection ended by itself, or was ended. */
  onClosed(client: Client): void;
  onToolsChanged(): void;
}

/** A connected client of the server. Throws `ToolSourceError`; when the signal aborts, its reason. */
export async function openMcpClient(options: McpClientOptions, signal: AbortSignal): Promise<McpClient> {
  const { reach } = options.settings;
  const clock = AbortSignal.timeout(options.bounds.connectTimeoutMs);
  const ending = AbortSignal.any([signal, clock]);
  try {
    if (reach.kind === 'program') return await openProgram(reach, options, ending);
    return await openUrl(reach, options, ending);
  } catch (error) {
    signal.throwIfAborted();
    const { name: source } = options.settings;
    if (clock.aborted) throw new ToolSourceError('timeout', { source, cause: error });
    const failure = failureOf(error, false);
    // Nothing was asked yet that could have run.
    const kind = failure.kind === 'refused' || failure.kind === 'interrupted' ? 'unavailable' : failure.kind;
    throw sourceError(source, { ...failure, kind, mayHaveRun: false }, error);
  }
}

async function openUrl(reach: HttpReach, options: McpClientOptions, signal: AbortSignal): Promise<McpClient> {
  const { fetch, credentials } = options;
  const streamable = createStreamableTransport({ reach, credentials, fetch });
  try {
    return await connected(streamable, options, signal, () => streamable.sessionId !== undefined);
  } catch (error) {
    // What servers answer that know the older transport alone, says the protocol.
    const isOlder = SdkHttpError.isInstance(error) && [400, 404, 405].includes(error.status);
    if (!isOlder || signal.aborted) throw error;
    try {
      return await connected(createSseTransport({ reach, credentials, fetch }), options, signal, () => true);
    } catch {
      throw error;
    }
  }
}

async function openProgram(
  program: ProgramReach,
  options: McpClientOptions,
  signal: AbortSignal,
): Promise<McpClient> {
  const { bounds, report, onTooLarge } = options;
  const start = () =>
    createStdioTransport({
      program,
      graceMs: bounds.programGraceMs,
      messageMaxBytes: bounds.messageMaxBytes,
      onLine: (line) => report('info', line),
      onTooLarge,
    });
  const first = start();
  try {
    return await connected(first, options, signal, () => false);
  } catch (error) {
    // Some programs of the older protocol end when they are asked for something before they were greeted.
    const ended = SdkError.isInstance(error) && error.code === SdkErrorCode.EraNegotiationFailed;
    if (!ended || signal.aborted) throw error;
    return connected(start(), options, signal, () => false, 'older');
  }
}

async function connected(
  transport: Transport,
  options: McpClientOptions,
  signal: AbortSignal,
  hasSession: () => boolean,
  protocol: 'either' | 'older' = 'either',
): Promise<McpClient> {
  const { bounds, asked } = options;
  const client = createClient(options);
  // Between finding out the protocol and using it the driver listens to neither signal nor client.
  const abort = () => void transport.close().catch(() => undefined);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    await asked.outside(() =>
      client.connect(transport, {
        timeout: bounds.connectTimeoutMs,
        signal,
        ...(protocol === 'older' ? { prior: { kind: 'legacy' as const } } : {}),
      }),
    );
    signal.throwIfAborted();
  } catch (error) {
    await transport.close().catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
  client.onclose = () => options.onClosed(client);
  const stateless = client.getProtocolEra() === 'modern';
  await askForReports(client, stateless, bounds.connectTimeoutMs);
  const close = async () => {
    if (hasSession() && 'terminateSession' in transport) await endSession(transport, bounds.programGraceMs);
    await client.close();
  };
  return {
    client,
    stateless,
    hasSession,
    meta: stateless ? { [LOG_LEVEL_META_KEY]: REPORT_LEVEL } : {},
    close,
  };
}

/** What is worth a line in the log of whoever operates Parley. */
const REPORT_LEVEL = 'info';

/** The older protocol sets the level once; a server that does not let it be set reports what it likes. */
async function askForReports(client: Client, stateless: boolean, timeout: number): Promise<void> {
  if (stateless || client.getServerCapabilities()?.logging === undefined) return;
  await client.setLoggingLevel(REPORT_LEVEL, { timeout }).catch(() => undefined);
}

/** Servers keep what they know of a session until they are told, or for as long as they like. */
async function endSession(transport: Transport, graceMs: number): Promise<void> {
  const { terminateSession } = transport as Transport & { terminateSession(): Promise<void> };
  const ended = terminateSession.call(transport).catch(() => undefined);
  const clock = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
  await Promise.race([ended, clock]);
}

function createClient(options: McpClientOptions): Client {
  const { version, bounds, requests, report } = options;
  const client = new Client(
    { name: 'parley', version },
    {
      capabilities: capabilitiesFor(requests),
      versionNegotiation: { mode: 'auto', probe: { timeoutMs: probeTimeout(options) } },
      // A list of a thousand tools in the smallest pages that anybody makes; then it is taken for one without end.
      listMaxPages: Math.ceil(bounds.toolsMax / 10) + 1,
    },
  );
  answerRequests(client, options);
  client.setNotificationHandler('notifications/tools/list_changed', () => options.onToolsChanged());
  client.setNotificationHandler('notifications/message', ({ params: { level, logger, data } }) => {
    const text = typeof data === 'string' ? data : JSON.stringify(data);
    report(reportLevel(level), logger === undefined ? text : `${logger}: ${text}`);
  });
  client.onerror = (error) => report('debug', error.message);
  return client;
}

/** Silence means an outage at a URL, which has all the time that connecting has. */
function probeTimeout({ settings, bounds }: McpClientOptions): number {
  return settings.reach.kind === 'program' ? bounds.probeTimeoutMs : bounds.connectTimeoutMs;
}

function capabilitiesFor({ sample, elicit, roots }: ServerRequests): ClientCapabilities {
  return {
    ...(sample === undefined ? {} : { sampling: {} }),
    ...(elicit === undefined ? {} : { elicitation: { form: { applyDefaults: true } } }),
    ...(roots === undefined ? {} : { roots: {} }),
  };
}

function answerRequests(client: Client, { settings, requests, asked }: McpClientOptions): void {
  const { sample, elicit, roots } = requests;
  const during = (signal: AbortSignal) => ({ source: settings.name, context: asked.context(), signal });
  if (sample !== undefined) {
    client.setRequestHandler('sampling/createMessage', ({ params }, { mcpReq }) =>
      answered(sample({ ...params }, during(mcpReq.signal))),
    );
  }
  if (elicit !== undefined) {
    client.setRequestHandler('elicitation/create', ({ params }, { mcpReq }) =>
      answered(elicit({ ...params }, during(mcpReq.signal))),
    );
  }
  if (roots !== undefined) {
    client.setRequestHandler('roots/list', () => ({ roots: roots.map((root) => ({ ...root })) }));
  }
}

/** The answer, which the driver checks against the protocol; or that there is none, but not why: that may tell secrets. */
async function answered(answer: Promise<unknown>): Promise<never> {
  try {
    return (await answer) as never;
  } catch {
    throw new ProtocolError(ProtocolErrorCode.InternalError, 'the request could not be answered');
  }
}

function reportLevel(level: string): ServerReport['level'] {
  if (level === 'debug' || level === 'info' || level === 'warning') return level;
  return level === 'notice' ? 'info' : 'error';
}
