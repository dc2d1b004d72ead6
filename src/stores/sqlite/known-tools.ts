/** The statements on known tools. Each function is one step inside a transaction, begun by the caller. */

import type { KnownTool, ToolSight } from '../../conversation/known-tool.ts';
import { acceptedJson, byServerAndName, parseTool, sightJson, toolKey } from '../known-tool-json.ts';
import type { Database } from './database.ts';

export function createSqliteKnownTools(database: Database) {
  const insert = database.prepare(
    `INSERT INTO known_tools (key, accepted, waiting, waiting_fingerprint) VALUES (?, ?, ?, ?)
     ON CONFLICT (key) DO NOTHING`,
  );
  const update = database.prepare(
    'UPDATE known_tools SET waiting = ?, waiting_fingerprint = ? WHERE key = ?',
  );
  const replace = database.prepare(
    'UPDATE known_tools SET accepted = ?, waiting = NULL, waiting_fingerprint = NULL WHERE key = ?',
  );
  const find = database.prepare<[accepted: string, waiting: string | null]>(
    'SELECT accepted, waiting FROM known_tools WHERE key = ?',
  );
  const remove = database.prepare('DELETE FROM known_tools WHERE key = ?');
  const all = database.prepare<[accepted: string, waiting: string | null]>(
    'SELECT accepted, waiting FROM known_tools ORDER BY key',
  );
  return {
    add,
    setWaiting,
    accept,
    forget: (server: string, name: string) => remove.run(toolKey({ server, name })).changes > 0,
    list: () =>
      all
        .all()
        .map(([accepted, waiting]) => parseTool(accepted, waiting))
        .sort(byServerAndName),
  };

  function add(tool: KnownTool): void {
    const { waiting } = tool;
    insert.run(
      toolKey(tool),
      acceptedJson(tool),
      waiting && sightJson(waiting),
      waiting?.fingerprint ?? null,
    );
  }

  function setWaiting(server: string, name: string, waiting: ToolSight | null): void {
    update.run(waiting && sightJson(waiting), waiting?.fingerprint ?? null, toolKey({ server, name }));
  }

  function accept(server: string, name: string, fingerprint: string): boolean {
    const key = toolKey({ server, name });
    const row = find.get(key);
    const waiting = row === undefined ? null : parseTool(...row).waiting;
    if (waiting?.fingerprint !== fingerprint) return false;
    replace.run(acceptedJson({ server, name, accepted: waiting, waiting: null }), key);
    return true;
  }
}
