/**
 * What was accepted of the tools of servers: each as it was when it was first seen, or as an operator has accepted it
 * since. Kept in the store, so that a restart accepts nothing, and here in memory, where every turn asks.
 */

import type { AuditEntry } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { KnownTool, ToolSight } from '../conversation/known-tool.ts';
import { AppError } from '../errors.ts';
import type { AdminStore } from '../stores/admin-store.ts';

/** A tool as its server has just described it. */
export interface SeenTool extends Omit<ToolSight, 'seenAt'> {
  server: string;
  name: string;
}

export interface KnownTools {
  /**
   * Of each tool, in their order, whether it is what was accepted. One that was never seen is accepted as it is, once that
   * is stored. Never rejects: what cannot be stored, or found out, is not accepted for now.
   */
  judge(seen: readonly SeenTool[]): Promise<boolean[]>;
  /** All of them by server and name, as they are stored. */
  list(): Promise<KnownTool[]>;
  /**
   * Accepts what waits of a tool. Throws `tool_not_known`, and `tool_changed` if what waits, or was accepted, has not this
   * fingerprint: what an operator has not looked at is not accepted.
   */
  accept(server: string, name: string, fingerprint: string): Promise<KnownTool>;
  /** Forgets a tool, which is seen for the first time again. Throws `tool_not_known`. */
  forget(server: string, name: string): Promise<void>;
  /** Reads anew what was accepted: other servers may have changed it. */
  reload(): Promise<void>;
}

export interface KnownToolsOptions {
  adminStore: Pick<
    AdminStore,
    'addKnownTools' | 'setWaitingTool' | 'acceptTool' | 'forgetTool' | 'listKnownTools'
  >;
  /** Told once of a tool that is not what was accepted any more. */
  onChanged(tool: { server: string; name: string }): void;
  /** Told of what could not be stored. */
  onFailure(error: unknown): void;
}

/** The fingerprints of one tool. */
interface Known {
  accepted: string;
  waiting: string | null;
}

/** Reads what there is. Rejects with `store_unavailable` if that cannot be read. */
export async function createKnownTools(options: KnownToolsOptions): Promise<KnownTools> {
  const { adminStore, onChanged, onFailure } = options;
  /** By server and name. */
  let known = new Map<string, Map<string, Known>>();
  await list();
  return {
    judge,
    list,
    accept,
    forget,
    async reload() {
      await list();
    },
  };

  async function list(): Promise<KnownTool[]> {
    const all = await adminStore.listKnownTools();
    const read = new Map<string, Map<string, Known>>();
    for (const { server, name, accepted, waiting } of all) {
      const tools = read.get(server) ?? new Map<string, Known>();
      read.set(server, tools.set(name, fingerprintsOf(accepted, waiting)));
    }
    known = read;
    return all;
  }

  async function judge(seen: readonly SeenTool[]): Promise<boolean[]> {
    try {
      const unknown = seen.filter((tool) => find(tool) === undefined);
      if (unknown.length > 0) await add(unknown);
      const changed = seen.filter((tool) => isNews(tool));
      for (const tool of changed) await note(tool);
    } catch (error) {
      onFailure(error);
    }
    return seen.map((tool) => find(tool)?.accepted === tool.fingerprint);
  }

  /** Another server may have seen them first, and otherwise. */
  async function add(tools: readonly SeenTool[]): Promise<void> {
    const seenAt = Date.now();
    await adminStore.addKnownTools(
      tools.map((tool) => ({
        server: tool.server,
        name: tool.name,
        accepted: sightOf(tool, seenAt),
        waiting: null,
      })),
    );
    await list();
  }

  /** Whether the server says something else of it than when it was looked at last. */
  function isNews(tool: SeenTool): boolean {
    const before = find(tool);
    if (before === undefined) return false;
    return tool.fingerprint === before.accepted
      ? before.waiting !== null
      : tool.fingerprint !== before.waiting;
  }

  async function note(tool: SeenTool): Promise<void> {
    const { server, name, fingerprint } = tool;
    const before = find(tool);
    if (before === undefined) return;
    const isAsAccepted = fingerprint === before.accepted;
    if (!isAsAccepted) onChanged({ server, name });
    await adminStore.setWaitingTool(server, name, isAsAccepted ? null : sightOf(tool, Date.now()));
    before.waiting = isAsAccepted ? null : fingerprint;
  }

  async function accept(server: string, name: string, fingerprint: string): Promise<KnownTool> {
    const entry = audit('tool.accept', server, { name, fingerprint });
    const isAccepted = await adminStore.acceptTool(server, name, fingerprint, entry);
    const tool = (await list()).find((one) => one.server === server && one.name === name);
    if (tool === undefined) throw new AppError('tool_not_known');
    // Of a try that failed the store may have kept all.
    if (!isAccepted && tool.accepted.fingerprint !== fingerprint) throw new AppError('tool_changed');
    return tool;
  }

  async function forget(server: string, name: string): Promise<void> {
    const isForgotten = await adminStore.forgetTool(server, name, audit('tool.forget', server, { name }));
    await list();
    if (!isForgotten) throw new AppError('tool_not_known');
  }

  function find({ server, name }: Pick<SeenTool, 'server' | 'name'>): Known | undefined {
    return known.get(server)?.get(name);
  }
}

function fingerprintsOf(accepted: ToolSight, waiting: ToolSight | null): Known {
  return { accepted: accepted.fingerprint, waiting: waiting?.fingerprint ?? null };
}

function sightOf({ fingerprint, description, inputSchema }: SeenTool, seenAt: number): ToolSight {
  return { fingerprint, description, inputSchema, seenAt };
}

function audit(action: string, subject: string, details: AuditEntry['details']): AuditEntry {
  return { id: newId(), at: Date.now(), action, subject, details };
}
