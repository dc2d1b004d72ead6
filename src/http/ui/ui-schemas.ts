/**
 * The shapes of the AI SDK's chat transport. What the server acts on is held to its form; the rest of a message, which is
 * the client's copy of what the server has itself, may be anything.
 */

import { Type } from 'typebox';
import { MessageRequest, nullable, Time } from '../schemas.ts';

const STRICT = { additionalProperties: false };
const LOOSE = { additionalProperties: true };

/** As long as a caller's own note on a message may be, where it is kept. */
const MessageId = Type.String({ minLength: 1, maxLength: 512 });

const Part = Type.Object(
  {
    type: Type.String({
      description: '`text`, `file`, `tool-<name>`, `dynamic-tool`; others are not looked at',
    }),
  },
  LOOSE,
);

const { provider, model, memory_limit, options, on_busy, on_disconnect } = MessageRequest.properties;

export const UiChatRequest = Type.Object(
  {
    id: Type.Optional(Type.String({ description: "The client's name for the chat; not looked at" })),
    messages: Type.Array(
      Type.Object(
        {
          id: Type.Optional(MessageId),
          role: Type.Enum(['system', 'user', 'assistant']),
          parts: Type.Array(Part),
        },
        LOOSE,
      ),
      {
        minItems: 1,
        description: "The last one counts, and of the answer before it the results of the client's tools",
      },
    ),
    trigger: Type.Optional(
      Type.Enum(['submit-message', 'regenerate-message'], { default: 'submit-message' }),
    ),
    messageId: Type.Optional(
      nullable(
        Type.String({
          maxLength: 512,
          description: 'The message that is sent anew, or answered again; the last one without it',
        }),
      ),
    ),
    provider,
    model,
    memory_limit,
    options,
    on_busy,
    on_disconnect,
  },
  STRICT,
);

export const UiReconnectParams = Type.Object({
  session_id: Type.String(),
  chat_id: Type.String({ description: "The client's name for the chat; not looked at" }),
});

export const UiMessagesQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        default: 200,
        description: 'Messages, of which whole turns are shown',
      }),
    ),
  },
  STRICT,
);

export const UiMessages = Type.Object({
  messages: Type.Array(
    Type.Object({
      id: Type.String(),
      role: Type.Enum(['system', 'user', 'assistant']),
      metadata: Type.Object({ turn_id: Type.String(), created_at: Time }),
      parts: Type.Array(Type.Object({ type: Type.String() }, LOOSE)),
    }),
  ),
});
