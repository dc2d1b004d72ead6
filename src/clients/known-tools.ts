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
   * is stored, and there is a wait for nothing else. Never rejects: what cannot be stored, or found out, is not accepted for
   * now.
   */
  judge(seen: readonly SeenTool[]): Promise<boolean[]>;
  /** All of them by server and name, as they are stored, with what was judged before. */
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
  /** Waits for what is being stored. Never rejects. */
  close(): Promise<void>;
}

export interface KnownToolsOptions {
  adminStore: Pick<
    AdminStore,
    'addKnownTools' | 'setWaitingTool' | 'acceptTool' | 'forgetTool' | 'listKnownTools'
  >;
  /** Told once of a tool that is not what was accepted any more, when that is stored. */
  onChanged(tool: { server: string; name: string }): void;
  /** Told once of a server of which so many tools are known that no others are taken. */
  onFull(server: string): void;
  /** Told once when what was seen cannot be stored, and again only after it could in between. */
  onFailure(error: unknown): void;
}

/**
 * Tools that are kept of one server. Its list has 1000 at most, and one that had other names each time would fill the
 * store.
 */
const MOST_OF_SERVER = 2000;
/** Tools that are stored at once: their definitions may be long. */
const AT_ONCE = 50;

/** The fingerprints of one tool. */
interface Known {
  accepted: string;
  waiting: string | null;
}

/** Reads what there is. Rejects with `store_unavailable` if that cannot be read. */
export async function createKnownTools(options: KnownToolsOptions): Promise<KnownTools> {
  const { adminStore, onChanged, onFull, onFailure } = options;
  /** By server and name. */
  let known = new Map<string, Map<string, Known>>();
  /** What was seen and is to be stored, by what `idOf` makes of it. */
  const waiting = new Map<string, SeenTool>();
  /** Storing it, while that has not begun: many turns see the same at once. */
  let storing: Promise<void> | null = null;
  const full = new Set<string>();
  let failing = false;
  let last: Promise<unknown> = Promise.resolve();
  await list();
  return {
    judge,
    list: () => inTurn(list),
    accept: (server, name, fingerprint) => inTurn(() => accept(server, name, fingerprint)),
    forget: (server, name) => inTurn(() => forget(server, name)),
    async reload() {
      await inTurn(list);
    },
    async close() {
      await last;
    },
  };

  /** One after the other: what was read before a change must not take the place of what was read after it. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = last.then(work);
    last = result.catch(() => undefined);
    return result;
  }

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
    const unknown = seen.filter((tool) => find(tool) === undefined);
    if (unknown.length > 0) await store(unknown);
    const changed = seen.filter(isChange);
    // Nobody waits for it: they are offered or not, whether or not that is written down.
    if (changed.length > 0) void store(changed);
    return seen.map((tool) => find(tool)?.accepted === tool.fingerprint);
  }

  /** Never rejects. */
  async function store(seen: readonly SeenTool[]): Promise<void> {
    for (const tool of seen) waiting.set(idOf(tool), tool);
    storing ??= inTurn(storeWaiting);
    await storing;
  }

  async function storeWaiting(): Promise<void> {
    storing = null;
    const seen = [...waiting.values()];
    waiting.clear();
    try {
      const added = withinBounds(seen.filter((tool) => find(tool) === undefined));
      const seenAt = Date.now();
      await inPieces(added, (some) => adminStore.addKnownTools(some.map((tool) => firstSight(tool, seenAt))));
      // Other servers may have seen them first, and otherwise, and operators may have accepted something.
      if (added.length > 0 || seen.some(isChange)) await list();
      await inPieces(seen.filter(isChange), (some) => Promise.all(some.map(note)));
      failing = false;
    } catch (error) {
      if (!failing) onFailure(error);
      failing = true;
    }
  }

  /** Without those of servers that have had enough. */
  function withinBounds(unknown: readonly SeenTool[]): SeenTool[] {
    return [...Map.groupBy(unknown, ({ server }) => server)].flatMap(([server, tools]) => {
      const room = Math.max(0, MOST_OF_SERVER - (known.get(server)?.size ?? 0));
      if (tools.length <= room) full.delete(server);
      else if (!full.has(server)) {
        full.add(server);
        onFull(server);
      }
      return tools.slice(0, room);
    });
  }

  /** Whether the server says something else of a known tool than when it was looked at last. */
  function isChange(tool: SeenTool): boolean {
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
    await adminStore.setWaitingTool(server, name, isAsAccepted ? null : sightOf(tool, Date.now()));
    before.waiting = isAsAccepted ? null : fingerprint;
    if (!isAsAccepted) onChanged({ server, name });
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

function idOf({ server, name }: Pick<SeenTool, 'server' | 'name'>): string {
  return JSON.stringify([server, name]);
}

async function inPieces<Element>(
  all: readonly Element[],
  work: (some: readonly Element[]) => Promise<unknown>,
): Promise<void> {
  for (let at = 0; at < all.length; at += AT_ONCE) await work(all.slice(at, at + AT_ONCE));
}

function firstSight(tool: SeenTool, seenAt: number): KnownTool {
  const { server, name } = tool;
  return { server, name, accepted: sightOf(tool, seenAt), waiting: null };
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
