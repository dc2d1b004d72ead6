/** The shapes of what somebody decides, and enters, about the calls of a turn. */

import { Type } from 'typebox';

const STRICT = { additionalProperties: false };

export const Elicitation = Type.Boolean({
  default: false,
  description:
    'Whether tools may ask something while they run: `tool.input_requested` in the stream, answered by `POST …/inputs`',
});

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
    elicitation: Type.Optional(Elicitation),
    options: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'As those of a message: the settings of the turn before do not hold for this one',
      }),
    ),
    stream: Type.Optional(Type.Boolean({ description: 'Whether the answer comes as server-sent events' })),
  },
  STRICT,
);

export const InputRequest = Type.Object(
  {
    request_id: Type.String({
      minLength: 1,
      maxLength: 100,
      description: 'The `request_id` of a `tool.input_requested`',
    }),
    action: Type.Enum(['accept', 'decline', 'cancel']),
    content: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'What was entered, as the `schema` of the request wants it; with `accept` alone',
      }),
    ),
  },
  STRICT,
);
