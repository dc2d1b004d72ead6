/** What the routes are made of: the rooms behind them, as the composition root hands them over. */

import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import type { TargetState } from '../conversation/target-state.ts';
import type { Providers } from '../providers/provider.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Toolboxes } from '../tools/toolbox.ts';
import type { Turns } from '../turns/turns.ts';
import type { AdminRooms } from './admin/admin-rooms.ts';
import type { ErrorSummary } from './error-summary.ts';
import type { Metrics } from './server-schemas.ts';
import type { StreamTimes } from './sse.ts';

/** Fastify with the schemas of `schemas.ts` as the types of requests. */
export type App = FastifyInstance<
  Server,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What is taken of connections. */
export interface Reception {
  /** How long a client may take to send a whole request, head and body. */
  requestMilliseconds: number;
  /** Connections at a time; further ones are closed. */
  connectionsMax: number;
}

export interface Rooms {
  /**
   * Lets a request pass, or throws why not.
   * @param administration whether the request came in where nothing else is
   */
  gate(request: FastifyRequest, reply: FastifyReply, administration: boolean): Promise<void>;
  /** Whose `X-Forwarded-For` is believed: that of these networks, of whoever the function says, or nobody's. */
  trustProxy: string | ((address: string, hop: number) => boolean) | false;
  /** What is taken of connections. */
  reception: Reception;
  /** Origins of the web pages that may call the API; `*` for all. */
  corsOrigins: readonly string[];
  admin: AdminRooms;
  sessions: Sessions;
  turns: Turns;
  providers: Pick<Providers, 'all' | 'default'>;
  readiness: Readiness;
  toolboxes: Pick<Toolboxes, 'list'>;
  /** Lists of targets with a name, as the operator has declared them. */
  routes: readonly NamedRoute[];
  /** How long an `Idempotency-Key` stands for its request, in seconds. */
  idempotencySeconds: number;
  errors: ErrorSummary;
  /** Null where nothing is counted; then there is no route for it. */
  metrics: HttpMetrics | null;
  /** Begins the trace of a request; null where requests leave none. */
  beginTrace: BeginTrace | null;
  version: string;
  streamTimes: StreamTimes;
}

/** What counts requests, and tells what was counted, of requests and of everything else. */
export interface HttpMetrics {
  /** A request is over. */
  request(request: {
    method: string;
    /** The pattern of the route, never a path; null where there is none. */
    route: string | null;
    /** Null where the client left before the answer began. */
    status: number | null;
    /** Of the error, if it was answered with one. */
    code: string | null;
    seconds: number;
  }): void;
  /** All of it, in the text format of Prometheus. */
  text(): Promise<{ contentType: string; body: string }>;
  /** In short. */
  json(): Promise<Static<typeof Metrics>>;
}

/** What follows a request, and everything that it begins, in a trace. */
export type BeginTrace = (request: {
  id: string;
  method: string;
  /** The pattern of the route, never a path; null where there is none. */
  route: string | null;
  headers: IncomingHttpHeaders;
}) => RequestTrace;

export interface RequestTrace {
  /** For the log. */
  readonly traceId: string;
  /** Does work as part of the request, and so what it begins. */
  run(work: () => void): void;
  /** The connection is done with the request, whatever became of the answer. */
  end(answer: {
    /** Null where the client left before the answer began. */
    status: number | null;
    /** Of the error, if it was answered with one. */
    code: string | null;
    /** Whether the client left before the end of the answer. */
    clientLeft: boolean;
  }): void;
}

/** What tells whether the server can do its work. */
export interface Readiness {
  /** Rejects if the store could not serve a turn now. */
  store(): Promise<void>;
  /** The known targets: those that have been asked, and others that would be. */
  targets(): readonly TargetState[];
  /** Whether no operator has taken the provider of that name out of service. */
  isInService(provider: string): boolean;
  /** What the server shares with others beside the store; empty if nothing. */
  shared(): readonly SharedPart[];
}

/** Something that servers share, in whose place there is something else while it cannot be reached. */
export interface SharedPart {
  part: 'limits' | 'exchange';
  isReached: boolean;
}

export interface NamedRoute {
  name: string;
  targets: readonly {
    provider: string;
    model: string;
    /** Its share of the requests among the targets with a weight; null where the order alone decides. */
    weight: number | null;
    /** Tokens that the model takes; null where the operator has not said so. */
    context_tokens: number | null;
  }[];
}
