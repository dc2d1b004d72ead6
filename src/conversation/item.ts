/**
 * Items: the atoms of a conversation, in the JSON of the Open Responses specification. They are stored
 * verbatim, unknown fields included, which is why their fields are in snake case.
 */

export type Item =
  | MessageItem
  | ReasoningItem
  | FunctionCallItem
  | FunctionCallOutputItem
  | McpCallItem
  | ApprovalRequestItem
  | ApprovalResponseItem;

export type MessageRole = 'user' | 'assistant' | 'system' | 'developer';

export interface MessageItem {
  type: 'message';
  id: string;
  role: MessageRole;
  status: ItemStatus;
  content: MessagePart[];
  /** The caller's own notes on the message; no provider sees them. */
  metadata?: Record<string, string>;
}

/** `incomplete`: the model was cut off inside the item. */
export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';

export type MessagePart = InputText | InputImage | InputFile | OutputText | Refusal;

export interface InputText {
  type: 'input_text';
  text: string;
}

export interface InputImage {
  type: 'input_image';
  /** An http(s) URL, or a data URL. */
  image_url: string;
  detail?: string;
}

export interface InputFile {
  type: 'input_file';
  filename?: string;
  /** A data URL. */
  file_data?: string;
  file_url?: string;
  file_id?: string;
}

export interface OutputText {
  type: 'output_text';
  text: string;
  annotations: unknown[];
  logprobs: unknown[];
}

export interface Refusal {
  type: 'refusal';
  refusal: string;
}

export interface ReasoningItem {
  type: 'reasoning';
  id: string;
  summary: unknown[];
  content: { type: 'reasoning_text'; text: string }[];
}

export interface FunctionCallItem {
  type: 'function_call';
  id: string;
  /** Joins the call with its output; the provider's own id where it gives one. */
  call_id: string;
  name: string;
  /** JSON text as the model wrote it; it may be invalid JSON. */
  arguments: string;
  status: ItemStatus;
}

export interface FunctionCallOutputItem {
  type: 'function_call_output';
  id: string;
  call_id: string;
  output: string;
  status: ItemStatus;
  metadata?: Record<string, string>;
}

/** What prompts are made of: to a model, a call that the server has run is a call and its result. */
export type PromptItem = Exclude<Item, McpCallItem | ApprovalRequestItem | ApprovalResponseItem>;

/** A call that the server has run itself, with what came of it. */
export interface McpCallItem {
  type: 'mcp_call';
  id: string;
  /** The provider's own id of the call. */
  call_id: string;
  /** The tool source, by its name in the configuration. */
  server_label: string;
  /** The tool, as its source knows it. */
  name: string;
  /** Under which the model called it. */
  function_name: string;
  /** JSON text as the model wrote it; it may be invalid JSON. */
  arguments: string;
  /** What the model reads; null if the call failed. */
  output: string | null;
  /** What the model reads instead. */
  error: string | null;
  /** `incomplete`: the turn ended before the result was there, and nobody knows whether the tool has run. */
  status: 'completed' | 'failed' | 'incomplete';
  /** The parts of the result, in the words of the protocol; left out where the text is all there is. */
  content?: readonly unknown[];
  /** The result as data, if the tool gave any. */
  structured_content?: unknown;
  duration_ms: number;
  /** Calls of one number were asked for by the model at once. */
  step: number;
}

/** A call that the server is to run, once somebody has approved it. */
export interface ApprovalRequestItem
  extends Pick<McpCallItem, 'call_id' | 'server_label' | 'name' | 'function_name' | 'arguments' | 'step'> {
  type: 'mcp_approval_request';
  id: string;
}

/** What somebody has decided about a call. */
export interface ApprovalResponseItem {
  type: 'mcp_approval_response';
  id: string;
  approval_request_id: string;
  approve: boolean;
  /** For the model; null if none was given. */
  reason: string | null;
}

const WITHOUT_PLACE: ReadonlySet<Item['type']> = new Set([
  'reasoning',
  'mcp_call',
  'mcp_approval_request',
  'mcp_approval_response',
]);

/**
 * Whether the item takes a place in the window: messages, calls and results of the caller's do; reasoning, and what a
 * turn did by itself on the way to its answer, do not. An item with a place is one message of the native API.
 */
export function takesPlace(item: Item): boolean {
  return !WITHOUT_PLACE.has(item.type);
}

/** How many places the items take in the window. */
export function countPlaces(items: readonly Item[]): number {
  let places = 0;
  for (const item of items) if (takesPlace(item)) places += 1;
  return places;
}
