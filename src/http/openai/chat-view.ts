/** A turn as a chat completion. */

import { answerOf } from '../../conversation/message.ts';
import { NO_SESSION } from '../../conversation/session.ts';
import type { Turn } from '../../conversation/turn.ts';
import type { Usage } from '../../conversation/usage.ts';
import { turnIdOf } from './ids.ts';

export function completionView(turn: Turn) {
  const { text, refusal, calls } = answerOf(turn.output);
  const reasoning = reasoningOf(turn);
  return {
    id: completionIdOf(turn),
    object: 'chat.completion' as const,
    created: Math.floor(turn.createdAt / 1000),
    model: turn.model ?? '',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant' as const,
          content: text === '' && (refusal !== '' || calls.length > 0) ? null : text,
          refusal: refusal === '' ? null : refusal,
          ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
          ...(calls.length === 0 ? {} : { tool_calls: calls }),
        },
        logprobs: null,
        finish_reason: finishReasonOf(turn),
      },
    ],
    usage: turn.usage === null ? null : usageOf(turn.usage),
  };
}

/** One that is not stored is found by nobody, and still has an id of its own. */
export function completionIdOf({ id, sessionId }: Pick<Turn, 'id' | 'sessionId'>): string {
  if (sessionId === NO_SESSION) return `chatcmpl-${id.replaceAll('-', '')}`;
  return turnIdOf('chatcmpl', { sessionId, turnId: id });
}

/** Calls of the server's tools that wait for somebody's approval are nothing that a client of this API could make. */
export function finishReasonOf({ finishReason, output }: Pick<Turn, 'finishReason' | 'output'>): string {
  const reason = finishReason ?? 'stop';
  const isCalled = output.some(({ type }) => type === 'function_call');
  return reason === 'tool_calls' && !isCalled ? 'stop' : reason;
}

export function usageOf(usage: Usage) {
  return {
    prompt_tokens: usage.input_tokens,
    completion_tokens: usage.output_tokens,
    total_tokens: usage.total_tokens,
    prompt_tokens_details: { cached_tokens: usage.input_tokens_details.cached_tokens },
    completion_tokens_details: { reasoning_tokens: usage.output_tokens_details.reasoning_tokens },
    ...(usage.cost === undefined ? {} : { cost: usage.cost }),
  };
}

function reasoningOf({ output }: Turn): string {
  return output
    .flatMap((item) => (item.type === 'reasoning' ? item.content.map(({ text }) => text) : []))
    .join('');
}
