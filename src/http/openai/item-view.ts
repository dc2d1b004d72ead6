/** Items as clients of OpenAI's read them: as they are stored, without what only this server knows of calls. */

import type { ApprovalRequestItem, Item, McpCallItem } from '../../conversation/item.ts';

export function itemView(item: Item): Record<string, unknown> {
  if (item.type === 'mcp_call') return callView(item);
  if (item.type === 'mcp_approval_request') return requestView(item);
  return { ...item };
}

function callView({ id, type, server_label, name, status, ...item }: McpCallItem): Record<string, unknown> {
  const { arguments: args, output, error: failure } = item;
  const error = failure === null ? null : { type: 'mcp_tool_execution_error', content: failure };
  return { id, type, server_label, name, arguments: args, output, error, status, approval_request_id: null };
}

function requestView({
  id,
  type,
  server_label,
  name,
  ...item
}: ApprovalRequestItem): Record<string, unknown> {
  return { id, type, server_label, name, arguments: item.arguments };
}
