/** The shapes of turns as operators see them: whose, when and how they ended, and nothing of what was said. */

import { Type } from 'typebox';
import { listOf, listQuery, Time, TurnRecord } from '../schemas.ts';
import { Owner } from './session-schemas.ts';

const { input: _input, output: _output, ...shown } = TurnRecord.properties;

export const TurnSummary = Type.Object({ ...shown, owner: Owner });
export const TurnSummaryList = listOf(TurnSummary);

const { limit, after } = listQuery('desc');

export const TurnsQuery = Type.Object(
  {
    limit,
    after,
    status: Type.Optional(Type.Enum(['in_progress', 'completed', 'incomplete', 'failed', 'cancelled'])),
    provider: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'Who answered, or was tried last' }),
    ),
    owner: Type.Optional(Owner),
    session_id: Type.Optional(Type.String({ format: 'uuid' })),
    since: Type.Optional({ ...Time, description: 'Turns that began then or later' }),
  },
  { additionalProperties: false },
);
/** As in every path, whatever is no id names nothing. */
export const TurnParams = Type.Object({ turn_id: Type.String({ description: 'UUID' }) });
