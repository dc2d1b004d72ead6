/** The shapes of what the server says of itself: its providers, its health and its readiness. */

import { Type } from 'typebox';
import { nullable, Time } from './schemas.ts';

export const Target = Type.Object({
  model: Type.String(),
  state: Type.Enum(['closed', 'resting', 'open', 'half_open'], {
    description:
      '`closed`: nothing speaks against it; `resting`: it asked to be left alone; `open`: it failed too often and is left out; ' +
      '`half_open`: one request is trying whether it is back',
  }),
  since: Time,
  until: nullable(Time),
});

const InService = Type.Boolean({ description: 'Whether no operator has stopped the provider' });

const Route = Type.Object({
  name: Type.String(),
  targets: Type.Array(
    Type.Object({
      provider: Type.String(),
      model: Type.String(),
      weight: nullable(Type.Number({ description: 'Its share of the requests; null: by order alone' })),
      context_tokens: nullable(Type.Integer()),
    }),
  ),
});

export const ProviderList = Type.Object({
  object: Type.Literal('list'),
  default: Type.String(),
  data: Type.Array(
    Type.Object({
      object: Type.Literal('provider'),
      name: Type.String(),
      default_model: nullable(Type.String()),
      models: Type.Array(Type.String()),
      context_tokens: nullable(Type.Integer()),
      in_service: InService,
      targets: Type.Array(Target, {
        description: 'The models that are known to be asked, and how it stands with each',
      }),
    }),
  ),
  routes: Type.Array(Route, { description: 'Lists of targets that can be named as a model' }),
});

export const Health = Type.Object({
  status: Type.Literal('ok'),
  version: Type.String(),
  uptime_seconds: Type.Number(),
  errors: Type.Object({
    total: Type.Integer(),
    by_code: Type.Record(Type.String(), Type.Integer()),
    last: nullable(Type.Object({ code: Type.String(), request_id: Type.String(), at: Time })),
  }),
});

const Count = Type.Integer({ minimum: 0 });
const Counts = Type.Record(Type.String(), Count);

export const Metrics = Type.Object({
  uptime_seconds: Type.Number(),
  requests_total: Type.Integer({ minimum: 0, description: 'Requests that are over' }),
  responses_total: Type.Integer({
    minimum: 0,
    description: 'Those of them whose answer began before the client left',
  }),
  errors_total: Type.Integer({ minimum: 0, description: 'Those of them that were answered with an error' }),
  requests_by_method: Counts,
  responses_by_status: Counts,
  errors_by_code: Counts,
  request_latency_avg_ms: Type.Number({
    minimum: 0,
    description: 'From the head of a request to the end of its answer, streams included',
  }),
  turns: Type.Object({
    total: Type.Integer({ minimum: 0, description: 'Turns that are over' }),
    running: Count,
    by_status: Type.Object({ completed: Count, incomplete: Count, failed: Count, cancelled: Count }),
  }),
  tokens: Type.Object(
    // Providers say how many, and some of them in fractions.
    {
      input: Type.Number({ minimum: 0 }),
      output: Type.Number({ minimum: 0 }),
      cached: Type.Number({ minimum: 0, description: 'Part of `input`' }),
      reasoning: Type.Number({ minimum: 0, description: 'Part of `output`' }),
    },
    { description: 'Of every attempt for which the provider has told' },
  ),
  rate_limit: Type.Object({ allowed: Count, denied: Count }),
  fallbacks_total: Type.Integer({
    minimum: 0,
    description: 'Attempts at another target because the one before had failed',
  }),
});

export const ToolList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      object: Type.Literal('tool'),
      id: Type.String({ description: 'As sessions name it: `server.tool`' }),
      server: Type.String(),
      name: Type.String({ description: 'As its server knows it' }),
      title: Type.Union([Type.String(), Type.Null()]),
      description: Type.Union([Type.String(), Type.Null()]),
      input_schema: Type.Record(Type.String(), Type.Unknown(), {
        description: 'JSON Schema of the arguments',
      }),
    }),
  ),
  unavailable: Type.Array(
    Type.Object(
      { server: Type.String(), reason: Type.String() },
      { description: 'Servers whose tools are not known' },
    ),
  ),
});

const CheckStatus = Type.Enum(['ok', 'unavailable']);

export const Ready = Type.Object({
  status: Type.Enum(['ready', 'unavailable']),
  checks: Type.Object({
    store: Type.Object({ status: CheckStatus }),
    providers: Type.Object({
      status: CheckStatus,
      targets: Type.Array(
        Type.Object({ provider: Type.String(), in_service: InService, ...Target.properties }),
      ),
    }),
    shared: Type.Array(Type.Object({ part: Type.Enum(['limits', 'exchange']), status: CheckStatus }), {
      description: 'What servers share beside the store; a server is ready without it',
    }),
  }),
});
