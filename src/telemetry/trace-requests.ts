/** Spans around HTTP requests, in the words of OpenTelemetry's conventions. Paths and queries are no part of them. */

import { context, propagation, ROOT_CONTEXT, SpanKind, type Tracer, trace } from '@opentelemetry/api';
import { failSpan } from './failed-span.ts';

export interface ArrivedRequest {
  id: string;
  method: string;
  /** The pattern of the route, never a path; null where there is none. */
  route: string | null;
  headers: NodeJS.Dict<string | string[]>;
}

export interface RequestTrace {
  /** Of the trace that the request is part of, for the log. */
  readonly traceId: string;
  /** Does work as part of the request: what it begins belongs to it, also when that outlives it. */
  run(work: () => void): void;
  /** The connection is done with the request, whatever became of the answer. */
  end(answer: RequestEnd): void;
}

export interface RequestEnd {
  /** Null where the client left before the answer began. */
  status: number | null;
  /** Of the error, if it was answered with one. */
  code: string | null;
  /** Whether the client left before the end of the answer. */
  clientLeft: boolean;
}

/** What begins the span of a request: in the caller's trace, if its headers name one. */
export function traceRequests(tracer: Tracer): (request: ArrivedRequest) => RequestTrace {
  return ({ id, method, route, headers }) => {
    const caller = propagation.extract(ROOT_CONTEXT, headers);
    const attributes = {
      'http.request.method': method,
      ...(route === null ? {} : { 'http.route': route }),
      'parley.request.id': id,
    };
    const name = route === null ? method : `${method} ${route}`;
    const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, caller);
    const inSpan = trace.setSpan(caller, span);
    return {
      traceId: span.spanContext().traceId,
      run: (work) => context.with(inSpan, work),
      end({ status, code, clientLeft }) {
        if (status !== null) span.setAttribute('http.response.status_code', status);
        if (code !== null) span.setAttribute('parley.error.code', code);
        if (clientLeft) span.setAttribute('parley.request.client_left', true);
        // By the conventions, what is wrong about a request is no failure of the server's.
        if (status !== null && status >= 500) failSpan(span, code ?? String(status));
        span.end();
      },
    };
  };
}
