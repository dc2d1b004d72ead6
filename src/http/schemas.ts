/**
 * The shapes of the native API, written once: they validate requests, give handlers their types, and are the
 * OpenAPI document. Requests are strict: a field that is not named here is an error.
 */

import { type TSchema, type TString, type TStringOptions, Type } from 'typebox';
import type { Message as ConversationMessage } from '../conversation/message.ts';

const STRICT = { additionalProperties: false };

export const nullable = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

const Id = Type.String({ format: 'uuid' });
export const Time = Type.String({ format: 'date-time', description: 'ISO 8601, UTC' });

/** Half of a surrogate pair is no character: it cannot be stored, and two of them would become one key. */
const CHARACTER = '(?:[^\\uD800-\\uDFFF]|[\\uD800-\\uDBFF][\\uDC00-\\uDFFF])';

/** Text that is kept as it is, and not as JSON: it consists of characters. */
export const plainText = (options: TStringOptions) => Type.String({ ...options, pattern: `^${CHARACTER}*$` });

const ProviderName = Type.String({ minLength: 1, maxLength: 64, description: 'A name from GET /providers' });
const ModelName = plainText({
  minLength: 1,
  maxLength: 256,
  description: 'A model of the provider; `provider/model` also chooses the provider',
});
const MemoryLimit = Type.Integer({
  minimum: 1,
  description: 'Messages that the model sees, the new one included; at most MEMORY_MAX',
});

/** As at OpenAI: 16 pairs, keys of 64 characters, values of 512. */
const Metadata = Type.Record(
  Type.String({ pattern: `^${CHARACTER}{1,64}$` }),
  Type.String({ pattern: `^${CHARACTER}*$`, maxLength: 512 }),
  { ...STRICT, maxProperties: 16 },
);

/** Ten years; who wants more wants a session that stays. */
const LONGEST_TTL_SECONDS = 315_360_000;

const settings = {
  title: nullable(Type.String({ maxLength: 256 })),
  provider: nullable(ProviderName),
  model: nullable(ModelName),
  fallback_provider: ProviderName,
  fallback_providers: nullable(Type.Array(Type.String({ minLength: 1, maxLength: 320 }), { maxItems: 16 })),
  memory_limit: nullable(MemoryLimit),
  max_context_tokens: nullable(
    Type.Integer({ minimum: 1, description: 'Estimated tokens that the model sees, instructions included' }),
  ),
  instructions: nullable(Type.String({ maxLength: 1_000_000 })),
  tools: nullable(
    Type.Union(
      [Type.Literal('none'), Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 100 })],
      {
        description:
          'Tools of the configured MCP servers that the model may use: `none`, or names of servers (`files`) and of ' +
          "their tools (`files.read_*`), `*` standing for anything; null = the server's default",
      },
    ),
  ),
  metadata: Metadata,
  ttl_seconds: nullable(
    Type.Integer({
      minimum: 1,
      maximum: LONGEST_TTL_SECONDS,
      description: 'The session is deleted this long after its last change or turn; null keeps it',
    }),
  ),
};

export const SessionChange = Type.Partial(Type.Object(settings), STRICT);

export const Session = Type.Object({
  object: Type.Literal('session'),
  id: Id,
  title: settings.title,
  provider: settings.provider,
  model: settings.model,
  fallback_providers: settings.fallback_providers,
  memory_limit: settings.memory_limit,
  max_context_tokens: settings.max_context_tokens,
  instructions: settings.instructions,
  tools: settings.tools,
  metadata: Metadata,
  ttl_seconds: settings.ttl_seconds,
  expires_at: nullable(Time),
  head_turn_id: nullable(Id),
  created_at: Time,
  updated_at: Time,
});

const ContentPart = Type.Union([
  Type.Object({ type: Type.Literal('text'), text: Type.String() }, STRICT),
  Type.Object(
    {
      type: Type.Literal('image_url'),
      image_url: Type.Object(
        {
          url: Type.String({ pattern: '^(https?://|data:image/)', description: 'http(s) or data URL' }),
          detail: Type.Optional(Type.Enum(['auto', 'low', 'high'])),
        },
        STRICT,
      ),
    },
    STRICT,
  ),
  Type.Object(
    {
      type: Type.Literal('file'),
      file: Type.Object(
        {
          filename: Type.Optional(Type.String({ maxLength: 256 })),
          file_data: Type.Optional(Type.String({ pattern: '^data:', description: 'data URL' })),
          file_url: Type.Optional(Type.String({ pattern: '^https?://' })),
          file_id: Type.Optional(Type.String({ maxLength: 256 })),
        },
        { ...STRICT, minProperties: 1 },
      ),
    },
    STRICT,
  ),
]);

const Content = Type.Union([Type.String(), Type.Array(ContentPart, { minItems: 1, maxItems: 256 })]);

export const MessageRequest = Type.Object(
  {
    content: Content,
    role: Type.Optional(Type.Enum(['user', 'system', 'developer', 'tool'])),
    tool_call_id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'With role `tool`: the call this answers' }),
    ),
    metadata: Type.Optional(Metadata),
    provider: Type.Optional(ProviderName),
    model: Type.Optional(ModelName),
    memory_limit: Type.Optional(MemoryLimit),
    options: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description:
          'Settings of Chat Completions, passed to the provider: temperature, max_tokens, tools, …; `tool_name` for MCP servers',
      }),
    ),
    parent_turn_id: Type.Optional(
      nullable(
        Type.String({
          format: 'uuid',
          description:
            'The turn that this one follows; the head without it; null starts the conversation again',
        }),
      ),
    ),
    on_busy: Type.Optional(
      Type.Enum(['queue', 'reject', 'interrupt'], {
        default: 'queue',
        description: 'While another turn of the session runs: wait, be refused with 409, or cancel that turn',
      }),
    ),
    on_disconnect: Type.Optional(
      Type.Enum(['continue', 'cancel'], {
        default: 'continue',
        description: 'Whether the turn goes on when the connection closes before the answer is whole',
      }),
    ),
    stream: Type.Optional(Type.Boolean({ description: 'Whether the answer comes as server-sent events' })),
  },
  STRICT,
);

const IdempotencyKey = Type.String({
  pattern: '^[\\x21-\\x7e]{1,255}$',
  description:
    'Makes a request that is sent again the same request: 1 to 255 visible ASCII characters, of your choice. An ' +
    'answer that was there, or on its way, has the header `Idempotent-Replayed: true`.',
});

/** Other headers are let pass, here as everywhere. */
export const SessionHeaders = Type.Object({ 'idempotency-key': Type.Optional(IdempotencyKey) });
export const MessageHeaders = Type.Object({
  'x-provider': Type.Optional(Type.String({ maxLength: 64, description: 'As `provider` in the body' })),
  'idempotency-key': Type.Optional(IdempotencyKey),
});

/** Kept as text: a number of any length is one, and none of them is too large to be waited for. */
const EventNumber = Type.String({
  pattern: '^(-1|[0-9]+)$',
  description: 'The number of the last event that was read, from which on the events are sent; -1 sends all',
});
export const EventsQuery = Type.Object({ after: Type.Optional(EventNumber) }, STRICT);
export const EventsHeaders = Type.Object({ 'last-event-id': Type.Optional(EventNumber) });

export const ApprovalsRequest = Type.Object(
  {
    approvals: Type.Array(
      Type.Object(
        {
          approval_request_id: Type.String({
            minLength: 1,
            maxLength: 100,
            description: 'The id of an `mcp_approval_request` in the output of the turn',
          }),
          approve: Type.Boolean(),
          reason: Type.Optional(Type.String({ maxLength: 10_000, description: 'Why not, for the model' })),
        },
        STRICT,
      ),
      { minItems: 1, maxItems: 128 },
    ),
    options: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'As those of a message: the settings of the turn before do not hold for this one',
      }),
    ),
    stream: Type.Optional(Type.Boolean({ description: 'Whether the answer comes as server-sent events' })),
  },
  STRICT,
);

/** There is nothing to say beyond what the path says. */
export const CancelRequest = Type.Object({}, STRICT);

const ToolCall = Type.Object({
  id: Type.String(),
  type: Type.Literal('function'),
  function: Type.Object({ name: Type.String(), arguments: Type.String() }),
});

const ShownContent = Type.Union([
  Type.String(),
  Type.Array(
    Type.Union([ContentPart, Type.Object({ type: Type.Literal('refusal'), refusal: Type.String() }, STRICT)]),
  ),
]);

export const Message = Type.Unsafe<ConversationMessage>(
  Type.Object({
    id: Type.String(),
    turn_id: Id,
    role: Type.Enum(['user', 'assistant', 'system', 'developer', 'tool']),
    content: nullable(ShownContent),
    tool_calls: Type.Optional(Type.Array(ToolCall)),
    tool_call_id: Type.Optional(Type.String()),
    created_at: Time,
    metadata: Metadata,
  }),
);

const Usage = Type.Object({
  input_tokens: Type.Integer(),
  input_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  output_tokens: Type.Integer(),
  output_tokens_details: Type.Object({ reasoning_tokens: Type.Integer() }),
  total_tokens: Type.Integer(),
  cost: Type.Optional(Type.Number()),
});

const Attempt = Type.Object({
  provider: Type.String(),
  model: Type.String(),
  status: Type.Enum(['completed', 'failed']),
  error: nullable(
    Type.Object({
      kind: Type.String(),
      http_status: Type.Optional(Type.Integer()),
      clock: Type.Optional(
        Type.String({ description: 'Which time ran out: connect, first_token, idle or turn' }),
      ),
    }),
  ),
  started_at: Time,
  first_token_ms: nullable(Type.Integer()),
  duration_ms: Type.Integer(),
  usage: nullable(Usage),
  malformed_events: Type.Optional(
    Type.Integer({ description: "Events of the provider's stream that could not be read and were skipped" }),
  ),
});

const ProviderSource = Type.Enum(['override', 'session', 'default', 'fallback']);

const FinishReason = Type.Enum(['stop', 'length', 'tool_calls', 'content_filter']);

export const Answer = Type.Object({
  session_id: Id,
  turn_id: Id,
  status: Type.Enum(['completed', 'incomplete']),
  provider: nullable(Type.String()),
  provider_source: nullable(ProviderSource),
  model: nullable(Type.String()),
  message: nullable(Message),
  finish_reason: nullable(FinishReason),
  usage: nullable(Usage),
  history: Type.Array(Message, { description: 'What the model saw of the conversation, and the answer' }),
  attempts: Type.Array(Attempt),
  pending_approvals: Type.Optional(
    Type.Array(
      Type.Object({
        approval_request_id: Type.String(),
        server: Type.String(),
        name: Type.String(),
        arguments: Type.String({ description: 'As the model wrote them: JSON, as a rule' }),
      }),
      {
        description:
          'Calls that somebody has to decide about before the model can go on; only if there are any',
      },
    ),
  ),
});

export const TurnRecord = Type.Object({
  object: Type.Literal('turn'),
  id: Id,
  session_id: Id,
  parent_turn_id: nullable(Id),
  status: Type.Enum(['queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled'], {
    description:
      '`incomplete`: the model was cut short by its own limits, or waits for approvals; `cancelled`: somebody stopped it',
  }),
  input: Type.Array(Type.Unknown(), {
    description: 'Items, in the JSON of the Open Responses specification',
  }),
  output: Type.Array(Type.Unknown(), {
    description: 'Items, in the JSON of the Open Responses specification',
  }),
  provider: nullable(Type.String()),
  provider_source: nullable(ProviderSource),
  model: nullable(Type.String()),
  finish_reason: nullable(FinishReason),
  usage: nullable(Usage),
  attempts: Type.Array(Attempt),
  error: nullable(
    Type.Object({ code: Type.String(), message: Type.String(), details: Type.Optional(Type.Unknown()) }),
  ),
  created_at: Time,
  completed_at: nullable(Time),
});

export const WindowRecord = Type.Object({
  object: Type.Literal('window'),
  session_id: Id,
  instructions: nullable(Type.String()),
  messages: Type.Array(Message),
  memory_limit: Type.Integer(),
  max_context_tokens: nullable(Type.Integer()),
  estimated_tokens: nullable(Type.Integer({ description: 'Only where max_context_tokens is set' })),
  left_out: Type.Object({
    messages: Type.Integer(),
    reason: nullable(Type.Enum(['memory_limit', 'max_context_tokens'])),
  }),
});

export const ErrorAnswer = Type.Object({
  error: Type.Object({ code: Type.String(), message: Type.String(), details: Type.Optional(Type.Unknown()) }),
  request_id: Type.String({ description: 'As in X-Request-ID: the one that was sent, if it is sane' }),
});

export const listOf = <Schema extends TSchema>(element: Schema) =>
  Type.Object({
    object: Type.Literal('list'),
    data: Type.Array(element),
    first_id: nullable(Type.String()),
    last_id: nullable(Type.String()),
    has_more: Type.Boolean(),
  });

/** @param order the list's usual order @param after what a cursor looks like */
export const listQuery = (order: 'asc' | 'desc', after: TString = Id) => ({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20 })),
  after: Type.Optional(after),
  order: Type.Optional(Type.Enum(['asc', 'desc'], { default: order })),
});

/** Not held to the form of an id: whatever is not one names nothing, which is a 404 and not a 400. */
const IdInPath = Type.String({ description: 'UUID' });
export const SessionParams = Type.Object({ session_id: IdInPath });
export const MessageParams = Type.Object({
  session_id: IdInPath,
  message_id: Type.String({ description: "A message's id, or that of any other item of a turn" }),
});
export const TurnParams = Type.Object({ session_id: IdInPath, turn_id: IdInPath });
export const SessionListQuery = Type.Object(
  { ...listQuery('desc'), metadata: Type.Optional({ ...Metadata, style: 'deepObject', explode: true }) },
  STRICT,
);
export const TurnListQuery = Type.Object(listQuery('asc'), STRICT);
export const MessageListQuery = Type.Object(
  listQuery('asc', Type.String({ minLength: 1, maxLength: 128 })),
  STRICT,
);
export const ForkRequest = Type.Object({ turn_id: Type.Optional(Id) }, STRICT);
