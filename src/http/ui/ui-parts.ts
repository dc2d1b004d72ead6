/** The parts of a message as the pieces of a stream that make them: for clients that read a message again as a whole. */

import type { UiChunk } from './ui-chunk.ts';
import type { UiPart, UiToolPart } from './ui-message.ts';

/** In their order, the last step ended. */
export function chunksOfParts(parts: readonly UiPart[]): UiChunk[] {
  const chunks: UiChunk[] = [];
  for (const [index, part] of parts.entries()) {
    if (part.type === 'step-start') {
      if (chunks.length > 0) chunks.push({ type: 'finish-step' });
      chunks.push({ type: 'start-step' });
    } else if (part.type === 'text') chunks.push(...chunksOfText('text', `before-${index}`, part.text));
    else if (part.type === 'reasoning') chunks.push(...chunksOfText('reasoning', part.id, part.text));
    else if ('toolCallId' in part) chunks.push(...chunksOfCall(part));
  }
  return chunks.length === 0 ? [] : [...chunks, { type: 'finish-step' }];
}

function chunksOfText(type: 'text' | 'reasoning', id: string, delta: string): UiChunk[] {
  return [
    { type: `${type}-start`, id },
    { type: `${type}-delta`, id, delta },
    { type: `${type}-end`, id },
  ];
}

function chunksOfCall(part: UiToolPart): UiChunk[] {
  const { toolCallId, state, output, errorText, approval } = part;
  const chunks = chunksOfInput(part);
  if (approval !== undefined) {
    chunks.push({ type: 'tool-approval-request', approvalId: approval.id, toolCallId });
  }
  if (approval?.approved !== undefined) {
    const { id: approvalId, ...decision } = approval;
    chunks.push({ type: 'tool-approval-response', approvalId, ...decision });
  }
  if (state === 'output-available') chunks.push({ type: 'tool-output-available', toolCallId, output });
  if (state === 'output-error') chunks.push({ type: 'tool-output-error', toolCallId, errorText });
  if (state === 'output-denied') chunks.push({ type: 'tool-output-denied', toolCallId });
  return chunks;
}

/** A client runs each call of its own that it is handed over: one that has a result is only shown. */
function chunksOfInput({
  type,
  toolName,
  toolCallId,
  state,
  input,
  providerExecuted,
  toolMetadata,
}: UiToolPart): UiChunk[] {
  if (type === 'dynamic-tool') {
    const call = { toolCallId, toolName, input, providerExecuted, dynamic: true, toolMetadata };
    return [{ type: 'tool-input-available', ...call }];
  }
  const call = { toolCallId, toolName: type.slice('tool-'.length) };
  if (state === 'input-available') return [{ type: 'tool-input-available', ...call, input }];
  const inputTextDelta = JSON.stringify(input);
  return [
    { type: 'tool-input-start', ...call },
    { type: 'tool-input-delta', toolCallId, inputTextDelta },
  ];
}
