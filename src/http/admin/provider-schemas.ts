/** The shapes of what operators see of providers and do with them. */

import { Type } from 'typebox';
import { nullable, Time } from '../schemas.ts';
import { Target } from '../server-schemas.ts';
import { Note } from './admin-schemas.ts';

const STRICT = { additionalProperties: false };

export const OperatedProvider = Type.Object({
  object: Type.Literal('provider'),
  name: Type.String(),
  in_service: Type.Boolean({ description: 'Whether no operator has stopped it' }),
  stopped_at: nullable(Time),
  note: nullable(Note),
  default_model: nullable(Type.String()),
  targets: Type.Array(Target, {
    description: 'The models that are known to be asked, and how it stands with each',
  }),
});
export const OperatedProviderList = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(OperatedProvider),
});

export const ProviderParams = Type.Object({
  provider: Type.String({ description: 'The name of a provider' }),
});
export const StopRequest = Type.Object({ note: Type.Optional(nullable(Note)) }, STRICT);
export const StartRequest = Type.Object({}, STRICT);
export const ResetRequest = Type.Object(
  {
    model: Type.Optional(
      nullable(Type.String({ minLength: 1, maxLength: 256, description: 'Null: all of the provider' })),
    ),
  },
  STRICT,
);
