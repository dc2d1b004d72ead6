/** `GET /tools`: what sessions may choose, and which servers of tools cannot be asked at the moment. */

import { shownToolName } from '../../tools/tool-names.ts';
import type { App, Rooms } from '../rooms.ts';
import * as schemas from '../schemas.ts';
import { ToolList } from '../server-schemas.ts';

export function addToolRoutes(app: App, { toolboxes }: Rooms): void {
  app.get(
    '/tools',
    {
      schema: {
        tags: ['Server'],
        operationId: 'listTools',
        summary: 'Tools that models may call, of the configured MCP servers',
        description:
          'A session names them in `tools`. They are listed as they were last read; a server whose tools were never ' +
          'read is asked, and is `unavailable` if it does not answer in a moment.',
        response: { 200: ToolList, '4xx': schemas.ErrorAnswer, '5xx': schemas.ErrorAnswer },
      },
    },
    async () => {
      const { tools, missing } = await toolboxes.list(AbortSignal.timeout(LONGEST_MILLISECONDS));
      return {
        object: 'list' as const,
        data: tools.map(({ source, tool }) => ({
          object: 'tool' as const,
          id: shownToolName(source.name, tool.name),
          server: source.name,
          name: tool.name,
          title: tool.title,
          description: tool.description,
          input_schema: { ...tool.inputSchema },
        })),
        unavailable: missing.map(({ source, error }) => ({ server: source.name, reason: error.kind })),
      };
    },
  );
}

/** Longer than lists are waited for. */
const LONGEST_MILLISECONDS = 10_000;
