/**
 * The messages of a chat completion as items, for everything that asks what was said: tokens, tools, sessions, and providers
 * that speak another dialect. Providers that speak this one get the messages as they came.
 */

import type { Item } from '../../conversation/item.ts';
import { type Fields, inputItems, isObject, unsupported, wrong } from './input-items.ts';

/**
 * @param keepsAll whether a part that no item can hold is refused; otherwise its place is held by a note
 * @param before how many messages of the request come before these, for what is said of them
 */
export function chatItems(messages: readonly unknown[], keepsAll: boolean, before = 0): Item[] {
  return messages.flatMap((message, index) => itemsOf(message, `messages[${before + index}]`, keepsAll));
}

/** What the messages at the beginning instruct the model to do, and the others. */
export function splitInstructions(messages: readonly unknown[]): {
  instructions: string | undefined;
  rest: readonly unknown[];
} {
  const first = messages.findIndex((message) => !isInstruction(message));
  const leading = first === -1 ? messages : messages.slice(0, first);
  const texts = leading.map((message, index) => textOf(Object(message).content, `messages[${index}]`, true));
  return {
    instructions: texts.length === 0 ? undefined : texts.join('\n\n'),
    rest: messages.slice(leading.length),
  };
}

/** The messages after the last one of the assistant's: what a session does not have yet. */
export function newMessages(messages: readonly unknown[]): readonly unknown[] {
  return messages.slice(messages.findLastIndex((message) => roleOf(message) === 'assistant') + 1);
}

function itemsOf(message: unknown, place: string, keepsAll: boolean): Item[] {
  if (!isObject(message)) throw wrong(place, 'must be an object');
  const { role, content } = message;
  switch (role) {
    case 'system':
    case 'developer':
    case 'user':
      return items({ role, content: contentOf(content, place, keepsAll) }, place);
    case 'assistant':
      return assistantItems(message, place, keepsAll);
    case 'tool': {
      const { tool_call_id: callId } = message;
      if (typeof callId !== 'string') throw wrong(`${place}.tool_call_id`, 'must be a text');
      return items(
        { type: 'function_call_output', call_id: callId, output: textOf(content, place, keepsAll) },
        place,
      );
    }
    case 'function':
      if (!keepsAll) return functionResult(message, place);
      throw unsupported(`${place}.role`, 'role "function" is not supported: send tools, and role "tool"');
    default:
      throw wrong(`${place}.role`, 'must be system, developer, user, assistant or tool');
  }
}

/** What a tool's result was before there could be several: it goes by the function's name. */
function functionResult({ name, content }: Fields, place: string): Item[] {
  if (typeof name !== 'string') throw wrong(`${place}.name`, 'must be a text');
  const output = textOf(content, place, false);
  return items({ type: 'function_call_output', call_id: name, output }, place);
}

function assistantItems(message: Fields, place: string, keepsAll: boolean): Item[] {
  const { content = null, refusal, tool_calls: calls = [], function_call: called = null } = message;
  const said = content === null || content === '' ? [] : contentOf(content, place, keepsAll);
  const parts = Array.isArray(said) ? said : [{ type: 'output_text', text: said }];
  const refused = typeof refusal === 'string' ? [{ type: 'refusal', refusal }] : [];
  if (!Array.isArray(calls)) throw wrong(`${place}.tool_calls`, 'must be a list');
  const spoken = [...parts, ...refused];
  return [
    ...(spoken.length === 0 ? [] : items({ role: 'assistant', content: spoken }, place)),
    ...calls.flatMap((call: unknown, index) => callItem(call, `${place}.tool_calls[${index}]`, keepsAll)),
    ...(called === null ? [] : functionCall(called, place, keepsAll)),
  ];
}

function callItem(call: unknown, place: string, keepsAll: boolean): Item[] {
  if (!isObject(call)) throw wrong(place, 'must be an object');
  const { id: call_id, type, function: called, custom } = call;
  if (isObject(called)) {
    const { name, arguments: args } = called;
    return items({ type: 'function_call', call_id, name, arguments: args }, place);
  }
  if (!isObject(custom)) throw wrong(place, 'must be the call of a function');
  // Played back as a function's it would be another call.
  if (keepsAll) throw unsupported(`${place}.type`, `calls of type ${JSON.stringify(type)} are not supported`);
  return items({ type: 'function_call', call_id, name: custom['name'], arguments: custom['input'] }, place);
}

/** What `tool_calls` was before it could hold more than one. */
function functionCall(called: unknown, place: string, keepsAll: boolean): Item[] {
  const field = `${place}.function_call`;
  if (keepsAll) throw unsupported(field, 'is not supported: send tool_calls');
  if (!isObject(called)) throw wrong(field, 'must be an object');
  const { name, arguments: args } = called;
  return items({ type: 'function_call', call_id: name, name, arguments: args }, place);
}

/** One item, in the words of the Responses API. */
function items(item: object, place: string): Item[] {
  return inputItems([item], place).filter((one) => one.type !== 'item_reference');
}

function contentOf(content: unknown, place: string, keepsAll: boolean): string | object[] {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw wrong(`${place}.content`, 'must be a text or a list of parts');
  return content.map((part: unknown, index) => partOf(part, `${place}.content[${index}]`, keepsAll));
}

function partOf(part: unknown, place: string, keepsAll: boolean): object {
  if (!isObject(part)) throw wrong(place, 'must be an object');
  const { type, image_url: image, file } = part;
  if (type === 'text' || type === 'refusal') return part;
  if (type === 'image_url' && isObject(image)) {
    const { url, detail } = image;
    return { type: 'input_image', image_url: url, ...(detail === undefined ? {} : { detail }) };
  }
  if (type === 'file' && isObject(file)) return { type: 'input_file', ...file };
  if (keepsAll) throw unsupported(`${place}.type`, `parts of type ${JSON.stringify(type)} are not supported`);
  return { type: 'input_text', text: `[${String(type)}]` };
}

/** Where nothing may be lost, what is no text is refused. */
function textOf(content: unknown, place: string, keepsAll: boolean): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) {
    if (keepsAll) throw wrong(`${place}.content`, 'must be a text or a list of parts');
    return '';
  }
  return content
    .map((part: unknown, index) => {
      if (isObject(part) && typeof part['text'] === 'string') return part['text'];
      if (keepsAll) throw unsupported(`${place}.content[${index}]`, 'only parts of text are supported here');
      return '';
    })
    .join('');
}

function isInstruction(message: unknown): boolean {
  const role = roleOf(message);
  return role === 'system' || role === 'developer';
}

function roleOf(message: unknown): unknown {
  return isObject(message) ? message['role'] : undefined;
}
