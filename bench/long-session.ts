/** Puts a long session into a database file before the server opens it: by HTTP it would take minutes. */

import { newId, newItemId } from '../src/conversation/id.ts';
import type { Item, MessageItem } from '../src/conversation/item.ts';
import type { Turn } from '../src/conversation/turn.ts';
import { openStore } from '../src/stores/open-store.ts';

/** Whom sessions of a server without keys belong to. */
const OWNER = 'open';

/** Writes a session with so many items, two a turn, and returns its id. */
export async function writeLongSession(
  location: string,
  items: number,
  content: string,
  memoryLimit: number,
): Promise<string> {
  const store = await openStore(location);
  const id = newId();
  const turns: Turn[] = [];
  for (let count = 0; count < items; count += 2) turns.push(turn(id, turns.at(-1)?.id ?? null, content));
  await store.createSession(
    {
      id,
      owner: OWNER,
      title: null,
      provider: null,
      model: null,
      fallbackProviders: null,
      memoryLimit,
      maxContextTokens: null,
      instructions: null,
      tools: null,
      metadata: {},
      ttlSeconds: null,
      servedBy: null,
      headTurnId: turns.at(-1)?.id ?? null,
      createdAt: Date.now(),
      updatedAt: Date.now(),
    },
    turns,
  );
  await store.close();
  return id;
}

function turn(sessionId: string, parentId: string | null, content: string): Turn {
  const now = Date.now();
  return {
    id: newId(),
    sessionId,
    parentId,
    status: 'completed',
    input: [message('user', content)],
    output: [message('assistant', content)],
    provider: 'openai',
    model: 'bench',
    providerSource: 'default',
    finishReason: 'stop',
    attempts: [],
    usage: null,
    error: null,
    seenPlaces: 0,
    trace: [],
    createdAt: now,
    completedAt: now,
  };
}

function message(role: MessageItem['role'], text: string): Item {
  return {
    type: 'message',
    id: newItemId('msg'),
    role,
    status: 'completed',
    content: [{ type: 'input_text', text }],
  };
}
