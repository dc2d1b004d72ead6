/**
 * What strict clients of OpenAI's other APIs want of every object: completions and their chunks, models, conversations, lists,
 * and errors. Written from the types of OpenAI's library: each field that they require is there, and null only where they
 * take it; further fields are allowed.
 */

import { type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const text = Type.String();
const count = Type.Integer({ minimum: 0 });
const orNull = (schema: TSchema) => Type.Union([schema, Type.Null()]);
const list = (schema: TSchema) => Type.Array(schema);
const optional = (schema: TSchema) => Type.Optional(schema);
const fields = (properties: Record<string, TSchema>) => Type.Object(properties);
const metadata = Type.Record(text, text);

const usage = fields({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: optional(fields({ cached_tokens: count })),
  completion_tokens_details: optional(fields({ reasoning_tokens: count })),
});
const call = { type: Type.Literal('function'), function: fields({ name: text, arguments: text }) };
const message = {
  role: Type.Literal('assistant'),
  content: orNull(text),
  refusal: orNull(text),
  tool_calls: optional(list(fields({ id: text, ...call }))),
};
const reason = Type.Enum(['stop', 'length', 'tool_calls', 'content_filter']);
const completionId = Type.String({ pattern: '^chatcmpl-' });

const completion = fields({
  id: completionId,
  object: Type.Literal('chat.completion'),
  created: count,
  model: text,
  choices: list(
    fields({ index: count, message: fields(message), logprobs: Type.Null(), finish_reason: reason }),
  ),
  usage: orNull(usage),
  metadata: optional(metadata),
});
const delta = fields({
  role: optional(Type.Literal('assistant')),
  content: optional(text),
  refusal: optional(text),
  tool_calls: optional(list(fields({ index: count, id: text, ...call }))),
});
const chunk = fields({
  id: completionId,
  object: Type.Literal('chat.completion.chunk'),
  created: count,
  model: text,
  choices: list(
    fields({ index: count, delta, logprobs: optional(Type.Null()), finish_reason: orNull(reason) }),
  ),
  usage: optional(orNull(usage)),
});
const storedMessage = fields({
  id: text,
  role: text,
  content: orNull(text),
  content_parts: orNull(list(fields({ type: text }))),
});
const model = fields({ id: text, object: Type.Literal('model'), created: count, owned_by: text });
const conversation = fields({
  id: Type.String({ pattern: '^conv_[0-9a-f]{32}$' }),
  object: Type.Literal('conversation'),
  created_at: count,
  metadata,
});
const pageOf = (element: TSchema) =>
  fields({
    object: Type.Literal('list'),
    data: list(element),
    first_id: orNull(text),
    last_id: orNull(text),
    has_more: Type.Boolean(),
  });
const deleted = (object: string) =>
  fields({ id: text, object: Type.Literal(object), deleted: Type.Literal(true) });
const error = fields({ error: fields({ message: text, type: text, param: orNull(text), code: text }) });

const checkers = {
  completion: Compile(completion),
  chunk: Compile(chunk),
  completions: Compile(pageOf(completion)),
  messages: Compile(pageOf(storedMessage)),
  'deleted completion': Compile(deleted('chat.completion.deleted')),
  model: Compile(model),
  models: Compile(fields({ object: Type.Literal('list'), data: list(model) })),
  conversation: Compile(conversation),
  conversations: Compile(pageOf(conversation)),
  'deleted conversation': Compile(deleted('conversation.deleted')),
  items: Compile(pageOf(fields({ id: text, type: text }))),
  item: Compile(fields({ id: text, type: text })),
  error: Compile(error),
};

/** What each operation answers with. */
const ANSWERS: readonly [operation: RegExp, object: OpenAIObject][] = [
  [/^POST \/v1\/chat\/completions$/, 'completion'],
  [/^GET \/v1\/chat\/completions$/, 'completions'],
  [/^(GET|POST) \/v1\/chat\/completions\/[^/]+$/, 'completion'],
  [/^DELETE \/v1\/chat\/completions\/[^/]+$/, 'deleted completion'],
  [/^GET \/v1\/chat\/completions\/[^/]+\/messages$/, 'messages'],
  [/^GET \/v1\/models$/, 'models'],
  [/^GET \/v1\/models\/.+$/, 'model'],
  [/^POST \/v1\/conversations$/, 'conversation'],
  [/^GET \/v1\/conversations$/, 'conversations'],
  [/^(GET|POST) \/v1\/conversations\/[^/]+$/, 'conversation'],
  [/^DELETE \/v1\/conversations\/[^/]+$/, 'deleted conversation'],
  [/^(GET|POST) \/v1\/conversations\/[^/]+\/items$/, 'items'],
  [/^GET \/v1\/conversations\/[^/]+\/items\/[^/]+$/, 'item'],
  [/^DELETE \/v1\/conversations\/[^/]+\/items\/[^/]+$/, 'conversation'],
];

export type OpenAIObject = keyof typeof checkers;

/** The value, which is what clients want of such an object; throws with what is wrong with it otherwise. */
export function checkedAs(object: OpenAIObject, value: any): any {
  const checker = checkers[object];
  if (checker.Check(value)) return value;
  const problems = checker.Errors(value).map((problem) => `${problem.instancePath}: ${problem.message}`);
  throw new Error(`not a ${object}: ${problems.join('; ')} in ${JSON.stringify(value)}`);
}

/** Throws for an answer that is not what clients want of the operation; what is none of these operations is not looked at. */
export function checkAnswer(method: string, path: string, status: number, body: unknown): void {
  if (!path.startsWith('/v1/')) return;
  const operation = `${method} ${path.replace(/\?.*$/, '')}`;
  const object = status >= 400 ? 'error' : ANSWERS.find(([pattern]) => pattern.test(operation))?.[1];
  if (object !== undefined) checkedAs(object, body);
}
