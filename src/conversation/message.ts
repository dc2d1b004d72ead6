/**
 * Messages: the chat form of items, in the words of Chat Completions. The native API shows it and the chat
 * dialect of providers sends it, so that the conversion exists once. Pure: ids and times are given.
 */

import type {
  FunctionCallItem,
  InputFile,
  InputImage,
  Item,
  MessageItem,
  MessagePart,
  PromptItem,
} from './item.ts';

/** What a caller writes as content. */
export type ChatContent = string | readonly ChatPart[];

export type ChatPart = ChatTextPart | ChatImagePart | ChatFilePart;

interface ChatTextPart {
  type: 'text';
  text: string;
}

interface ChatImagePart {
  type: 'image_url';
  image_url: { url: string; detail?: string };
}

interface ChatFilePart {
  type: 'file';
  file: { filename?: string; file_data?: string; file_url?: string; file_id?: string };
}

interface ChatRefusalPart {
  type: 'refusal';
  refusal: string;
}

/** What a message shows as content: models add refusals to what callers can write. */
export type MessageContent = string | readonly (ChatPart | ChatRefusalPart)[];

export interface ChatToolCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

/** What a caller sends. */
export type InputMessage =
  | { role: 'user' | 'system' | 'developer'; content: ChatContent; metadata?: Record<string, string> }
  | { role: 'tool'; content: ChatContent; toolCallId: string; metadata?: Record<string, string> };

/** A message as the native API shows it, in its JSON. */
export interface Message {
  id: string;
  turn_id: string;
  role: MessageItem['role'] | 'tool';
  content: MessageContent | null;
  tool_calls?: readonly ChatToolCall[];
  tool_call_id?: string;
  /** ISO 8601 in UTC. */
  created_at: string;
  metadata: Readonly<Record<string, string>>;
}

/** What a model made in one answer, joined. */
interface Answer {
  text: string;
  refusal: string;
  calls: readonly ChatToolCall[];
}

/** The item of a caller's message. The result of a tool is text: of its parts only text is kept. */
export function inputItem(message: InputMessage, id: string): PromptItem {
  const { content } = message;
  const metadata = message.metadata === undefined ? {} : { metadata: message.metadata };
  if (message.role === 'tool') {
    const output = typeof content === 'string' ? content : joinText(content);
    return {
      type: 'function_call_output',
      id,
      call_id: message.toolCallId,
      output,
      status: 'completed',
      ...metadata,
    };
  }
  const parts: MessagePart[] =
    typeof content === 'string' ? [{ type: 'input_text', text: content }] : content.map(inputPart);
  return { type: 'message', id, role: message.role, status: 'completed', content: parts, ...metadata };
}

/**
 * The content of an item: one string where it is only text, parts otherwise; null where there is none, as in
 * calls and reasoning.
 */
export function contentOf(item: Item): MessageContent | null {
  if (item.type === 'function_call_output') return item.output;
  if (item.type !== 'message' || item.content.length === 0) return null;
  let text = '';
  for (const part of item.content) {
    if (part.type !== 'input_text' && part.type !== 'output_text') return item.content.map(chatPart);
    text += part.text;
  }
  return text;
}

/**
 * The message of one item with a place (`takesPlace`).
 *
 * @param createdAt milliseconds since the epoch
 */
export function messageOf(item: Item, turnId: string, createdAt: number): Message {
  const made = { id: item.id, turn_id: turnId };
  const created_at = new Date(createdAt).toISOString();
  const content = contentOf(item);
  switch (item.type) {
    case 'message':
      return { ...made, role: item.role, content, created_at, metadata: item.metadata ?? {} };
    case 'function_call':
      return { ...made, role: 'assistant', content, tool_calls: [toolCall(item)], created_at, metadata: {} };
    case 'function_call_output': {
      const { call_id: tool_call_id, metadata = {} } = item;
      return { ...made, role: 'tool', content, tool_call_id, created_at, metadata };
    }
    case 'reasoning':
    case 'mcp_call':
    case 'mcp_approval_request':
    case 'mcp_approval_response':
      return { ...made, role: 'assistant', content, created_at, metadata: {} };
  }
}

/** The messages and calls of the model among the items, as one answer. */
export function answerOf(items: readonly Item[]): Answer {
  let text = '';
  let refusal = '';
  const calls: ChatToolCall[] = [];
  for (const item of items) {
    if (item.type === 'function_call') calls.push(toolCall(item));
    if (item.type !== 'message') continue;
    for (const part of item.content) {
      if (part.type === 'output_text' || part.type === 'input_text') text += part.text;
      else if (part.type === 'refusal') refusal += part.refusal;
    }
  }
  return { text, refusal, calls };
}

/**
 * The output of a turn as one assistant message: the text of all its messages, joined as it was streamed, and
 * all its calls. Null if there are neither messages nor calls. Its id is that of the first item in it.
 *
 * @param createdAt milliseconds since the epoch
 */
export function answerMessage(output: readonly Item[], turnId: string, createdAt: number): Message | null {
  const first = output.find((item) => item.type === 'message' || item.type === 'function_call');
  const { text, refusal, calls } = answerOf(output);
  if (first === undefined) return null;
  return {
    id: first.id,
    turn_id: turnId,
    role: 'assistant',
    // An answer may be empty text; what only calls says nothing at all.
    content: output.some(({ type }) => type === 'message') ? answerContent(text, refusal) : null,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    created_at: new Date(createdAt).toISOString(),
    metadata: {},
  };
}

function answerContent(text: string, refusal: string): MessageContent {
  if (refusal === '') return text;
  const said: ChatTextPart[] = text === '' ? [] : [{ type: 'text', text }];
  return [...said, { type: 'refusal', refusal }];
}

function toolCall(item: FunctionCallItem): ChatToolCall {
  return { id: item.call_id, type: 'function', function: { name: item.name, arguments: item.arguments } };
}

function joinText(parts: readonly ChatPart[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function inputPart(part: ChatPart): MessagePart {
  switch (part.type) {
    case 'text':
      return { type: 'input_text', text: part.text };
    case 'image_url': {
      const { url, detail } = part.image_url;
      const image: InputImage = { type: 'input_image', image_url: url };
      return detail === undefined ? image : { ...image, detail };
    }
    case 'file':
      return { type: 'input_file', ...part.file };
  }
}

function chatPart(part: MessagePart): ChatPart | ChatRefusalPart {
  switch (part.type) {
    case 'input_text':
    case 'output_text':
      return { type: 'text', text: part.text };
    case 'refusal':
      return { type: 'refusal', refusal: part.refusal };
    case 'input_image': {
      const { image_url: url, detail } = part;
      return { type: 'image_url', image_url: detail === undefined ? { url } : { url, detail } };
    }
    case 'input_file':
      return { type: 'file', file: fileOf(part) };
  }
}

function fileOf(part: InputFile): ChatFilePart['file'] {
  const { type: _type, ...file } = part;
  return file;
}
