/**
 * What a record of each kind looks like in an export: its fields, by name and in their order. A record is written field
 * by field, so that every engine writes the same; and it is read only if it has these fields and no others, for what
 * would be left out would be lost. It knows neither lines nor files.
 */

import type { ApiKey, AuditEntry, BypassEntry, Client, ClientLimits } from '../conversation/client.ts';
import type { KnownTool, ToolSight } from '../conversation/known-tool.ts';
import type { Session } from '../conversation/session.ts';
import type { StoppedProvider } from '../conversation/stopped-provider.ts';
import type { ServedBy } from '../conversation/turn.ts';
import type { UsageTotal } from '../conversation/usage-count.ts';
import type {
  PortableKind,
  PortableSessionKey,
  PortableTurn,
  PortableTurnKey,
  PortableValues,
} from './portable-store.ts';

/** What a value must be. */
interface Field {
  /** To follow "must be". */
  readonly what: string;
  holds(value: unknown): boolean;
  /** As it is written. */
  written(value: unknown): unknown;
}

/** The fields of a value, each of which it must have. */
type Shape<Value> = { readonly [Name in keyof Value]-?: Field };

const text = plain('text', (value) => typeof value === 'string');
/** Text that an engine may keep in UTF-8, which has no half characters: what takes their place there takes it here. */
const characters: Field = {
  what: 'text of whole characters',
  holds: (value) => typeof value === 'string' && value.isWellFormed(),
  written: (value) => (value as string).toWellFormed(),
};
const number = plain('a number', (value) => typeof value === 'number');
const textOrNull = orNull(text);
const charactersOrNull = orNull(characters);
const numberOrNull = orNull(number);
const status = plain('the state of a turn that is over', (value) =>
  ['completed', 'incomplete', 'failed', 'cancelled'].includes(value as string),
);
const texts = plain('a list of texts', (value) => Array.isArray(value) && value.every(text.holds));
const toolChoice = plain('none or a list of texts', (value) => value === 'none' || texts.holds(value));
const object = plain('an object', isObject);
const pairs = plain(
  'an object of texts',
  (value) => isObject(value) && Object.values(value).every(text.holds),
);
const items = plain(
  'a list of items',
  (value) =>
    Array.isArray(value) &&
    value.every((item) => isObject(item) && text.holds(item['type']) && text.holds(item['id'])),
);

const limits: Shape<ClientLimits> = {
  rps: numberOrNull,
  burst: numberOrNull,
  concurrentTurns: numberOrNull,
  tokensPerMinute: numberOrNull,
  tokensPerDay: numberOrNull,
};
const client: Shape<Client> = {
  id: text,
  name: characters,
  limits: shaped(limits),
  createdAt: number,
  updatedAt: number,
};
const key: Shape<ApiKey> = {
  id: text,
  clientId: text,
  prefix: text,
  hash: text,
  note: charactersOrNull,
  createdAt: number,
  expiresAt: numberOrNull,
  revokedAt: numberOrNull,
  lastUsedAt: numberOrNull,
};
const bypass: Shape<BypassEntry> = {
  network: text,
  note: charactersOrNull,
  createdAt: number,
  expiresAt: numberOrNull,
};
const stoppedProvider: Shape<StoppedProvider> = { provider: text, note: charactersOrNull, stoppedAt: number };
const sight: Shape<ToolSight> = {
  fingerprint: text,
  description: textOrNull,
  inputSchema: object,
  seenAt: number,
};
const knownTool: Shape<KnownTool> = {
  server: text,
  name: text,
  accepted: shaped(sight),
  waiting: orNull(shaped(sight)),
};
const audit: Shape<AuditEntry> = { id: text, at: number, action: text, subject: characters, details: object };
const usage: Shape<UsageTotal> = {
  day: text,
  owner: characters,
  provider: text,
  model: characters,
  writer: text,
  turns: number,
  attempts: number,
  inputTokens: number,
  outputTokens: number,
  cachedTokens: number,
  reasoningTokens: number,
  cost: number,
};
const servedBy: Shape<ServedBy> = { provider: text, model: text };
const session: Shape<Session> = {
  id: text,
  owner: text,
  title: textOrNull,
  provider: textOrNull,
  model: textOrNull,
  fallbackProviders: orNull(texts),
  memoryLimit: numberOrNull,
  maxContextTokens: numberOrNull,
  instructions: textOrNull,
  tools: orNull(toolChoice),
  metadata: pairs,
  ttlSeconds: numberOrNull,
  headTurnId: textOrNull,
  servedBy: orNull(shaped(servedBy)),
  createdAt: number,
  updatedAt: number,
};
/** Its last three are texts in the store, and here what the texts say. */
const turn: Shape<PortableTurn> = {
  id: text,
  sessionId: text,
  parentId: textOrNull,
  status,
  createdAt: number,
  completedAt: number,
  input: items,
  output: items,
  record: object,
};
const requestKey = { value: text, fingerprint: text, expiresAt: number };
const turnKey: Shape<PortableTurnKey> = { sessionId: text, turnId: text, ...requestKey };
const sessionKey: Shape<PortableSessionKey> = { owner: text, sessionId: text, ...requestKey };

const shapes: { readonly [Kind in PortableKind]: Shape<PortableValues[Kind]> } = {
  client,
  key,
  bypass,
  stoppedProvider,
  knownTool,
  audit,
  usage,
  session,
  turn,
  turnKey,
  sessionGone: { id: text },
  sessionKey,
};

export function isPortableKind(name: string): name is PortableKind {
  return Object.hasOwn(shapes, name);
}

/** The value with the fields of its kind alone, in their order. */
export function inShape<Kind extends PortableKind>(kind: Kind, value: PortableValues[Kind]): object {
  return written(shapes[kind], value);
}

/** What is wrong about a value that should be of that kind, as a sentence; null if nothing is. */
export function problemOf(kind: PortableKind, value: unknown): string | null {
  return problemIn(shapes[kind], value, kind);
}

type Fields = Readonly<Record<string, Field>>;

function problemIn(fields: Fields, value: unknown, name: string): string | null {
  if (!isObject(value)) return `"${name}" must be an object`;
  for (const [field, { holds, what }] of Object.entries(fields)) {
    if (!holds(value[field])) return `"${name}.${field}" must be ${what}`;
  }
  const other = Object.keys(value).find((field) => !Object.hasOwn(fields, field));
  return other === undefined ? null : `"${name}.${other}" is unknown`;
}

function written(fields: Fields, value: object): object {
  const entries = Object.entries(fields).map(([name, field]) => [
    name,
    field.written((value as Record<string, unknown>)[name]),
  ]);
  return Object.fromEntries(entries);
}

function plain(what: string, holds: (value: unknown) => boolean): Field {
  return { what, holds, written: (value) => value };
}

function orNull({ what, holds, written }: Field): Field {
  return {
    what: `${what}, or null`,
    holds: (value) => value === null || holds(value),
    written: (value) => (value === null ? null : written(value)),
  };
}

function shaped<Value>(shape: Shape<Value>): Field {
  const fields = shape as Fields;
  return {
    what: `an object of ${Object.keys(fields).join(', ')}`,
    holds: (value) => problemIn(fields, value, '') === null,
    written: (value) => written(fields, value as object),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
