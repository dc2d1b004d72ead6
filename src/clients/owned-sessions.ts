/**
 * Sessions as their operators see them, whoever they belong to: found with their owner, with whom they are then read as
 * the owner reads them, and deleted, which the audit log remembers. Reading conversations is `sessions/`.
 */

import { setImmediate as nextRound } from 'node:timers/promises';
import type { AuditEntry } from '../conversation/client.ts';
import { newId } from '../conversation/id.ts';
import type { PageRequest, SearchedPage } from '../conversation/page.ts';
import { isExpired, type Session } from '../conversation/session.ts';
import { AppError } from '../errors.ts';
import type { AdminStore } from '../stores/admin-store.ts';

export interface OwnedSessions {
  /** The sessions of all owners, those that have expired left out. One call looks at a bounded number. */
  list(page: PageRequest): Promise<SearchedPage<Session>>;
  /** Whose it is. Throws `session_not_found`. */
  ownerOf(sessionId: string): Promise<string>;
  /** Deletes it with everything in it, a running turn included. Throws `session_not_found`. */
  delete(sessionId: string): Promise<void>;
  /**
   * Deletes all sessions that the owner has now, and returns how many there were. What is deleted stays deleted if the
   * rest cannot be; those that the owner makes meanwhile stay.
   */
  deleteAll(owner: string): Promise<number>;
}

export interface OwnedSessionsOptions {
  adminStore: Pick<AdminStore, 'ownerOf' | 'allSessions' | 'deleteSessions'>;
  /** The sessions of an owner that were made before that one, newest first; null begins at the newest. */
  newest(owner: string, before: string | null, limit: number): Promise<readonly { id: string }[]>;
  /** Told of each session that was deleted: its running turn has nobody left to answer. */
  onDeleted(sessionId: string): void;
}

/** Sessions that are deleted in one step: some two milliseconds of the store's work. */
const BATCH = 100;

export function createOwnedSessions({ adminStore, newest, onDeleted }: OwnedSessionsOptions): OwnedSessions {
  return { list, ownerOf, delete: deleteOne, deleteAll };

  async function list(request: PageRequest): Promise<SearchedPage<Session>> {
    const page = await adminStore.allSessions(request);
    const now = Date.now();
    return { ...page, data: page.data.filter((session) => !isExpired(session, now)) };
  }

  async function ownerOf(sessionId: string): Promise<string> {
    const owner = await adminStore.ownerOf(sessionId);
    if (owner === null) throw new AppError('session_not_found');
    return owner;
  }

  async function deleteOne(sessionId: string): Promise<void> {
    const owner = await ownerOf(sessionId);
    const deleted = await remove(owner, [sessionId], audit('session.delete', sessionId, { owner }));
    if (deleted === 0) throw new AppError('session_not_found');
  }

  async function deleteAll(owner: string): Promise<number> {
    let deleted = 0;
    let before: string | null = null;
    for (;;) {
      const page: readonly { id: string }[] = await newest(owner, before, BATCH);
      const sessions = page.map(({ id }) => id);
      before = sessions.at(-1) ?? null;
      if (before === null) return deleted;
      deleted += await remove(owner, sessions, audit('owner.delete_sessions', owner, { sessions }));
      // Whatever waits comes before the next batch.
      await nextRound();
    }
  }

  async function remove(owner: string, sessionIds: readonly string[], entry: AuditEntry): Promise<number> {
    const deleted = await adminStore.deleteSessions(owner, sessionIds, entry);
    for (const sessionId of deleted) onDeleted(sessionId);
    return deleted.length;
  }
}

function audit(action: string, subject: string, details: AuditEntry['details']): AuditEntry {
  return { id: newId(), at: Date.now(), action, subject, details };
}
