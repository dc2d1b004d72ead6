/** `/admin/bypass`: the addresses and networks that are not limited. */

import type { Static } from 'typebox';
import type { BypassEntry } from '../../conversation/client.ts';
import { AppError } from '../../errors.ts';
import { parseNetwork } from '../../limits/allowlist.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import { isoTime, isoTimeOrNull } from '../views.ts';
import type { AdminRooms } from './admin-rooms.ts';
import * as schemas from './admin-schemas.ts';

const errors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
const tags = ['Administration'];

export function addBypassRoutes(app: App, { bypass }: AdminRooms): void {
  app.get(
    '/admin/bypass',
    {
      schema: {
        tags,
        operationId: 'listBypass',
        summary: 'Addresses and networks that are not limited',
        response: { 200: schemas.BypassList, ...errors },
      },
    },
    () => ({ object: 'list' as const, data: bypass.list().map(bypassView) }),
  );

  app.post(
    '/admin/bypass',
    {
      schema: {
        tags,
        operationId: 'addBypass',
        summary: 'Let an address or a network pass unlimited',
        description: 'Holds at once. What was said of the same address before is replaced.',
        body: schemas.BypassRequest,
        response: { 201: schemas.Bypass, ...errors },
      },
    },
    async ({ body }, reply) => {
      const expiresAt = body.expires_at ?? null;
      const entry = await bypass.add({
        network: networkOf(body.ip),
        note: body.note ?? null,
        expiresAt: expiresAt === null ? null : Date.parse(expiresAt),
      });
      return reply.code(201).send(bypassView(entry));
    },
  );

  app.delete(
    '/admin/bypass/:ip',
    {
      schema: {
        tags,
        operationId: 'removeBypass',
        summary: 'Limit an address or a network again',
        params: schemas.BypassParams,
        response: { 204: { type: 'null', description: 'Removed' }, ...errors },
      },
    },
    async ({ params }, reply) => {
      await bypass.remove(networkOf(params.ip));
      return reply.code(204).send(null);
    },
  );

  // A network has a slash in it, which some clients encode and others do not.
  app.delete(
    '/admin/bypass/:ip/:bits',
    { schema: { hide: true, params: schemas.NetworkParams } },
    async ({ params }, reply) => {
      await bypass.remove(networkOf(`${params.ip}/${params.bits}`));
      return reply.code(204).send(null);
    },
  );
}

/** The address or network in its one normal form. Throws `invalid_ip`. */
function networkOf(text: string): string {
  const network = parseNetwork(text);
  if (network === null) throw new AppError('invalid_ip');
  return network;
}

function bypassView({ network, note, createdAt, expiresAt }: BypassEntry): Static<typeof schemas.Bypass> {
  return { ip: network, note, created_at: isoTime(createdAt), expires_at: isoTimeOrNull(expiresAt) };
}
