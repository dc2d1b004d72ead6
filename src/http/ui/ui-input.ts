/** What the client's messages bring that the server does not have: what the user says, and what became of calls. */

import type { Static } from 'typebox';
import { newItemId } from '../../conversation/id.ts';
import type {
  ApprovalRequestItem,
  ApprovalResponseItem,
  FunctionCallItem,
  Item,
} from '../../conversation/item.ts';
import { type ChatPart, inputItem } from '../../conversation/message.ts';
import { AppError } from '../../errors.ts';
import { MESSAGE_ID_NOTE } from './ui-message.ts';
import type { UiChatRequest } from './ui-schemas.ts';

/** One of the client's messages; what is in its parts is looked at where it is used. */
export type ClientMessage = Omit<Static<typeof UiChatRequest>['messages'][number], 'parts'> & {
  parts: Part[];
};

/** The user's message as an item, which remembers the client's id of it. Throws `invalid_request` for what says nothing. */
export function userItem(message: ClientMessage, index: number): Item {
  const content = message.parts.flatMap((part, at) => contentOf(part, `/messages/${index}/parts/${at}`));
  if (content.length === 0) throw problem(`/messages/${index}/parts`, 'must have a text or a file');
  const [only] = content;
  const isText = content.length === 1 && only?.type === 'text';
  const notes = message.id === undefined ? {} : { metadata: { [MESSAGE_ID_NOTE]: message.id } };
  return inputItem({ role: 'user', content: isText ? only.text : content, ...notes }, newItemId('msg'));
}

/** Whether the messages tell what became of a call of the client's own tools. */
export function bringsResults(message: ClientMessage): boolean {
  return message.parts.some((part) => isResult(part) || part['state'] === 'approval-responded');
}

/** The results of those of the calls that the message has one of. */
export function resultItems({ parts }: ClientMessage, calls: readonly FunctionCallItem[]): Item[] {
  return parts.filter(isResult).flatMap((part) => {
    const call = calls.find(({ id }) => id === part['toolCallId']);
    if (call === undefined) return [];
    const result = part['state'] === 'output-error' ? part['errorText'] : part['output'];
    const content = typeof result === 'string' ? result : (JSON.stringify(result) ?? '');
    return [inputItem({ role: 'tool', content, toolCallId: call.call_id }, newItemId('fco'))];
  });
}

/** What the message says of those of the requests that it has decided about. */
export function decisionItems(
  { parts }: ClientMessage,
  requests: readonly ApprovalRequestItem[],
): ApprovalResponseItem[] {
  return parts.flatMap((part): ApprovalResponseItem[] => {
    const { id, approved, reason } = (part['approval'] ?? {}) as Record<string, unknown>;
    const isDecided = part['state'] === 'approval-responded' && typeof approved === 'boolean';
    if (!isDecided || !requests.some((request) => request.id === id)) return [];
    return [
      {
        type: 'mcp_approval_response',
        id: newItemId('mcpa'),
        approval_request_id: String(id),
        approve: approved,
        reason: typeof reason === 'string' ? reason : null,
      },
    ];
  });
}

/** A request that is wrong at a place of its body. @param path a JSON pointer */
export function problem(path: string, message: string): AppError {
  return new AppError('invalid_request', { problems: [{ in: 'body', path, message }] });
}

type Part = { type: string } & Readonly<Record<string, unknown>>;

/** Of a tool that the client has run itself. */
function isResult(part: Part): boolean {
  const isOver = part['state'] === 'output-available' || part['state'] === 'output-error';
  return isOver && part['providerExecuted'] !== true;
}

/** None for parts that are for the client alone. */
function contentOf(part: Part, path: string): ChatPart[] {
  if (part.type === 'text') {
    const { text } = part;
    if (typeof text !== 'string') throw problem(`${path}/text`, 'must be a string');
    return text === '' ? [] : [{ type: 'text', text }];
  }
  if (part.type !== 'file') return [];
  const { url, mediaType, filename } = part;
  if (typeof url !== 'string' || !/^(https?:\/\/|data:)/.test(url)) {
    throw problem(`${path}/url`, 'must be an http(s) or data URL');
  }
  if (String(mediaType).startsWith('image')) return [{ type: 'image_url', image_url: { url } }];
  const name = typeof filename === 'string' ? { filename } : {};
  const file = url.startsWith('data:') ? { file_data: url } : { file_url: url };
  return [{ type: 'file', file: { ...name, ...file } }];
}
