/** Known tools on Redis: two hashes, of what was accepted and of what waits, in the slot of all that operators keep. */

import type { AuditEntry } from '../../conversation/client.ts';
import type { KnownTool, ToolSight } from '../../conversation/known-tool.ts';
import type { RedisConnection } from '../../redis/connection.ts';
import type { Script } from '../../redis/script.ts';
import { acceptedJson, byServerAndName, parseTool, sightJson, toolKey } from '../known-tool-json.ts';
import { ACCEPT_TOOL, ADD_TOOLS, FORGET_TOOL, LIST_TOOLS, SET_WAITING_TOOL } from './admin-scripts.ts';

/** Makes a change with its entry in the log; false if there was nothing to change. */
type Change = (
  script: Script,
  keys: readonly string[],
  entry: AuditEntry,
  parameters: readonly string[],
) => Promise<boolean>;

/** Tools that one script adds at most. */
const AT_ONCE = 100;

/** @param keys of what was accepted, and of what waits */
export function createRedisKnownTools(
  connection: RedisConnection,
  keys: readonly [accepted: string, waiting: string],
  change: Change,
) {
  return {
    async add(tools: readonly KnownTool[]): Promise<void> {
      for (let at = 0; at < tools.length; at += AT_ONCE) {
        await connection.run(ADD_TOOLS, keys, tools.slice(at, at + AT_ONCE).flatMap(toolParameters));
      }
    },
    async setWaiting(server: string, name: string, waiting: ToolSight | null): Promise<void> {
      await connection.run(SET_WAITING_TOOL, keys, [toolKey({ server, name }), waitingText(waiting)]);
    },
    async accept(server: string, name: string, fingerprint: string, entry: AuditEntry): Promise<boolean> {
      const tool = toolKey({ server, name });
      const text = await connection.send<string | null>(keys[1], ['HGET', keys[1], tool]);
      if (text === null || !text.startsWith(`${fingerprint} `)) return false;
      const accepted = JSON.parse(jsonOf(text)) as ToolSight;
      const record = acceptedJson({ server, name, accepted, waiting: null });
      return change(ACCEPT_TOOL, keys, entry, [tool, text, record]);
    },
    forget: (server: string, name: string, entry: AuditEntry) =>
      change(FORGET_TOOL, keys, entry, [toolKey({ server, name })]),
    async list(): Promise<KnownTool[]> {
      const found = await connection.run<[accepted: string, waiting: string][]>(LIST_TOOLS, keys, []);
      return found
        .map(([accepted, waiting]) => parseTool(accepted, waiting === '' ? null : jsonOf(waiting)))
        .sort(byServerAndName);
    },
  };
}

/** As ADD_TOOLS takes them. */
export function toolParameters(tool: KnownTool): string[] {
  return [toolKey(tool), acceptedJson(tool), waitingText(tool.waiting)];
}

function waitingText(waiting: ToolSight | null): string {
  return waiting === null ? '' : `${waiting.fingerprint} ${sightJson(waiting)}`;
}

function jsonOf(waiting: string): string {
  return waiting.slice(waiting.indexOf(' ') + 1);
}
