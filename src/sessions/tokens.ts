/**
 * Estimates of tokens, for windows limited by tokens. The model's tokenizer is used where it is known, and the
 * newest one otherwise; what a provider adds around messages is estimated. Loaded when first needed: the
 * vocabularies are large, and most sessions are limited by count alone.
 */

import type { Item, MessagePart } from '../conversation/item.ts';

/** Around each message providers put a few tokens of their own (role, separators). */
const TOKENS_PER_MESSAGE = 4;
/** What an image costs where nothing better is known: one high-detail tile with its base at OpenAI. */
const TOKENS_PER_IMAGE = 765;
/** A file is data the tokenizer cannot read; its text is guessed from its size in base64. */
const CHARACTERS_PER_TOKEN = 4;
/** Text is counted in slices: byte-pair encoding degrades on very long runs without a break. */
const SLICE_CHARACTERS = 4096;
/** Items whose count is remembered; the items of a conversation are counted again on every turn otherwise. */
const REMEMBERED_ITEMS = 10_000;

export type CountTokens = (items: readonly Item[]) => number;

export interface TokenEstimate {
  items: CountTokens;
  text: (text: string) => number;
}

type Encode = (text: string) => number;

const estimates = new Map<string, Promise<TokenEstimate>>();

/** The estimate for a model's tokenizer. */
export function tokenEstimate(model: string | null): Promise<TokenEstimate> {
  const encoding = encodingOf(model ?? '');
  let estimate = estimates.get(encoding);
  if (estimate === undefined) {
    estimate = loadEncoding(encoding).then(createEstimate);
    estimates.set(encoding, estimate);
  }
  return estimate;
}

type Encoding = 'o200k_base' | 'cl100k_base';

/** Models before GPT-4o use the older vocabulary; everything newer, and every other maker's, is closer to o200k. */
function encodingOf(model: string): Encoding {
  return /(^|\/)(gpt-4(?!o|\.)|gpt-3\.5|text-embedding)/.test(model) ? 'cl100k_base' : 'o200k_base';
}

async function loadEncoding(encoding: Encoding): Promise<Encode> {
  const { countTokens } =
    encoding === 'cl100k_base'
      ? await import('gpt-tokenizer/encoding/cl100k_base')
      : await import('gpt-tokenizer/encoding/o200k_base');
  // Text that looks like a control token is text here, as it is for providers.
  return (text) => countTokens(text, { disallowedSpecial: new Set() });
}

function createEstimate(encode: Encode): TokenEstimate {
  const remembered = new Map<string, number>();
  return { items, text };

  function items(all: readonly Item[]): number {
    let tokens = 0;
    for (const one of all) tokens += item(one);
    return tokens;
  }

  function item(one: Item): number {
    const known = remembered.get(one.id);
    if (known !== undefined) return known;
    const tokens = countItem(one);
    if (remembered.size >= REMEMBERED_ITEMS) {
      const [oldest] = remembered.keys();
      if (oldest !== undefined) remembered.delete(oldest);
    }
    remembered.set(one.id, tokens);
    return tokens;
  }

  function countItem(one: Item): number {
    switch (one.type) {
      case 'message':
        return one.content.reduce((tokens, part) => tokens + countPart(part), TOKENS_PER_MESSAGE);
      case 'function_call':
        return TOKENS_PER_MESSAGE + text(one.name) + text(one.arguments);
      case 'function_call_output':
        return TOKENS_PER_MESSAGE + text(one.output);
      case 'mcp_call':
        return (
          2 * TOKENS_PER_MESSAGE +
          text(one.function_name + one.arguments) +
          text(one.output ?? one.error ?? '')
        );
      case 'reasoning':
      case 'mcp_approval_request':
      case 'mcp_approval_response':
        // Not sent back to providers.
        return 0;
    }
  }

  function countPart(part: MessagePart): number {
    switch (part.type) {
      case 'input_text':
      case 'output_text':
        return text(part.text);
      case 'refusal':
        return text(part.refusal);
      case 'input_image':
        return TOKENS_PER_IMAGE;
      case 'input_file':
        return Math.ceil((part.file_data?.length ?? 0) / CHARACTERS_PER_TOKEN);
    }
  }

  function text(whole: string): number {
    let tokens = 0;
    for (let start = 0; start < whole.length; start += SLICE_CHARACTERS) {
      tokens += encode(whole.slice(start, start + SLICE_CHARACTERS));
    }
    return tokens;
  }
}
