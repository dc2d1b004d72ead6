/**
 * Many sessions in a store before a server opens it. One conversation is held with a real server, so that what is stored
 * is what turns store; and then it is put into the store as often as asked, under ids of its own each time, as an import
 * would put it there. By HTTP a million of them would take a day.
 */

import { newId, newItemId } from '../src/conversation/id.ts';
import type { Item } from '../src/conversation/item.ts';
import { openStore } from '../src/stores/open-store.ts';
import type { PortableRecord, PortableValues } from '../src/stores/portable-store.ts';

/** A session with its turns, oldest first. */
export interface Conversation {
  session: PortableValues['session'];
  turns: PortableValues['turn'][];
}

/** Long enough for an engine that is filled by several at once. */
const TIMEOUT_MILLISECONDS = 60_000;

/** Reads the only session of a store that no server uses. */
export async function readConversation(location: string): Promise<Conversation> {
  const store = await openStore(location);
  const turns: Conversation['turns'] = [];
  let session: Conversation['session'] | undefined;
  const moment = { now: Date.now(), interrupted: { code: 'server_restarted', message: '' } } as const;
  for await (const record of store.portable.dump(moment)) {
    if (record.kind === 'session') session = record.value;
    if (record.kind === 'turn') turns.push(record.value);
  }
  await store.close();
  if (session === undefined) throw new Error(`There is no session in ${location}.`);
  return { session, turns };
}

/**
 * Puts `count` copies of the conversation into a store that no server uses, and returns their ids.
 * @param lanes restores that run at the same time
 */
export async function fillStore(
  location: string,
  conversation: Conversation,
  count: number,
  lanes: number,
): Promise<string[]> {
  const store = await openStore(location, undefined, TIMEOUT_MILLISECONDS);
  const copy = copierOf(conversation);
  const ids: string[] = [];
  await Promise.all(Array.from({ length: lanes }, () => store.portable.restore(records())));
  await store.close();
  return ids;

  async function* records(): AsyncGenerator<PortableRecord> {
    while (ids.length < count) {
      const id = newId();
      ids.push(id);
      yield* copy(id);
    }
  }
}

function copierOf({ session, turns }: Conversation): (id: string) => PortableRecord[] {
  const itemIds = turns.flatMap(({ input, output }) =>
    [input, output].flatMap((text) => (JSON.parse(text) as Item[]).map((item) => item.id)),
  );
  const anyItemId = new RegExp(itemIds.join('|'), 'g');
  const withNewIds = (text: string) => text.replaceAll(anyItemId, () => newItemId('msg'));

  return (id) => {
    const turnIds = new Map(turns.map((turn) => [turn.id, newId()]));
    const renamed = (turnId: string) => turnIds.get(turnId) ?? turnId;
    const headTurnId = session.headTurnId && renamed(session.headTurnId);
    // Sessions that are all of the same time would stand in an order of their own in what is sorted by it.
    const now = Date.now();
    return [
      { kind: 'session', value: { ...session, id, headTurnId, createdAt: now, updatedAt: now } },
      ...turns.map((turn): PortableRecord => {
        const { parentId } = turn;
        const names = { id: renamed(turn.id), sessionId: id, parentId: parentId && renamed(parentId) };
        const texts = { input: withNewIds(turn.input), output: withNewIds(turn.output) };
        return { kind: 'turn', value: { ...turn, ...names, ...texts } };
      }),
    ];
  };
}
