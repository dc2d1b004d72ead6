/** Calls that a turn has left for somebody to approve, and what was decided about them. */

import type { ApprovalRequestItem, ApprovalResponseItem, Item } from '../conversation/item.ts';
import { AppError } from '../errors.ts';

export interface DecidedCall {
  request: ApprovalRequestItem;
  response: ApprovalResponseItem;
}

/** The calls in what a turn has made that wait for an approval. */
export function undecidedCalls(output: readonly Item[]): ApprovalRequestItem[] {
  return output.filter((item) => item.type === 'mcp_approval_request');
}

/**
 * The calls of the turn before that the input decides about. Throws `approval_not_found` for a decision about something
 * else, or where one is missing: the model goes on with the results of all.
 */
export function decidedCalls(output: readonly Item[], input: readonly Item[]): DecidedCall[] {
  const responses = input.filter((item) => item.type === 'mcp_approval_response');
  if (responses.length === 0) return [];
  const requests = undecidedCalls(output);
  const unknown = responses.find(
    ({ approval_request_id: id }) => !requests.some((request) => request.id === id),
  );
  if (unknown !== undefined) throw notFound(unknown.approval_request_id);
  return requests.map((request) => {
    const [response, second] = responses.filter(({ approval_request_id: id }) => id === request.id);
    if (response === undefined || second !== undefined) throw notFound(request.id);
    return { request, response };
  });
}

function notFound(id: string): AppError {
  return new AppError('approval_not_found', { approval_request_id: id });
}
