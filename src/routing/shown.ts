/** What the client has been shown of an answer since it was last told to discard it. */

import type { ProviderEvent } from '../providers/provider.ts';

export interface Shown {
  add(event: ProviderEvent): void;
  /** The client was told to discard what there was. */
  discard(): void;
  /** Whether the client has anything of an answer. */
  isEmpty(): boolean;
  /** The text, if text is all there is to go on from; null if there is none, or something else with it. */
  text(): string | null;
  /** Whether a call of a tool was passed on, which cannot be taken back. */
  hasCall(): boolean;
}

export function createShown(): Shown {
  let text = '';
  let kinds = new Set<ProviderEvent['type']>();
  let isMore = false;
  return {
    add(event) {
      kinds.add(event.type);
      if (event.type === 'frame') isMore ||= event.frame.showsMore;
      if (event.type === 'text-delta') text += event.text;
    },
    discard() {
      text = '';
      kinds = new Set();
      isMore = false;
    },
    isEmpty: () => kinds.size === 0,
    text: () => (text === '' || isMore || kinds.has('refusal-delta') || kinds.has('tool-call') ? null : text),
    hasCall: () => kinds.has('tool-call'),
  };
}
