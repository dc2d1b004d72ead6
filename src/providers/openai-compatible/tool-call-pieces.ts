/** Joins the pieces in which tool calls arrive. Does not read their arguments. */

import { newItemId } from '../../conversation/id.ts';
import type { ProviderEvent } from '../provider.ts';
import { nonEmpty, type WireToolCall } from './chat-wire.ts';

type ToolCallEvent = Extract<ProviderEvent, { type: 'tool-call' }>;

interface ToolCallPieces {
  /** Takes the pieces of one event, or the whole calls of an answer. */
  add(pieces: readonly WireToolCall[]): void;
  /** What is held back until the calls are whole, in characters. */
  readonly size: number;
  /** The calls so far, in the order in which they began. */
  calls(): ToolCallEvent[];
}

interface Call {
  id: string | null;
  name: string;
  arguments: string;
}

/** Characters that a call takes beside its texts, so that empty calls count too. */
const CALL_SIZE = 100;

/** The calls of one answer, empty at first. */
export function createToolCallPieces(): ToolCallPieces {
  const calls: Call[] = [];
  /** The call that a piece with this index continues. */
  const open = new Map<unknown, Call>();
  let size = 0;

  return {
    add(pieces) {
      for (const piece of pieces) addPiece(piece);
    },
    get size() {
      return size;
    },
    calls: () =>
      calls.map((call) => ({
        type: 'tool-call',
        callId: call.id ?? newItemId('call'),
        name: call.name,
        arguments: call.arguments,
      })),
  };

  function addPiece(piece: WireToolCall): void {
    const id = nonEmpty(piece.id);
    const name = nonEmpty(piece.function?.name);
    const text = argumentsText(piece.function?.arguments);
    let call = open.get(piece.index);
    if (call === undefined || begins(call, id, name)) {
      call = { id, name: name ?? '', arguments: text };
      calls.push(call);
      open.set(piece.index, call);
      size += CALL_SIZE;
    } else {
      call.id ??= id;
      if (call.name === '' && name !== null) call.name = name;
      call.arguments += text;
    }
    size += text.length;
  }
}

/**
 * Whether a piece begins another call under an index that is taken. Some servers give every call the index 0,
 * or none, and tell them apart by id; others repeat the id, or make up a new one for each piece. Only a new id
 * that comes with a name is a new call.
 */
function begins(call: Call, id: string | null, name: string | null): boolean {
  return id !== null && name !== null && call.id !== null && id !== call.id;
}

/** The dialect sends JSON as text; some servers send the value itself. */
function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}
