/** The fields of an entry of `mcp_servers`: what each may hold, and how it is described. What they mean together is not here. */

import { isAbsolute } from 'node:path';
import { Type } from 'typebox';
import {
  HEADER_TEXT,
  isHeaderText,
  isProviderName,
  isServerUrl,
  PROVIDER_NAME,
  SERVER_URL,
} from './setting.ts';

/** A minute is what people wait for; what takes longer says so in its entry. */
export const TIMEOUT_SECONDS = 60;
export const MAX_CONCURRENT = 10;
export const CHAT_TOOL = 'chat';

export const ALGORITHMS = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'] as const;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

const headerText = (description: string) =>
  Type.Refine(Type.String({ description }), isHeaderText, () => `must be ${HEADER_TEXT}`);
const patterns = (description: string) => Type.Array(Type.String({ minLength: 1 }), { description });
const yesOrNo = (description: string) => Type.Optional(Type.Boolean({ description }));

const oauthSchema = Type.Object(
  {
    client_id: Type.String({ minLength: 1 }),
    client_secret: Type.Optional(Type.String({ minLength: 1 })),
    private_key: Type.Optional(
      Type.Refine(
        Type.String(),
        (text) => /^-----BEGIN PRIVATE KEY-----\s[^]+\s-----END PRIVATE KEY-----\s*$/.test(text),
        () => 'must be a private key in PEM (PKCS #8)',
      ),
    ),
    algorithm: Type.Optional(
      Type.Refine(
        Type.String(),
        (text) => ALGORITHMS.some((algorithm) => algorithm === text),
        () => `must be one of ${ALGORITHMS.join(', ')}`,
      ),
    ),
    issuer: Type.Refine(Type.String(), isServerUrl, () => `must be ${SERVER_URL}`),
    scope: Type.Optional(Type.String()),
  },
  {
    additionalProperties: false,
    description:
      'Client credentials, for servers that want tokens: `client_id`, `issuer` (who is asked for the token), `client_secret` or `private_key` with its `algorithm` (`ES256`), and `scope`.',
  },
);

/** The fields of an entry, with the descriptions of the README. */
export const mcpServerSchema = Type.Object(
  {
    name: Type.Refine(
      Type.String({ description: 'Name of a server that offers tools, in lower case.' }),
      (name) => isProviderName(name) && name !== 'none',
      (name) => (name === 'none' ? 'is the word for no server' : `must be ${PROVIDER_NAME}`),
    ),
    url: Type.Optional(
      Type.Refine(
        Type.String({ description: 'Where the server is; either this or `command`.' }),
        isServerUrl,
        () => `must be ${SERVER_URL}`,
      ),
    ),
    command: Type.Optional(
      Type.String({
        description: 'Program that is the server, spoken to over its standard input and output.',
      }),
    ),
    args: Type.Optional(Type.Array(Type.String(), { description: 'Arguments of the program.' })),
    env: Type.Optional(
      Type.Refine(
        Type.Record(Type.String(), Type.String(), {
          description: "The whole environment of the program: it is given no variable of Parley's own.",
        }),
        (env) => Object.keys(env).every((name) => VARIABLE_NAME.test(name)),
        () => "must have variables' names as its names",
      ),
    ),
    headers: Type.Optional(
      Type.Refine(
        Type.Record(Type.String(), headerText(''), { description: 'Headers sent with every request.' }),
        (headers) => Object.keys(headers).every((name) => HEADER_NAME.test(name)),
        () => "must have HTTP headers' names as its names",
      ),
    ),
    api_key: Type.Optional(headerText('Key sent as a bearer token.')),
    oauth: Type.Optional(oauthSchema),
    tools: Type.Optional(
      Type.Object(
        { allow: Type.Optional(patterns('')), deny: Type.Optional(patterns('')) },
        {
          additionalProperties: false,
          description:
            'Tools that may be used, as lists of patterns: `allow` (all if left out) without `deny`.',
        },
      ),
    ),
    timeout_seconds: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 86_400,
        description: `Seconds that a call may take (${TIMEOUT_SECONDS}).`,
      }),
    ),
    max_concurrent: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: `Calls that run at the same time (${MAX_CONCURRENT}); further ones wait.`,
      }),
    ),
    instructions: yesOrNo('Whether models are told what the server says of itself (`false`).'),
    eager: yesOrNo('Whether it is connected to at the start, and not when it is first needed (`false`).'),
    trust: yesOrNo('Whether its tools are offered also when they have changed since first seen (`false`).'),
    require_approval: Type.Optional(
      Type.Refine(
        Type.Unknown({
          description:
            'Whether calls wait until somebody approves them (`false`), or patterns of the tools for which they do.',
        }),
        (value) => typeof value === 'boolean' || isPatterns(value),
        () => 'must be true, false or a list of patterns',
      ),
    ),
    sampling: yesOrNo(
      "Whether its tools may have the turn's model answer something for them, at the client's expense (`false`).",
    ),
    roots: Type.Optional(
      Type.Array(
        Type.Refine(
          Type.String(),
          (root) => isAbsolute(root) || /^file:\/\/\/./.test(root),
          () => 'must be an absolute path or a file: URI',
        ),
        { description: 'Directories that the server is told of: absolute paths, or `file:` URIs.' },
      ),
    ),
    chat: Type.Optional(
      Type.Object(
        {
          tool: Type.Optional(Type.String({ minLength: 1 })),
          context_tokens: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
        },
        {
          additionalProperties: false,
          description: `Makes the server a provider under its name: \`tool\` (\`${CHAT_TOOL}\`) answers turns, and takes \`context_tokens\`.`,
        },
      ),
    ),
  },
  { additionalProperties: false },
);

function isPatterns(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((pattern) => typeof pattern === 'string' && pattern !== '');
}

/** The patterns that `require_approval` comes to. */
export function approvalPatterns(value: unknown): readonly string[] {
  if (typeof value === 'boolean') return value ? ['*'] : [];
  return isPatterns(value) ? value : [];
}
