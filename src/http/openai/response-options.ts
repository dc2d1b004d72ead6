/**
 * How a response is to be made: the fields of its request that the provider decides about, in the words of Chat
 * Completions, and what of them the response shows again. What no provider here could be told is refused.
 */

import { bodyFields, present } from './body-fields.ts';
import { type Fields, unsupported, wrong } from './input-items.ts';

export interface ResponseOptions {
  /** In the words of Chat Completions, passed on as they are. */
  options: Record<string, unknown>;
  /** In the words of the request. */
  shown: Record<string, unknown>;
}

/** @param body of the request */
export function responseOptions(body: Fields): ResponseOptions {
  const fields = bodyFields(body);
  checkIncluded(body);
  refuseOthers(body);
  const sampling = present({
    temperature: fields.number('temperature', { min: 0, max: 2 }),
    top_p: fields.number('top_p', { min: 0, max: 1 }),
    presence_penalty: fields.number('presence_penalty', { min: -2, max: 2 }),
    frequency_penalty: fields.number('frequency_penalty', { min: -2, max: 2 }),
  });
  const passed = present({
    parallel_tool_calls: fields.flag('parallel_tool_calls'),
    service_tier: fields.text('service_tier', 64),
    safety_identifier: fields.text('safety_identifier', 512),
    prompt_cache_key: fields.text('prompt_cache_key', 512),
    prompt_cache_retention: fields.oneOf('prompt_cache_retention', ['in_memory', '24h']),
    user: fields.text('user', 512),
  });
  const tokens = fields.integer('max_output_tokens', { min: 1, max: Number.MAX_SAFE_INTEGER });
  const text = textOptions(fields.object('text'));
  const reasoning = reasoningOptions(fields.object('reasoning'));
  const { parallel_tool_calls: parallel, ...always } = passed;
  // Providers refuse it where there are no tools.
  const hasTools = (fields.list('tools') ?? []).length > 0;
  return {
    options: {
      ...sampling,
      ...always,
      ...(parallel === undefined || !hasTools ? {} : { parallel_tool_calls: parallel }),
      ...(tokens === undefined ? {} : { max_completion_tokens: tokens }),
      ...text.options,
      ...reasoning.options,
    },
    shown: {
      ...sampling,
      ...passed,
      ...(tokens === undefined ? {} : { max_output_tokens: tokens }),
      ...text.shown,
      ...reasoning.shown,
    },
  };
}

/** What may be included: nothing here is left out of what a response shows, nor kept in a sealed form. */
const INCLUDED: ReadonlySet<unknown> = new Set([
  'reasoning.encrypted_content',
  'message.input_image.image_url',
]);

/** Throws for something that a client wants shown and that is not there. */
export function checkIncluded(request: Fields): void {
  const names = bodyFields(request).list('include') ?? [];
  for (const [index, name] of names.entries()) {
    if (!INCLUDED.has(name)) {
      throw unsupported(`include[${index}]`, `${JSON.stringify(name)} cannot be included`);
    }
  }
}

function refuseOthers(body: Fields): void {
  const fields = bodyFields(body);
  if (fields.integer('top_logprobs', { min: 0, max: 20 })) {
    throw unsupported('top_logprobs', 'probabilities of tokens are not supported');
  }
  if (fields.flag('stream') === true) {
    const { include_obfuscation: obfuscated } = fields.object('stream_options') ?? {};
    if (obfuscated === true) {
      throw unsupported('stream_options.include_obfuscation', 'obfuscation is not supported');
    }
  }
}

function textOptions(text: Fields | undefined): ResponseOptions {
  if (text === undefined) return { options: {}, shown: {} };
  const fields = bodyFields(text, 'text');
  fields.only(['format', 'verbosity']);
  const format = fields.object('format');
  const verbosity = fields.oneOf('verbosity', ['low', 'medium', 'high']);
  const responseFormat = format === undefined ? undefined : chatFormat(format);
  return {
    options: present({ response_format: responseFormat, verbosity }),
    shown: {
      text: { format: format ?? { type: 'text' }, ...(verbosity === undefined ? {} : { verbosity }) },
    },
  };
}

/** Undefined for a text in no format. */
function chatFormat(format: Fields): object | undefined {
  const fields = bodyFields(format, 'text.format');
  const type = fields.oneOf('type', ['text', 'json_object', 'json_schema']);
  if (type === undefined) throw wrong('text.format.type', 'is missing');
  if (type === 'text') return undefined;
  if (type === 'json_object') return { type };
  fields.only(['type', 'name', 'description', 'schema', 'strict']);
  const [name, schema] = [fields.text('name'), fields.object('schema')];
  if (name === undefined) throw wrong('text.format.name', 'must be a text');
  if (schema === undefined) throw wrong('text.format.schema', 'must be an object');
  const more = present({ description: fields.text('description'), strict: fields.flag('strict') });
  return { type, json_schema: { name, schema, ...more } };
}

function reasoningOptions(reasoning: Fields | undefined): ResponseOptions {
  if (reasoning === undefined) return { options: {}, shown: {} };
  const fields = bodyFields(reasoning, 'reasoning');
  fields.only(['effort', 'summary', 'generate_summary']);
  const effort = fields.text('effort', 64);
  for (const name of ['summary', 'generate_summary']) {
    const summary = fields.text(name);
    // The best there is: what providers tell of their reasoning is shown as it is.
    if (summary !== undefined && summary !== 'auto') {
      throw unsupported(`reasoning.${name}`, 'reasoning is not summarised: only auto is supported');
    }
  }
  const summary = fields.text('summary') ?? fields.text('generate_summary') ?? null;
  return {
    options: present({ reasoning_effort: effort }),
    shown: { reasoning: { effort: effort ?? null, summary } },
  };
}
