/** What `/admin/config` shows. */

import { type Static, Type } from 'typebox';

export const Configuration = Type.Object({
  object: Type.Literal('configuration'),
  settings: Type.Record(
    Type.String(),
    Type.Object({
      value: Type.Unknown({ description: 'Null if it is not set; `***` if it is secret' }),
      source: Type.String({ description: '`environment`, `.env`, the path of the YAML file, or `default`' }),
    }),
    { description: 'By the names of the settings' },
  ),
  providers: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
    description: 'Those of the YAML file',
  }),
  routes: Type.Record(Type.String(), Type.Array(Type.Record(Type.String(), Type.Unknown())), {
    description: 'Those of the YAML file, by name',
  }),
  mcp_servers: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
    description: 'Those of the YAML file, and that of `MCP_SERVER_URL`',
  }),
});

/** What is shown of the configuration, in which there is no secret any more. */
export type ShownConfiguration = Omit<Static<typeof Configuration>, 'object'>;
