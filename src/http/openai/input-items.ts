/**
 * What clients of OpenAI's write as input: a text, messages in short, or items. They become items as they are stored, with
 * the fields that they came with; what no provider here could be told is refused, with its place.
 */

import { newItemId } from '../../conversation/id.ts';
import type { Item, MessagePart, MessageRole } from '../../conversation/item.ts';
import { AppError } from '../../errors.ts';

/** An item of the conversation that is meant by its id. */
export interface ItemReference {
  type: 'item_reference';
  id: string;
}

/** The fields of a JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

const ROLES: ReadonlySet<unknown> = new Set<MessageRole>(['user', 'assistant', 'system', 'developer']);

/**
 * The items of an input. Those without an id get one.
 * @param input a text, or an array of items
 * @param param where it stands, for what is said of it
 */
export function inputItems(input: unknown, param = 'input'): (Item | ItemReference)[] {
  if (typeof input === 'string') return [message({ role: 'user', content: input }, param)];
  if (!Array.isArray(input)) throw wrong(param, 'must be a text or a list of items');
  return input.map((item: unknown, index) => inputItem(item, `${param}[${index}]`));
}

function inputItem(item: unknown, place: string): Item | ItemReference {
  if (!isObject(item)) throw wrong(place, 'must be an object');
  const { type = 'role' in item ? 'message' : undefined } = item;
  switch (type) {
    case 'message':
      return message(item, place);
    case 'reasoning':
      return reasoning(item, place);
    case 'function_call': {
      const call = { call_id: text(item, 'call_id', place), name: text(item, 'name', place) };
      const args = text(item, 'arguments', place);
      return { ...item, type, id: idOf(item, 'fc', place), ...call, arguments: args, status: statusOf(item) };
    }
    case 'function_call_output': {
      const output = outputText(item['output'], `${place}.output`);
      const id = idOf(item, 'fco', place);
      return { ...item, type, id, call_id: text(item, 'call_id', place), output, status: statusOf(item) };
    }
    case 'mcp_call':
      return mcpCall(item, place);
    case 'mcp_approval_request': {
      const named = { server_label: text(item, 'server_label', place), name: text(item, 'name', place) };
      const args = text(item, 'arguments', place);
      const id = idOf(item, 'mcpr', place);
      return { ...item, type, id, ...named, arguments: args, ...ownFields(id, named) };
    }
    case 'mcp_approval_response': {
      const { approve, reason = null } = item;
      if (typeof approve !== 'boolean') throw wrong(`${place}.approve`, 'must be true or false');
      if (reason !== null && typeof reason !== 'string') throw wrong(`${place}.reason`, 'must be a text');
      const asked = text(item, 'approval_request_id', place);
      return { type, id: idOf(item, 'mcpa', place), approval_request_id: asked, approve, reason };
    }
    case 'item_reference':
      return { type, id: text(item, 'id', place) };
    case undefined:
      throw wrong(`${place}.type`, 'is missing');
    default:
      throw unsupported(`${place}.type`, `items of type ${JSON.stringify(type)} are not supported`);
  }
}

function message(item: Fields, place: string): Item {
  const { role, content, ...rest } = item;
  if (!ROLES.has(role)) throw wrong(`${place}.role`, 'must be user, assistant, system or developer');
  const isAnswer = role === 'assistant';
  return {
    ...rest,
    type: 'message',
    id: idOf(item, 'msg', place),
    role: role as MessageRole,
    status: statusOf(item),
    content: parts(content, isAnswer, `${place}.content`),
  };
}

function parts(content: unknown, isAnswer: boolean, place: string): MessagePart[] {
  if (typeof content === 'string') {
    return [isAnswer ? outputPart(content) : { type: 'input_text', text: content }];
  }
  if (!Array.isArray(content)) throw wrong(place, 'must be a text or a list of parts');
  return content.map((part: unknown, index) => messagePart(part, isAnswer, `${place}[${index}]`));
}

function messagePart(part: unknown, isAnswer: boolean, place: string): MessagePart {
  if (!isObject(part)) throw wrong(place, 'must be an object');
  switch (part['type']) {
    case 'input_text':
    case 'output_text':
    case 'text': {
      const said = text(part, 'text', place);
      return isAnswer
        ? { ...outputPart(said), ...part, type: 'output_text' }
        : { ...part, type: 'input_text', text: said };
    }
    case 'refusal':
      return { ...part, type: 'refusal', refusal: text(part, 'refusal', place) };
    case 'input_image':
      if (part['image_url'] === undefined || part['image_url'] === null) {
        throw unsupported(`${place}.file_id`, 'files by id are not supported: send image_url');
      }
      return { ...part, type: 'input_image', image_url: text(part, 'image_url', place) };
    case 'input_file':
      if (
        ![part['file_data'], part['file_url'], part['file_id']].some((given) => typeof given === 'string')
      ) {
        throw wrong(place, 'needs file_data, file_url or file_id');
      }
      return { ...part, type: 'input_file' };
    default:
      throw unsupported(`${place}.type`, `parts of type ${JSON.stringify(part['type'])} are not supported`);
  }
}

function outputPart(said: string): Extract<MessagePart, { type: 'output_text' }> {
  return { type: 'output_text', text: said, annotations: [], logprobs: [] };
}

function reasoning(item: Fields, place: string): Item {
  const { summary = [], content = [] } = item;
  if (!Array.isArray(summary)) throw wrong(`${place}.summary`, 'must be a list');
  if (content !== null && !Array.isArray(content)) throw wrong(`${place}.content`, 'must be a list');
  return { ...item, type: 'reasoning', id: idOf(item, 'rs', place), summary, content: content ?? [] };
}

/** A call that a server has made before, which somebody sends back as part of the conversation. */
function mcpCall(item: Fields, place: string): Item {
  const named = { server_label: text(item, 'server_label', place), name: text(item, 'name', place) };
  const { output = null, error = null } = item;
  if (output !== null && typeof output !== 'string') throw wrong(`${place}.output`, 'must be a text');
  const id = idOf(item, 'mcp', place);
  return {
    type: 'mcp_call',
    id,
    ...named,
    arguments: text(item, 'arguments', place),
    output,
    error: error === null || typeof error === 'string' ? error : JSON.stringify(error),
    status: error === null ? 'completed' : 'failed',
    duration_ms: 0,
    ...ownFields(id, named),
  };
}

/** What only this server knows of a call, for one that it did not make: a name that every model can take. */
function ownFields(id: string, { server_label: server, name }: { server_label: string; name: string }) {
  const functionName = `${server}__${name}`.replaceAll(/[^\w-]/g, '_').slice(0, 64);
  return { call_id: id, function_name: functionName, step: 0 };
}

/** The result of a caller's tool is text: of its parts only those are taken. */
function outputText(output: unknown, place: string): string {
  if (typeof output === 'string') return output;
  if (!Array.isArray(output)) throw wrong(place, 'must be a text or a list of parts');
  const said = output.map((part: unknown, index) => {
    const isText = isObject(part) && (part['type'] === 'input_text' || part['type'] === 'output_text');
    if (!isText) throw unsupported(`${place}[${index}].type`, 'only input_text is supported in results');
    return text(part, 'text', `${place}[${index}]`);
  });
  return said.join('');
}

function idOf(item: Fields, prefix: Parameters<typeof newItemId>[0], place: string): string {
  const { id } = item;
  if (id === undefined || id === null) return newItemId(prefix);
  if (typeof id !== 'string' || id === '' || id.length > MAX_ID_CHARACTERS) {
    throw wrong(`${place}.id`, `must be a text of 1 to ${MAX_ID_CHARACTERS} characters`);
  }
  return id;
}

const MAX_ID_CHARACTERS = 200;

function statusOf({ status }: Fields): 'completed' | 'incomplete' {
  return status === 'incomplete' ? 'incomplete' : 'completed';
}

function text(fields: Fields, name: string, place: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw wrong(`${place}.${name}`, 'must be a text');
  return value;
}

/** Whether the value is a JSON object. */
export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that is not what it has to be. @param param the field, as clients write it: `input[0].role` */
export function wrong(param: string, message: string): AppError {
  const path = `/${param.replaceAll('[', '.').replaceAll(']', '').replaceAll('.', '/')}`;
  return new AppError('invalid_request', { param, problems: [{ in: 'body', path, message }] });
}

/** What this server does not do, said instead of ignored. */
export function unsupported(param: string, message: string): AppError {
  return new AppError('unsupported_parameter', { param, reason: message });
}
