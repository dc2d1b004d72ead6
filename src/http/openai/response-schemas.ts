/** The shapes of responses for the OpenAPI document: what is read of a request is checked where it is read. */

import { Type } from 'typebox';
import { OPEN, orderQuery, pageQuery } from './openai-schemas.ts';
import { COMPACT_FIELDS, INPUT_TOKENS_FIELDS, RESPONSE_FIELDS } from './response-request.ts';

/** What is said of the fields that the document has to explain; the others are OpenAI's. */
const DESCRIBED: Partial<Record<(typeof RESPONSE_FIELDS)[number], string>> = {
  input: 'A text, or items',
  conversation: 'The conversation to be part of, by its id',
  previous_response_id: 'The response to follow',
  instructions: 'For this response alone; without them, those of its session',
  model: 'A model, `provider/model` or a route',
  tools: 'Functions, and `{type: "mcp", server_label}` for tools of configured servers',
  truncation: '`disabled` shows the model the whole past, `auto` what the memory of the session holds',
  store: 'False keeps nothing',
  background: 'Answers at once; the response is looked for later',
};

/** The body of `POST /v1/responses`. */
export const ResponseBody = Type.Object(
  Object.fromEntries(
    RESPONSE_FIELDS.map((name) => {
      const description = DESCRIBED[name];
      return [name, Type.Optional(Type.Unknown(description === undefined ? {} : { description }))];
    }),
  ),
  OPEN,
);

const bodyOf = (names: readonly string[]) =>
  Type.Object(Object.fromEntries(names.map((name) => [name, Type.Optional(Type.Unknown())])), OPEN);

/** The body of `POST /v1/responses/input_tokens`. */
export const InputTokensBody = bodyOf(INPUT_TOKENS_FIELDS);

/** The body of `POST /v1/responses/compact`. */
export const CompactBody = bodyOf(COMPACT_FIELDS);

/** The response object. */
export const ResponseObject = Type.Object(
  {
    id: Type.String(),
    object: Type.Literal('response'),
    created_at: Type.Integer({ description: 'Seconds since the epoch' }),
    status: Type.String(),
    model: Type.String(),
    output: Type.Array(Type.Object({}, OPEN)),
  },
  OPEN,
);

export const ResponseParams = Type.Object({ response_id: Type.String() });

const Included = Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())]));
/** Lists in a query are written in two ways. */
const included = { include: Included, 'include[]': Included };

export const ResponseQuery = Type.Object(
  {
    stream: Type.Optional(Type.Union([Type.Literal('true'), Type.Literal('false')])),
    starting_after: Type.Optional(Type.Integer({ minimum: 0, description: 'The number of a frame' })),
    include_obfuscation: Type.Optional(Type.Literal('false')),
    ...included,
  },
  { additionalProperties: false },
);

export const InputItemsQuery = Type.Object(
  { ...pageQuery, ...orderQuery('desc'), ...included },
  { additionalProperties: false },
);

export const ResponsesQuery = Type.Object(pageQuery, { additionalProperties: false });
