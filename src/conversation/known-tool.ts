/**
 * A tool of a server's as it was accepted: when it was first seen, or by an operator since. What the server says of it now
 * may be something else, and then waits for an operator.
 */

export interface KnownTool {
  /** The server, by its name in the configuration. */
  server: string;
  /** As the server knows it: any text. */
  name: string;
  accepted: ToolSight;
  /** What the server says of it now, if that is not what was accepted. */
  waiting: ToolSight | null;
}

/** What a model is told of a tool. */
export interface ToolSight {
  /** Of the name and what follows; the same for the same. */
  fingerprint: string;
  description: string | null;
  /** JSON Schema of the arguments, as it came. */
  inputSchema: Readonly<Record<string, unknown>>;
  /** When it was seen first, in milliseconds since the epoch. */
  seenAt: number;
}
