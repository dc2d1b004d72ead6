/** How the stream of a response tells of texts: what the model says, why it will not, and what it says to itself. */

export type TextKind = 'message' | 'refusal' | 'reasoning';

/** A part of an item's content. */
export type PartFields = Record<string, unknown>;

interface TextFields {
  /** The events' name, between `response.` and `.delta` or `.done`. */
  event: string;
  part(text: string): PartFields;
  /** What the event has that ends the text. */
  done(text: string): object;
  /** What each piece has beside its text. */
  extra: object;
}

export const textFields: Readonly<Record<TextKind, TextFields>> = {
  message: {
    event: 'output_text',
    part: (text) => ({ type: 'output_text', text, annotations: [], logprobs: [] }),
    done: (text) => ({ text, logprobs: [] }),
    extra: { logprobs: [] },
  },
  refusal: {
    event: 'refusal',
    part: (refusal) => ({ type: 'refusal', refusal }),
    done: (refusal) => ({ refusal }),
    extra: {},
  },
  reasoning: {
    event: 'reasoning_text',
    part: (text) => ({ type: 'reasoning_text', text }),
    done: (text) => ({ text }),
    extra: {},
  },
};

/** An item of that kind as it is when the model begins it. */
export function emptyItem(kind: TextKind, id: string): Record<string, unknown> {
  if (kind === 'reasoning') return { type: 'reasoning', id, summary: [], content: [] };
  return { type: 'message', id, role: 'assistant', status: 'in_progress', content: [] };
}
