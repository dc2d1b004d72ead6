/** The shapes of sessions as operators see them. */

import { Type } from 'typebox';
import { listQuery, Session } from '../schemas.ts';

const STRICT = { additionalProperties: false };

/** An id of a managed client, `static:` and the name of a key of the settings, or `open`. */
export const Owner = Type.String({
  minLength: 1,
  maxLength: 256,
  description: 'The client whose it is: an id, `static:` and a name of API_KEYS, or `open`',
});

export const OwnedSession = Type.Object({ ...Session.properties, owner: Owner });

export const SessionsQuery = Type.Object({ ...listQuery('desc'), owner: Type.Optional(Owner) }, STRICT);
/** The owner is required: nothing deletes the sessions of all. */
export const OwnerQuery = Type.Object({ owner: Owner }, STRICT);

export const DeletedSessions = Type.Object({
  object: Type.Literal('deleted_sessions'),
  owner: Owner,
  deleted: Type.Integer({ minimum: 0, description: 'How many sessions there were' }),
});
