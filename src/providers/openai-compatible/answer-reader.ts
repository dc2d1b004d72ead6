/** How an answer's body is read, whichever form it has: bytes go in, events come out. */

import type { Usage } from '../../conversation/usage.ts';
import type { ProviderError, ProviderEvent } from '../provider.ts';

export interface AnswerReader {
  /** Takes the next bytes of the body; ignored once `state` is not `open`. */
  push(bytes: Uint8Array): void;
  /** The body has ended cleanly. Afterwards the state is not `open`. */
  end(): void;
  /** The events since the last call. */
  take(): readonly ProviderEvent[];
  /** `complete` once `finish` is among the events; an error holds for what follows the events made so far. */
  readonly state: 'open' | 'complete' | ProviderError;
  /** What the attempt has used so far, where the provider has told it before the end. */
  readonly usage: Usage | null;
}

/** What a reader must know of the request and the head of its answer. */
export interface AnswerContext {
  /** The model that was asked for, where the answer names none. */
  model: string;
  /** HTTP status of the answer. */
  status: number;
  /** Makes a provider's text fit to be logged. */
  redact: (text: string) => string;
  /** Whether the frames are told of as well (`Prompt.takesFrames`). */
  tellsFrames: boolean;
}
