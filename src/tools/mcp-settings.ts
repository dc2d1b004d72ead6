/** What a source on the Model Context Protocol is told of its server, and the times and sizes that hold for all. */

import type { ToolFilter } from './tool-patterns.ts';

export interface McpServerSettings {
  /** Lower case, without dots, unique. */
  readonly name: string;
  readonly reach: HttpReach | ProgramReach;
  readonly filter: ToolFilter;
  /** For one call, from when it has its place to its answer. */
  readonly timeoutMs: number;
  /** Calls that run at the same time; further ones wait. */
  readonly maxConcurrent: number;
  /** Whether the connection is made at once, and not when first needed. */
  readonly eager: boolean;
}

export interface HttpReach {
  readonly kind: 'http';
  readonly url: string;
  /** Sent with every request to the server. */
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as a bearer token. */
  readonly apiKey: string | null;
  readonly oauth: ClientCredentials | null;
}

/** OAuth's client credentials: the server says where tokens are given out, nobody is asked to log in. */
export interface ClientCredentials {
  readonly clientId: string;
  /** A secret shared with the authorization server, or a private key in PEM (PKCS #8) that signs in its place. */
  readonly proof:
    | { readonly kind: 'secret'; readonly secret: string }
    | { readonly kind: 'private-key'; readonly pem: string; readonly algorithm: string };
  /** The authorization server that is sent the proof, by its identifier; none other is, whatever the MCP server names. */
  readonly issuer: string;
  /** With spaces between them; null leaves it to the servers. */
  readonly scope: string | null;
}

export interface ProgramReach {
  readonly kind: 'program';
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment of the program. */
  readonly env: Readonly<Record<string, string>>;
}

/** The same for every server; tests have shorter ones. */
export interface McpBounds {
  /** To reach a server, negotiate with it, and read its list. A program may have to be fetched first (`npx`). */
  readonly connectTimeoutMs: number;
  /** Until a program that says nothing to the protocol of today is spoken to in that of before. */
  readonly probeTimeoutMs: number;
  /** That a program has to end by itself, and again after it was asked to. */
  readonly programGraceMs: number;
  /** Of one message that is taken from a server. */
  readonly messageMaxBytes: number;
  /** Tools of one server; those after them are left out. */
  readonly toolsMax: number;
  /** Of the JSON of one tool; a longer one is left out. */
  readonly toolMaxBytes: number;
  /** The least time between two readings of a list that keeps changing. */
  readonly relistPauseMs: number;
  /** After which a list is read again if the server does not tell of changes, nor how long its list holds. */
  readonly relistAfterMs: number;
  /** The first pause after a failure, doubled with each further one up to the longest. */
  readonly restFirstMs: number;
  readonly restMostMs: number;
  /** That a connection must have lasted for its loss not to count as a failure. */
  readonly stableAfterMs: number;
}

export const defaultBounds: McpBounds = {
  connectTimeoutMs: 30_000,
  probeTimeoutMs: 10_000,
  programGraceMs: 2000,
  // An image of a few megapixels in base64, several times over.
  messageMaxBytes: 32 * 1024 * 1024,
  // No model chooses well among a tenth of that.
  toolsMax: 1000,
  toolMaxBytes: 128 * 1024,
  relistPauseMs: 1000,
  relistAfterMs: 5 * 60_000,
  restFirstMs: 1000,
  restMostMs: 60_000,
  stableAfterMs: 10_000,
};
