/** The shapes of the administration, as `schemas.ts` has those of the API. */

import { Type } from 'typebox';
import { listQuery, nullable, plainText, Time } from '../schemas.ts';

const STRICT = { additionalProperties: false };

export const Note = plainText({ maxLength: 256, description: "The operator's own words" });
const Id = Type.String({ minLength: 1, maxLength: 128 });

export const Bypass = Type.Object({
  ip: Type.String({ description: 'Address or network in CIDR notation' }),
  note: nullable(Note),
  created_at: Time,
  expires_at: nullable(Time),
});
export const BypassList = Type.Object({ object: Type.Literal('list'), data: Type.Array(Bypass) });
export const BypassRequest = Type.Object(
  {
    ip: Type.String({ minLength: 1, maxLength: 64, description: 'Address or network, IPv4 or IPv6' }),
    note: Type.Optional(nullable(Note)),
    expires_at: Type.Optional(nullable(Time)),
  },
  STRICT,
);
export const BypassParams = Type.Object({ ip: Type.String({ description: 'Address or network' }) });
export const NetworkParams = Type.Object({ ip: Type.String(), bits: Type.String() });

/** Far more than anybody pays for, and still counted exactly. */
const TOKENS_MAX = 1_000_000_000_000;

export const Limits = Type.Object(
  {
    rps: Type.Optional(nullable(Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }))),
    burst: Type.Optional(nullable(Type.Integer({ minimum: 1, maximum: 1_000_000 }))),
    concurrent_turns: Type.Optional(nullable(Type.Integer({ minimum: 1, maximum: 1_000_000 }))),
    tokens_per_minute: Type.Optional(nullable(Type.Integer({ minimum: 1, maximum: TOKENS_MAX }))),
    tokens_per_day: Type.Optional(nullable(Type.Integer({ minimum: 1, maximum: TOKENS_MAX }))),
  },
  { ...STRICT, description: "Null leaves it to the server's own RATE_… settings" },
);
const Name = plainText({ minLength: 1, maxLength: 128 });

const client = {
  object: Type.Literal('client'),
  id: Id,
  name: Name,
  limits: Type.Object({
    rps: nullable(Type.Number()),
    burst: nullable(Type.Integer()),
    concurrent_turns: nullable(Type.Integer()),
    tokens_per_minute: nullable(Type.Integer()),
    tokens_per_day: nullable(Type.Integer()),
  }),
  created_at: Time,
  updated_at: Time,
};
const key = {
  object: Type.Literal('key'),
  id: Id,
  client_id: Id,
  prefix: Type.String({ description: 'How the key begins' }),
  note: nullable(Note),
  created_at: Time,
  expires_at: nullable(Time),
  revoked_at: nullable(Time),
  last_used_at: nullable(Time),
};
const secret = { key: Type.String({ description: 'The key itself, shown this once' }) };

export const Client = Type.Object(client);
export const Key = Type.Object(key);
export const NewKey = Type.Object({ ...key, ...secret });
export const NewClient = Type.Object({ ...client, key: Type.Object({ ...key, ...secret }) });
export const KeyList = Type.Object({ object: Type.Literal('list'), data: Type.Array(Key) });

const keyRequest = {
  note: Type.Optional(nullable(Note)),
  expires_at: Type.Optional(nullable(Time)),
};
export const KeyRequest = Type.Object(keyRequest, STRICT);
export const ClientRequest = Type.Object(
  { name: Name, limits: Type.Optional(Limits), ...keyRequest },
  STRICT,
);
export const ClientChange = Type.Object({ name: Type.Optional(Name), limits: Type.Optional(Limits) }, STRICT);
export const RotateRequest = Type.Object(
  {
    grace_seconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 2_592_000, description: 'How long the old key is good as well' }),
    ),
  },
  STRICT,
);
export const ClientParams = Type.Object({ client_id: Type.String() });
export const KeyParams = Type.Object({ key_id: Type.String() });

export const AuditRecord = Type.Object({
  object: Type.Literal('audit_entry'),
  id: Id,
  at: Time,
  action: Type.String(),
  subject: Type.String(),
  details: Type.Record(Type.String(), Type.Unknown()),
});
export const AuditQuery = Type.Object(listQuery('desc', Id), STRICT);
export const ClientListQuery = Type.Object(listQuery('asc', Id), STRICT);
