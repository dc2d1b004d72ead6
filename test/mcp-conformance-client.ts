/**
 * The client that the conformance suite of the protocol tests: a tool source, made and used as a turn would. The suite
 * gives the server's URL as the last argument, the scenario and what it needs in variables.
 */

import { parseArgs } from 'node:util';
import { createMcpSource } from '../src/tools/mcp.ts';
import type { ClientCredentials } from '../src/tools/mcp-settings.ts';
import type { Tool, ToolSourceError } from '../src/tools/tool-source.ts';
import { httpReach, serverSettings } from './mcp-settings.ts';

interface ScenarioContext {
  client_id?: string;
  client_secret?: string;
  private_key_pem?: string;
  signing_algorithm?: string;
  toolCalls?: { name: string; arguments: Record<string, unknown> }[];
}

const { positionals } = parseArgs({ allowPositionals: true });
const url = positionals.at(-1) ?? '';
const context = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}') as ScenarioContext;

const source = createMcpSource({
  settings: serverSettings(httpReach(url, { oauth: await credentialsIn(context) })),
  version: '0.0.0',
  requests: {
    elicit: async () => ({ action: 'accept', content: {} }),
    sample: async () => ({ role: 'assistant', model: 'none', content: { type: 'text', text: 'yes' } }),
    roots: [{ uri: 'file:///work', name: 'work' }],
  },
  onReport: ({ level, text }) => process.stderr.write(`${level}: ${text}\n`),
});

const tools = await source.list();
const calls = context.toolCalls ?? tools.map((tool) => ({ name: tool.name, arguments: argumentsFor(tool) }));
for (const call of calls) {
  // As in a turn: a call that fails does not keep the others from being made.
  const result = await source.call(call.name, call.arguments).catch((error: ToolSourceError) => error);
  process.stdout.write(`${call.name}: ${'text' in result ? result.text : result.message}\n`);
}
await source.close();

/** The credentials, for the issuer that an operator would have looked up. */
async function credentialsIn(given: ScenarioContext): Promise<ClientCredentials | null> {
  const { client_id: clientId, client_secret: secret = '' } = given;
  if (clientId === undefined) return null;
  const { private_key_pem: pem, signing_algorithm: algorithm = 'ES256' } = given;
  const proof = pem === undefined ? { kind: 'secret', secret } : { kind: 'private-key', pem, algorithm };
  return { clientId, proof, issuer: await issuerOf(new URL(url)), scope: null } as ClientCredentials;
}

async function issuerOf({ origin, pathname }: URL): Promise<string> {
  const answer = await fetch(`${origin}/.well-known/oauth-protected-resource${pathname}`);
  const {
    authorization_servers: [server],
  } = (await answer.json()) as { authorization_servers: [string] };
  return server;
}

/** Something for each argument that the tool has to be given. */
function argumentsFor({ name, inputSchema }: Tool): Record<string, unknown> {
  // Wants to see what has become of the schema of the tool beside it.
  if (name === 'json_schema_echo') return { schema: tools.find((tool) => tool.name !== name)?.inputSchema };
  const required = (inputSchema['required'] as string[] | undefined) ?? [];
  const properties = (inputSchema['properties'] as Record<string, { type?: string }> | undefined) ?? {};
  const samples: Record<string, unknown> = { number: 2, integer: 2, boolean: true, array: [], object: {} };
  return Object.fromEntries(required.map((key) => [key, samples[properties[key]?.type ?? ''] ?? 'text']));
}
