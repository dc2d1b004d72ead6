/**
 * What is said, in the JSON that OpenTelemetry's GenAI conventions have for spans: only for operators who have asked
 * for it. Bounded, the newest first: spans wait in memory until they are sent.
 */

import type { MessagePart, PromptItem } from '../conversation/item.ts';
import type { FinishReason } from '../conversation/turn.ts';

/** Part of a message, by the conventions; types of our own are allowed. */
interface Part {
  type: string;
  [field: string]: string;
}

interface Message {
  role: string;
  parts: Part[];
}

export type MadePart =
  | { type: 'text' | 'refusal' | 'reasoning'; content: string }
  | { type: 'tool_call'; id: string; name: string; arguments: string };

/** In characters, of each attribute. A span with two such is as large as a hundred without. */
export const MAX_CONTENT = 32 * 1024;

/** What the JSON around a part takes, roughly. */
const PART_OVERHEAD = 64;

/** `gen_ai.system_instructions`. */
export function instructionsJson(instructions: string): string {
  return JSON.stringify([{ type: 'text', content: createRoom().cut(instructions) }]);
}

/**
 * `gen_ai.input.messages`: as many of the newest items as there is room for. Images and files are named, not shown.
 * @param continueFrom the beginning of the answer, which is to be gone on with; null for none
 */
export function inputJson(items: readonly PromptItem[], continueFrom: string | null): string {
  const room = createRoom();
  const messages: Message[] = [];
  if (continueFrom !== null) messages.push({ role: 'assistant', parts: [textPart(continueFrom, room)] });
  for (const item of items.toReversed()) {
    if (room.isFull()) break;
    // It is not sent to providers.
    if (item.type !== 'reasoning') messages.push(messageOf(item, room));
  }
  return JSON.stringify(messages.reverse());
}

/** `gen_ai.output.messages`: one message. `error` says that it was not made to its end. */
export function outputJson(made: readonly MadePart[], reason: FinishReason | 'error'): string {
  const room = createRoom();
  const parts = made.map((part): Part => {
    if (part.type === 'tool_call') return { ...part, arguments: room.cut(part.arguments) };
    return { type: part.type, content: room.cut(part.content) };
  });
  return JSON.stringify([
    { role: 'assistant', parts, finish_reason: reason === 'tool_calls' ? 'tool_call' : reason },
  ]);
}

interface Room {
  isFull(): boolean;
  /** As much of the text as there is room for. */
  cut(text: string): string;
}

function createRoom(): Room {
  let left = MAX_CONTENT;
  return {
    isFull: () => left <= 0,
    cut(text) {
      const kept = text.slice(0, Math.max(0, left));
      left -= kept.length + PART_OVERHEAD;
      return kept === text ? text : `${kept}…`;
    },
  };
}

function messageOf(item: Exclude<PromptItem, { type: 'reasoning' }>, room: Room): Message {
  switch (item.type) {
    case 'message':
      return { role: item.role, parts: partsOf(item.content, room) };
    case 'function_call': {
      const { call_id: id, name, arguments: given } = item;
      return { role: 'assistant', parts: [{ type: 'tool_call', id, name, arguments: room.cut(given) }] };
    }
    case 'function_call_output': {
      const part = { type: 'tool_call_response', id: item.call_id, response: room.cut(item.output) };
      return { role: 'tool', parts: [part] };
    }
  }
}

function partsOf(content: readonly MessagePart[], room: Room): Part[] {
  const parts: Part[] = [];
  for (const part of content) {
    if (room.isFull()) break;
    parts.push(partOf(part, room));
  }
  return parts;
}

function partOf(part: MessagePart, room: Room): Part {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
      return textPart(part.text, room);
    case 'refusal':
      return { type: 'refusal', content: room.cut(part.refusal) };
    case 'input_image':
      return { type: room.cut('image') };
    case 'input_file':
      return { type: room.cut('file') };
  }
}

function textPart(text: string, room: Room): Part {
  return { type: 'text', content: room.cut(text) };
}
