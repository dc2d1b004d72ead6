/** Known tools as every store keeps them: by a key that is made of server and name, and as JSON. */

import type { KnownTool, ToolSight } from '../conversation/known-tool.ts';

/** What stays of a tool. */
type AcceptedRecord = Pick<KnownTool, 'server' | 'name' | 'accepted'>;

/** Any two texts, as one that every engine can keep. */
export function toolKey({ server, name }: Pick<KnownTool, 'server' | 'name'>): string {
  return JSON.stringify([server, name]);
}

export function acceptedJson({ server, name, accepted }: KnownTool): string {
  return JSON.stringify({ server, name, accepted: sight(accepted) } satisfies AcceptedRecord);
}

export function sightJson(seen: ToolSight): string {
  return JSON.stringify(sight(seen));
}

/** The tool with what was accepted, and with what waits in the form in which it is written. */
export function parseTool(accepted: string, waiting: string | null): KnownTool {
  const record = JSON.parse(accepted) as AcceptedRecord;
  return { ...record, waiting: waiting === null ? null : (JSON.parse(waiting) as ToolSight) };
}

/** The order in which tools are listed. */
export function byServerAndName(one: KnownTool, other: KnownTool): number {
  if (one.server !== other.server) return one.server < other.server ? -1 : 1;
  return one.name < other.name ? -1 : 1;
}

/** Named one by one: a caller's object may hold more. */
function sight({ fingerprint, description, inputSchema, seenAt }: ToolSight): ToolSight {
  return { fingerprint, description, inputSchema, seenAt };
}
