/** `/admin/tools`: what was accepted of the tools of servers, and what waits to be. */

import type { Static } from 'typebox';
import type { KnownTool, ToolSight } from '../../conversation/known-tool.ts';
import type { App } from '../rooms.ts';
import { ErrorAnswer } from '../schemas.ts';
import { isoTime } from '../views.ts';
import type { AdminRooms, AdminTools } from './admin-rooms.ts';
import * as schemas from './tool-schemas.ts';

const errors = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
const tags = ['Administration'];

export function addKnownToolRoutes(app: App, { tools }: Pick<AdminRooms, 'tools'>): void {
  app.get(
    '/admin/tools',
    {
      schema: {
        tags,
        operationId: 'listKnownTools',
        summary: 'Tools of servers: what was accepted, and what waits',
        description:
          'A tool is accepted as it was when it was first seen. One of which its server says something else since is ' +
          'not offered to models until that is accepted, unless the server is trusted (`trust: true`).',
        querystring: schemas.KnownToolQuery,
        response: { 200: schemas.KnownToolList, ...errors },
      },
    },
    async ({ query: { state } }) => {
      const data = (await tools.known.list()).map((tool) => view(tool, tools));
      return { object: 'list' as const, data: data.filter((tool) => tool.state === (state ?? tool.state)) };
    },
  );

  app.post(
    '/admin/tools/:server/:tool/accept',
    {
      schema: {
        tags,
        operationId: 'acceptTool',
        summary: 'Accept a tool that has changed',
        description:
          'The fingerprint is that of what was looked at: if the tool has changed once more, nothing is accepted.',
        params: schemas.KnownToolParams,
        body: schemas.AcceptRequest,
        response: { 200: schemas.KnownTool, ...errors },
      },
    },
    async ({ params, body }) =>
      view(await tools.known.accept(params.server, params.tool, body.fingerprint), tools),
  );

  app.delete(
    '/admin/tools/:server/:tool',
    {
      schema: {
        tags,
        operationId: 'forgetTool',
        summary: 'Forget a tool',
        description: 'It is accepted as it is when it is seen again.',
        params: schemas.KnownToolParams,
        response: { 204: { type: 'null', description: 'Forgotten' }, ...errors },
      },
    },
    async ({ params }, reply) => {
      await tools.known.forget(params.server, params.tool);
      return reply.code(204).send(null);
    },
  );
}

function view(tool: KnownTool, { isConfigured, isTrusted }: AdminTools): Static<typeof schemas.KnownTool> {
  const { server, name, accepted, waiting } = tool;
  return {
    object: 'tool',
    server,
    name,
    state: waiting === null ? 'accepted' : 'changed',
    offered: isConfigured(server) && (waiting === null || isTrusted(server)),
    configured: isConfigured(server),
    accepted: sightView(accepted),
    waiting: waiting && sightView(waiting),
  };
}

function sightView({ fingerprint, description, inputSchema, seenAt }: ToolSight) {
  return { fingerprint, description, input_schema: inputSchema, seen_at: isoTime(seenAt) };
}
