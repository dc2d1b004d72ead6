/**
 * A collector of traces in the process of the test: an HTTP server that takes what is sent by OTLP as JSON, as
 * OpenTelemetry's own would, and shows it.
 */

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text as readText } from 'node:stream/consumers';

export interface TraceCollector {
  /** The endpoint to configure. */
  readonly url: string;
  /** What was posted, oldest first. */
  readonly posts: readonly { path: string; headers: IncomingHttpHeaders; text: string }[];
  /** The spans of all posts, in the order of their end. */
  spans(): CollectedSpan[];
  /** From now on posts are answered with this status, or never. */
  respond(answer: number | 'never'): void;
  close(): Promise<void>;
}

export interface CollectedSpan {
  name: string;
  traceId: string;
  spanId: string;
  /** Undefined for the first of a trace. */
  parentSpanId: string | undefined;
  /** As OTLP counts: 1 internal, 2 server, 3 client. */
  kind: number;
  /** As OTLP counts: 0 unset, 2 error. */
  status: { code: number; message?: string };
  attributes: Record<string, unknown>;
  /** Of the server as a whole. */
  resource: Record<string, unknown>;
  /** Nanoseconds since the epoch. */
  startedAt: bigint;
  endedAt: bigint;
}

/** Starts a collector on a free port of the loopback interface. */
export async function startTraceCollector(): Promise<TraceCollector> {
  const posts: { path: string; headers: IncomingHttpHeaders; text: string }[] = [];
  let answer: number | 'never' = 200;
  const server = createServer((request, response) => {
    void readText(request).then((text) => {
      posts.push({ path: request.url ?? '', headers: request.headers, text });
      if (answer !== 'never') response.writeHead(answer, { 'content-type': 'application/json' }).end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    posts,
    spans: () => posts.flatMap(({ text }) => spansIn(JSON.parse(text))),
    respond(next) {
      answer = next;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The spans of a trace as lines, each indented below what it is part of, in the order of their beginning. */
export function treeOf(spans: readonly CollectedSpan[], parent?: CollectedSpan): string[] {
  const isTop = ({ parentSpanId }: CollectedSpan) => !spans.some(({ spanId }) => spanId === parentSpanId);
  const children = spans.filter((span) =>
    parent === undefined ? isTop(span) : span.parentSpanId === parent.spanId,
  );
  children.sort((one, other) => Number(one.startedAt - other.startedAt));
  return children.flatMap((span) => [span.name, ...treeOf(spans, span).map((line) => `  ${line}`)]);
}

function spansIn(request: any): CollectedSpan[] {
  return request.resourceSpans.flatMap(({ resource, scopeSpans }: any) =>
    scopeSpans.flatMap(({ spans }: any) =>
      spans.map((span: any) => ({
        name: span.name,
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
        kind: span.kind,
        status: span.status,
        attributes: attributesOf(span.attributes),
        resource: attributesOf(resource.attributes),
        startedAt: BigInt(span.startTimeUnixNano),
        endedAt: BigInt(span.endTimeUnixNano),
      })),
    ),
  );
}

function attributesOf(list: readonly { key: string; value: any }[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: any): unknown {
  if ('arrayValue' in value) return value.arrayValue.values.map(valueOf);
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? Number(value.intValue);
}
