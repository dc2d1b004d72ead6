/**
 * The demo provider: answers offline when nothing is configured, always the same to the same prompt. It shows
 * what a model would be given, and says that it is none.
 *
 * It uses tools by one rule: where the latest user text holds the name of a function in `options.tools` as a
 * word, it calls that function, with the rest of the text as arguments if that is a JSON object, and with none
 * otherwise: `please get_weather {"city": "Lyon"}`.
 */

import type { Item } from '../conversation/item.ts';
import { contentOf } from '../conversation/message.ts';
import type { Usage } from '../conversation/usage.ts';
import { type Prompt, type Provider, ProviderError, type ProviderEvent } from './provider.ts';

const MODEL = 'demo-1';

/** The usual rule of thumb for English text; the demo has no tokenizer. */
const CHARACTERS_PER_TOKEN = 4;

/** Quotes are cut to this, so that answers do not grow with what was said. */
const QUOTE_CHARACTERS = 200;

/** The demo provider, which needs no settings. */
export function createDemo(): Provider {
  let closed = false;
  return {
    name: 'demo',
    defaultModel: MODEL,
    models: [MODEL],
    modelsHaveSlashes: false,
    contextTokens: null,
    continuation: 'prefill',
    stream,
    async close() {
      closed = true;
    },
  };

  async function* stream(prompt: Prompt, signal: AbortSignal): AsyncGenerator<ProviderEvent> {
    for (const event of answer(prompt)) {
      signal.throwIfAborted();
      if (closed) throw new ProviderError('interrupted');
      yield event;
    }
  }
}

function answer(prompt: Prompt): ProviderEvent[] {
  const call = toolCall(prompt);
  if (call !== null) {
    return [call, finish(prompt, 'tool_calls', call.name + call.arguments)];
  }
  const text = withoutBeginning(answerText(prompt), prompt.continueFrom ?? '');
  const pieces = prompt.stream ? text.split(/(?<=\s)(?=\S)/) : [text];
  return [
    ...pieces
      .filter((piece) => piece !== '')
      .map((piece): ProviderEvent => ({ type: 'text-delta', text: piece })),
    finish(prompt, 'stop', text),
  ];
}

/** What follows the beginning, or the whole text where it begins otherwise. */
function withoutBeginning(text: string, beginning: string): string {
  return text.startsWith(beginning) ? text.slice(beginning.length) : text;
}

function answerText({ items }: Prompt): string {
  const last = items.at(-1);
  const introduction = "This is Parley's demonstration provider, not a language model.";
  if (last?.type === 'function_call_output')
    return `${introduction} The tool answered: ${quote(last.output)}`;
  const messages = items.filter((item) => item.type === 'message');
  const said = messages.filter((item) => item.role === 'user');
  const latest = said.at(-1);
  const earlier = said.at(-2);
  const parts = [introduction];
  if (latest !== undefined) parts.push(`You said: ${quote(textOf(latest))}`);
  if (earlier !== undefined) parts.push(`Before that you said: ${quote(textOf(earlier))}`);
  parts.push(
    `I see ${messages.length} ${messages.length === 1 ? 'message' : 'messages'} of this conversation.`,
  );
  return parts.join(' ');
}

function toolCall(prompt: Prompt): Extract<ProviderEvent, { type: 'tool-call' }> | null {
  const last = prompt.items.at(-1);
  if (last?.type !== 'message' || last.role !== 'user') return null;
  const text = textOf(last);
  for (const name of functionNames(prompt.options['tools'])) {
    const rest = textAfterWord(text, name);
    if (rest === null) continue;
    // The number of items makes it different from every other call of the conversation.
    return {
      type: 'tool-call',
      callId: `call_demo_${prompt.items.length}`,
      name,
      arguments: jsonObject(rest) ?? '{}',
    };
  }
  return null;
}

function functionNames(tools: unknown): string[] {
  if (!Array.isArray(tools)) return [];
  return tools.flatMap((tool: { function?: { name?: unknown } } | null) => {
    const name = tool?.function?.name;
    return typeof name === 'string' && name !== '' ? [name] : [];
  });
}

/** What follows the first place where the word stands by itself; null if it stands nowhere. */
function textAfterWord(text: string, word: string): string | null {
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + 1)) {
    const end = at + word.length;
    if (!isWordCharacter(text[at - 1]) && !isWordCharacter(text[end])) return text.slice(end);
  }
  return null;
}

function isWordCharacter(character: string | undefined): boolean {
  return character !== undefined && /[\w-]/.test(character);
}

function jsonObject(text: string): string | null {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) return null;
  try {
    JSON.parse(trimmed);
    return trimmed;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function finish(prompt: Prompt, reason: 'stop' | 'tool_calls', output: string): ProviderEvent {
  return { type: 'finish', reason, usage: estimate(prompt, output), model: prompt.model };
}

function estimate({ instructions, items }: Prompt, output: string): Usage {
  const given = items.reduce((sum, item) => sum + textOf(item).length, instructions?.length ?? 0);
  const input = Math.ceil(given / CHARACTERS_PER_TOKEN);
  const made = Math.ceil(output.length / CHARACTERS_PER_TOKEN);
  return {
    input_tokens: input,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: made,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + made,
  };
}

function textOf(item: Item): string {
  const content = contentOf(item);
  if (content === null || typeof content === 'string') return content ?? '';
  return content.map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function quote(text: string): string {
  return text.length > QUOTE_CHARACTERS ? `“${text.slice(0, QUOTE_CHARACTERS)}…”` : `“${text}”`;
}
