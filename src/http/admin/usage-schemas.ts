/** The shapes of what clients have used. */

import { Type } from 'typebox';
import { nullable } from '../schemas.ts';
import { Owner } from './session-schemas.ts';

/** Nothing was counted before there was this server. */
const Day = Type.String({ format: 'date', pattern: '^2', description: 'A day in UTC, `YYYY-MM-DD`' });

export const PARTS = ['day', 'client', 'provider', 'model'] as const;
const part = `(?:${PARTS.join('|')})`;

export const UsageQuery = Type.Object(
  {
    from: Type.Optional({ ...Day, description: 'The first day; 30 days together with `to` if left out' }),
    to: Type.Optional({ ...Day, description: 'The last day, itself included; today if left out' }),
    owner: Type.Optional(Owner),
    by: Type.Optional(
      Type.String({
        pattern: `^(?:${part}(?:,${part}){0,3})?$`,
        default: 'day',
        description: 'What to tell apart: some of `day,client,provider,model`; nothing makes one sum of all',
      }),
    ),
  },
  { additionalProperties: false },
);

const Count = Type.Integer({ minimum: 0 });
// Providers say how many, and some of them in fractions.
const Tokens = Type.Number({ minimum: 0 });

export const Usage = Type.Object({
  day: Type.Optional(Day),
  owner: Type.Optional(Owner),
  client_name: Type.Optional(
    nullable(Type.String({ description: 'Null where there is no such client (any more)' })),
  ),
  provider: Type.Optional(Type.String()),
  model: Type.Optional(Type.String()),
  turns: Type.Integer({
    minimum: 0,
    description: 'Each counts once, for the model that was the last to answer',
  }),
  attempts: Count,
  input_tokens: Tokens,
  output_tokens: Tokens,
  cached_tokens: Type.Number({ minimum: 0, description: 'Part of `input_tokens`' }),
  reasoning_tokens: Type.Number({ minimum: 0, description: 'Part of `output_tokens`' }),
  cost: Type.Number({ minimum: 0, description: "In the providers' currency, of those that tell" }),
});

export const UsageList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Usage),
  has_more: Type.Boolean({
    description: 'There are more sums than one answer has; ask for fewer days, or one owner',
  }),
  from: Day,
  to: Day,
});
