/**
 * What strict clients of OpenAI's Responses API want of every object and event: each field that they read is required, and
 * null only where they take it. Written from the specification and the types of OpenAI's library; further fields are
 * allowed.
 */

import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const text = Type.String();
const count = Type.Integer({ minimum: 0 });
const orNull = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const oneOf = (...values: string[]) => Type.Union(values.map((value) => Type.Literal(value)));
const fields = (properties: Record<string, TSchema>) => Type.Object(properties);

const outputText = fields({
  type: Type.Literal('output_text'),
  text,
  annotations: Type.Array(Type.Unknown()),
  logprobs: Type.Array(Type.Unknown()),
});
const refusal = fields({ type: Type.Literal('refusal'), refusal: text });
const reasoningText = fields({ type: Type.Literal('reasoning_text'), text });
const itemStatus = oneOf('in_progress', 'completed', 'incomplete');

const items = {
  message: fields({
    type: Type.Literal('message'),
    id: Type.String({ pattern: '^msg_' }),
    role: Type.Literal('assistant'),
    status: itemStatus,
    content: Type.Array(Type.Union([outputText, refusal])),
  }),
  reasoning: fields({
    type: Type.Literal('reasoning'),
    id: Type.String({ pattern: '^rs_' }),
    summary: Type.Array(Type.Unknown()),
    content: Type.Array(reasoningText),
  }),
  call: fields({
    type: Type.Literal('function_call'),
    id: Type.String({ pattern: '^fc_' }),
    call_id: text,
    name: text,
    arguments: text,
    status: itemStatus,
  }),
  mcpCall: fields({
    type: Type.Literal('mcp_call'),
    id: Type.String({ pattern: '^mcp_' }),
    server_label: text,
    name: text,
    arguments: text,
    output: orNull(text),
    error: orNull(fields({ type: text, content: text })),
    status: oneOf('in_progress', 'completed', 'incomplete', 'failed'),
    approval_request_id: orNull(text),
  }),
  approvalRequest: fields({
    type: Type.Literal('mcp_approval_request'),
    id: Type.String({ pattern: '^mcpr_' }),
    server_label: text,
    name: text,
    arguments: text,
  }),
};
const outputItem = Type.Union(Object.values(items));

const functionTool = fields({
  type: Type.Literal('function'),
  name: text,
  description: orNull(text),
  parameters: orNull(Type.Object({})),
  strict: orNull(Type.Boolean()),
});

const usage = fields({
  input_tokens: count,
  input_tokens_details: fields({ cached_tokens: count }),
  output_tokens: count,
  output_tokens_details: fields({ reasoning_tokens: count }),
  total_tokens: count,
});

export const responseSchema = fields({
  id: Type.String({ pattern: '^resp_' }),
  object: Type.Literal('response'),
  created_at: count,
  status: oneOf('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled'),
  model: text,
  output: Type.Array(outputItem),
  tools: Type.Array(Type.Union([functionTool, fields({ type: Type.Literal('mcp'), server_label: text })])),
  tool_choice: Type.Union([oneOf('none', 'auto', 'required'), fields({ type: text })]),
  truncation: oneOf('auto', 'disabled'),
  parallel_tool_calls: Type.Boolean(),
  text: fields({ format: fields({ type: oneOf('text', 'json_object', 'json_schema') }) }),
  top_p: Type.Number(),
  presence_penalty: Type.Number(),
  frequency_penalty: Type.Number(),
  top_logprobs: count,
  temperature: Type.Number(),
  store: Type.Boolean(),
  background: Type.Boolean(),
  service_tier: text,
  metadata: Type.Record(Type.String(), Type.String()),
  completed_at: orNull(count),
  incomplete_details: orNull(fields({ reason: oneOf('max_output_tokens', 'content_filter') })),
  previous_response_id: orNull(text),
  instructions: orNull(text),
  error: orNull(fields({ code: text, message: text })),
  reasoning: orNull(fields({ effort: orNull(text), summary: orNull(text) })),
  usage: orNull(usage),
  max_output_tokens: orNull(count),
  max_tool_calls: orNull(count),
  safety_identifier: orNull(text),
  prompt_cache_key: orNull(text),
});

const place = { output_index: count, item_id: text };
const inPart = { ...place, content_index: count };
const whole = { response: responseSchema };
const ofItem = { output_index: count, item: outputItem };
const noProbabilities = { logprobs: Type.Array(Type.Unknown()) };
const part = Type.Union([outputText, refusal, reasoningText]);

const eventFields: Readonly<Record<string, Record<string, TSchema>>> = {
  'response.created': whole,
  'response.queued': whole,
  'response.in_progress': whole,
  'response.completed': whole,
  'response.incomplete': whole,
  'response.failed': whole,
  'response.output_item.added': ofItem,
  'response.output_item.done': ofItem,
  'response.content_part.added': { ...inPart, part },
  'response.content_part.done': { ...inPart, part },
  'response.output_text.delta': { ...inPart, ...noProbabilities, delta: text },
  'response.output_text.done': { ...inPart, ...noProbabilities, text },
  'response.refusal.delta': { ...inPart, delta: text },
  'response.refusal.done': { ...inPart, refusal: text },
  'response.reasoning_text.delta': { ...inPart, delta: text },
  'response.reasoning_text.done': { ...inPart, text },
  'response.function_call_arguments.delta': { ...place, delta: text },
  'response.function_call_arguments.done': { ...place, name: text, arguments: text },
  'response.mcp_call.in_progress': place,
  'response.mcp_call.completed': place,
  'response.mcp_call.failed': place,
  'response.mcp_call_arguments.delta': { ...place, delta: text },
  'response.mcp_call_arguments.done': { ...place, arguments: text },
  error: { code: orNull(text), message: text, param: orNull(text) },
};

const checkers = new Map(
  Object.entries(eventFields).map(([type, own]) => [
    type,
    Compile(fields({ type: Type.Literal(type), sequence_number: count, ...own })),
  ]),
);
const responseChecker = Compile(responseSchema);

/** A frame of a stream, as it was read. */
export interface ResponseEvent {
  type: string;
  sequence_number: number;
  [field: string]: any;
}

/** What a response breaks of what clients want; none if nothing. */
export function problemsOfResponse(response: unknown): string[] {
  return told(responseChecker, response);
}

/** The same of an event. */
export function problemsOfEvent(event: ResponseEvent): string[] {
  const checker = checkers.get(event.type);
  return checker === undefined ? [`no client knows the event ${event.type}`] : told(checker, event);
}

/**
 * The events of a stream, held against what clients want of each, of their numbers and of their order. Throws for what is
 * wrong with them.
 * @param first the number that the first one must have
 */
export function readResponseEvents(text: string, first = 0): ResponseEvent[] {
  const frames = text.split('\n\n').filter((frame) => /^(event|data):/m.test(frame));
  if (frames.pop() !== 'data: [DONE]') throw new Error('the stream does not end with [DONE]');
  return frames.map((frame, index) => {
    const [, type = '', data = ''] = /^event: ([^\n]*)\ndata: ([^\n]*)$/.exec(frame) ?? [];
    const event = JSON.parse(data) as ResponseEvent;
    const problems = problemsOfEvent(event);
    if (event.type !== type) problems.push(`it is called ${type}`);
    if (event.sequence_number !== first + index) problems.push(`its number is not ${first + index}`);
    if (problems.length > 0) throw new Error(`${problems.join('; ')} in ${frame}`);
    return event;
  });
}

function told(checker: ReturnType<typeof Compile>, value: unknown): string[] {
  if (checker.Check(value)) return [];
  return checker.Errors(value).map(({ instancePath, message }) => `${instancePath}: ${message}`);
}
