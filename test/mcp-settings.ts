/** Settings of sources under test, with pauses that nobody notices. */

import { join } from 'node:path';
import {
  defaultBounds,
  type HttpReach,
  type McpBounds,
  type McpServerSettings,
  type ProgramReach,
} from '../src/tools/mcp-settings.ts';

/** A server at a URL. */
export function httpReach(url: string, rest: Partial<HttpReach> = {}): HttpReach {
  return { kind: 'http', url, headers: {}, apiKey: null, oauth: null, ...rest };
}

/** Where programs find their code compiled, if the tests do: starting them is most of the work. */
const { NODE_COMPILE_CACHE } = process.env;
const compiled: Record<string, string> = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };

/** A program on the Node that runs the tests. */
export function nodeReach(
  script: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): ProgramReach {
  return {
    kind: 'program',
    command: process.execPath,
    args: [script, ...args],
    env: { ...compiled, ...env },
  };
}

/** The double as a program. */
export function doubleProgram(...manner: string[]): ProgramReach {
  return nodeReach(join(import.meta.dirname, 'mcp-double-program.ts'), manner);
}

/** A server of the packages that the protocol's authors publish. */
export function publishedServer(name: string): string {
  return join(
    import.meta.dirname,
    '../node_modules/@modelcontextprotocol',
    `server-${name}`,
    'dist/index.js',
  );
}

export function serverSettings(
  reach: HttpReach | ProgramReach,
  rest: Partial<McpServerSettings> = {},
): McpServerSettings {
  return {
    name: 'double',
    reach,
    filter: { allow: null, deny: [] },
    timeoutMs: 30_000,
    maxConcurrent: 100,
    eager: false,
    ...rest,
  };
}

/** The bounds as they are, but for waits that tests would sit through. */
export function testBounds(rest: Partial<McpBounds> = {}): McpBounds {
  return {
    ...defaultBounds,
    restFirstMs: 20,
    restMostMs: 40,
    relistPauseMs: 20,
    programGraceMs: 500,
    ...rest,
  };
}
