/** The shapes of what operators see of the tools of servers and do with them. */

import { Type } from 'typebox';
import { nullable, Time } from '../schemas.ts';

const STRICT = { additionalProperties: false };

const Fingerprint = Type.String({
  minLength: 1,
  maxLength: 128,
  description: 'Of the name, the description and the schema: the same for the same',
});

const Sight = Type.Object({
  fingerprint: Fingerprint,
  description: nullable(Type.String()),
  input_schema: Type.Unknown({ description: 'JSON Schema of the arguments, as the server gives it' }),
  seen_at: Time,
});

export const KnownTool = Type.Object({
  object: Type.Literal('tool'),
  server: Type.String(),
  name: Type.String({ description: 'As the server knows it' }),
  state: Type.Union([Type.Literal('accepted'), Type.Literal('changed')], {
    description:
      '`changed`: the server says something else of it than was accepted, which waits for an operator',
  }),
  offered: Type.Boolean({
    description: 'Whether models are offered it: accepted, or of a server that is trusted',
  }),
  configured: Type.Boolean({ description: 'Whether there is such a server' }),
  accepted: Sight,
  waiting: nullable(Sight),
});
export const KnownToolList = Type.Object({ object: Type.Literal('list'), data: Type.Array(KnownTool) });

export const KnownToolQuery = Type.Object(
  { state: Type.Optional(Type.Union([Type.Literal('accepted'), Type.Literal('changed')])) },
  STRICT,
);
export const KnownToolParams = Type.Object({
  server: Type.String({ description: 'The name of a server' }),
  tool: Type.String({ description: 'The name of a tool, percent-encoded' }),
});
export const AcceptRequest = Type.Object({ fingerprint: Fingerprint }, STRICT);
