/** `/admin/clients` and `/admin/keys`: who may call, with which keys and which limits. */

import type { Static } from 'typebox';
import type { ShownKey } from '../../clients/directory.ts';
import type { Client, ClientLimits } from '../../conversation/client.ts';
import { optionalBody } from '../optional-body.ts';
import { pageOf } from '../page-request.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer, listOf } from '../schemas.ts';
import { isoTime, isoTimeOrNull, listView } from '../views.ts';
import type { AdminRooms } from './admin-rooms.ts';
import * as schemas from './admin-schemas.ts';

const errors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
const tags = ['Administration'];

export function addClientRoutes(app: App, rooms: Pick<AdminRooms, 'directory'>): void {
  addClients(app, rooms);
  addKeys(app, rooms);
}

function addClients(app: App, { directory }: Pick<AdminRooms, 'directory'>): void {
  app.post(
    '/admin/clients',
    {
      schema: {
        tags,
        operationId: 'createClient',
        summary: 'Make a client with a key',
        description: 'The key itself is in this answer and nowhere else; it works from now on.',
        body: schemas.ClientRequest,
        response: { 201: schemas.NewClient, ...errors },
      },
    },
    async ({ body }, reply) => {
      const { name, limits = {} } = body;
      const client = await directory.createClient({ name, limits: limitsOf(limits) });
      const made = await directory.createKey(client.id, keyOf(body));
      return reply.code(201).send({ ...clientView(client), key: { ...keyView(made.key), key: made.text } });
    },
  );

  app.get(
    '/admin/clients',
    {
      schema: {
        tags,
        operationId: 'listClients',
        summary: 'Clients',
        querystring: schemas.ClientListQuery,
        response: { 200: listOf(schemas.Client), ...errors },
      },
    },
    async ({ query }) => listView(await directory.listClients(pageOf(query, 'asc')), clientView),
  );

  app.patch(
    '/admin/clients/:client_id',
    {
      schema: {
        tags,
        operationId: 'changeClient',
        summary: 'Change the name or the limits of a client',
        description: 'Changes what is present, from the next request on; null takes a limit back.',
        params: schemas.ClientParams,
        body: schemas.ClientChange,
        response: { 200: schemas.Client, ...errors },
      },
    },
    async ({ params, body }) => {
      const { name, limits } = body;
      const change = {
        ...(name === undefined ? {} : { name }),
        ...(limits === undefined ? {} : { limits: limitsOf(limits) }),
      };
      return clientView(await directory.updateClient(params.client_id, change));
    },
  );

  app.delete(
    '/admin/clients/:client_id',
    {
      schema: {
        tags,
        operationId: 'deleteClient',
        summary: 'Delete a client with its keys',
        description:
          'Its sessions stay in the store, where no other client can see them, until DELETE /admin/sessions.',
        params: schemas.ClientParams,
        response: { 204: { type: 'null', description: 'Deleted' }, ...errors },
      },
    },
    async ({ params }, reply) => {
      await directory.deleteClient(params.client_id);
      return reply.code(204).send(null);
    },
  );
}

function addKeys(app: App, { directory }: Pick<AdminRooms, 'directory'>): void {
  app.get(
    '/admin/clients/:client_id/keys',
    {
      schema: {
        tags,
        operationId: 'listKeys',
        summary: 'The keys of a client',
        params: schemas.ClientParams,
        response: { 200: schemas.KeyList, ...errors },
      },
    },
    ({ params }) => ({ object: 'list' as const, data: directory.listKeys(params.client_id).map(keyView) }),
  );

  app.post(
    '/admin/clients/:client_id/keys',
    {
      preValidation: optionalBody,
      schema: {
        tags,
        operationId: 'createKey',
        summary: 'Make another key of a client',
        description: 'The key itself is in this answer and nowhere else.',
        params: schemas.ClientParams,
        body: schemas.KeyRequest,
        response: { 201: schemas.NewKey, ...errors },
      },
    },
    async ({ params, body }, reply) => {
      const { key, text } = await directory.createKey(params.client_id, keyOf(body));
      return reply.code(201).send({ ...keyView(key), key: text });
    },
  );

  app.post(
    '/admin/keys/:key_id/rotate',
    {
      preValidation: optionalBody,
      schema: {
        tags,
        operationId: 'rotateKey',
        summary: 'Put a new key in the place of this one',
        description: 'The old key ends at once, or when the time of grace is over.',
        params: schemas.KeyParams,
        body: schemas.RotateRequest,
        response: { 201: schemas.NewKey, ...errors },
      },
    },
    async ({ params, body }, reply) => {
      const { key, text } = await directory.rotateKey(params.key_id, body.grace_seconds ?? 0);
      return reply.code(201).send({ ...keyView(key), key: text });
    },
  );

  app.delete(
    '/admin/keys/:key_id',
    {
      schema: {
        tags,
        operationId: 'revokeKey',
        summary: 'End a key at once',
        params: schemas.KeyParams,
        response: { 204: { type: 'null', description: 'Revoked' }, ...errors },
      },
    },
    async ({ params }, reply) => {
      await directory.revokeKey(params.key_id);
      return reply.code(204).send(null);
    },
  );
}

interface KeyFields {
  note?: string | null;
  expires_at?: string | null;
}

function keyOf({ note = null, expires_at: expiresAt = null }: KeyFields) {
  return { note, expiresAt: expiresAt === null ? null : Date.parse(expiresAt) };
}

/** The limits that a body names. */
function limitsOf(limits: Static<typeof schemas.Limits>): Partial<ClientLimits> {
  const { rps, burst } = limits;
  const { concurrent_turns: concurrentTurns } = limits;
  const { tokens_per_minute: tokensPerMinute, tokens_per_day: tokensPerDay } = limits;
  const named = { rps, burst, concurrentTurns, tokensPerMinute, tokensPerDay };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

function clientView({ id, name, limits, createdAt, updatedAt }: Client): Static<typeof schemas.Client> {
  return {
    object: 'client',
    id,
    name,
    limits: {
      rps: limits.rps,
      burst: limits.burst,
      concurrent_turns: limits.concurrentTurns,
      tokens_per_minute: limits.tokensPerMinute,
      tokens_per_day: limits.tokensPerDay,
    },
    created_at: isoTime(createdAt),
    updated_at: isoTime(updatedAt),
  };
}

function keyView(key: ShownKey): Static<typeof schemas.Key> {
  return {
    object: 'key',
    id: key.id,
    client_id: key.clientId,
    prefix: key.prefix,
    note: key.note,
    created_at: isoTime(key.createdAt),
    expires_at: isoTimeOrNull(key.expiresAt),
    revoked_at: isoTimeOrNull(key.revokedAt),
    last_used_at: isoTimeOrNull(key.lastUsedAt),
  };
}
