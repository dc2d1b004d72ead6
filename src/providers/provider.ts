/**
 * A provider: something that answers a prompt with a stream of events. `provider.contract.ts` runs against
 * every implementation.
 *
 * A provider makes one attempt. It does not retry, fall back, wait for a rate limit or watch a clock: that is
 * `routing/`, which knows the failure table. It keeps no state of a conversation.
 */

import type { AnswerFrame } from '../conversation/event.ts';
import type { PromptItem } from '../conversation/item.ts';
import type { FinishReason } from '../conversation/turn.ts';
import type { Usage } from '../conversation/usage.ts';

export interface Provider {
  /** As in the configuration: lower case, unique. */
  readonly name: string;
  /** The model for prompts that name none; null if the caller must choose. */
  readonly defaultModel: string | null;
  /** Models worth showing in `GET /providers`; the provider may know more. */
  readonly models: readonly string[];
  /** Whether model ids of this provider contain slashes, so that `a/b` is a model and not provider a, model b. */
  readonly modelsHaveSlashes: boolean;
  /** Tokens that the default model takes, where the operator has said so. */
  readonly contextTokens: number | null;
  /** Whether it can go on with an answer that another attempt has begun (`Prompt.continueFrom`), and how well. */
  readonly continuation: Continuation;

  /**
   * Answers the prompt. Deltas arrive in the order in which the model made them, or all in one where the provider has
   * the answer only when it is whole, whatever the prompt says of streaming; `finish` is the last event,
   * and a stream that ends without it has failed, which the provider says by throwing.
   *
   * Throws `ProviderError` for everything that goes wrong, before or after the first event. When `signal`
   * aborts, the upstream request is aborted at once and the iteration throws `signal.reason`.
   */
  stream(prompt: Prompt, signal: AbortSignal): AsyncIterable<ProviderEvent>;

  /** Releases connections. Streams that are still running fail. */
  close(): Promise<void>;
}

/**
 * - `prefill`: the model takes the text as the beginning of its own answer and goes on after its last character.
 * - `instruct`: the model is told to go on; it may repeat some of the text's end before it does.
 * - `none`: it can only answer anew.
 */
export type Continuation = 'prefill' | 'instruct' | 'none';

export interface Prompt {
  model: string;
  /** Stand before everything else; null if there are none. */
  instructions: string | null;
  /** The window and the new input, oldest first. A call and its result are both there, or neither. */
  items: readonly PromptItem[];
  /**
   * The same as the items, in the words of Chat Completions and as the caller wrote it, where that is so: a provider that takes
   * those words sends this in their place, whatever is in it.
   */
  messages?: readonly unknown[];
  /**
   * Whether the caller reads answers in those words as well: a provider that speaks them then tells, before its events,
   * of the frames that they were read from. Left out, they are of no use.
   */
  takesFrames?: boolean;
  /** Provider settings in the words of Chat Completions (`temperature`, `tools`, …), passed on as they are. */
  options: Readonly<Record<string, unknown>>;
  /** Whether the upstream call streams. If not, the answer comes as one delta of each kind, then `finish`. */
  stream: boolean;
  /**
   * The beginning of the answer, which the client has already: the events are what follows it. Null asks for a
   * whole answer. Never set for a provider whose `continuation` is `none`.
   */
  continueFrom: string | null;
}

export type ProviderEvent =
  /** In answers to prompts that take frames: before the events that were read from it. */
  | { type: 'frame'; frame: AnswerFrame }
  | { type: 'text-delta'; text: string }
  | { type: 'refusal-delta'; text: string }
  | { type: 'reasoning-delta'; text: string }
  /** A whole call: providers that send arguments in pieces have them joined. */
  | { type: 'tool-call'; callId: string; name: string; arguments: string }
  | {
      type: 'finish';
      reason: FinishReason;
      usage: Usage | null;
      model: string;
      /** Events of the stream that could not be read and were skipped; left out if there were none. */
      malformedEvents?: number;
    };

/** What can go wrong with one attempt: the classes of the failure table. */
export type ProviderFailure =
  /** No connection, or it broke before the headers of the answer. */
  | 'unreachable'
  /** The provider's own fault: a status of 500 and above. */
  | 'server_error'
  /** A clock ran out; `clock` names it. Providers throw it for `connect` alone, `routing/` for the others. */
  | 'timeout'
  | 'rate_limited'
  /** The key is missing, wrong, out of credit, or not allowed: 401, 402, 403. */
  | 'unauthorized'
  | 'model_not_found'
  /** The caller's own error: 400, 422 and other statuses of that family. */
  | 'bad_request'
  | 'context_length_exceeded'
  | 'content_filter'
  /** A success that is none: an error inside a 200, invalid JSON, no choices. */
  | 'invalid_answer'
  /** The stream broke, or ended without a finish reason, after it had begun. */
  | 'interrupted'
  /** The answer is longer than the server takes. Thrown by `routing/`, and by providers that read answers whole. */
  | 'answer_too_large';

/** The clocks of a turn: making a connection, the first token, silence between tokens, the whole turn. */
export type Clock = 'connect' | 'first_token' | 'idle' | 'turn';

export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly kind: ProviderFailure;
  /** HTTP status of the answer, if there was one. */
  readonly status: number | undefined;
  /** Milliseconds that the provider asks to wait (`Retry-After`). */
  readonly retryAfterMilliseconds: number | undefined;
  /** Which clock ran out, for `timeout`. */
  readonly clock: Clock | undefined;
  /**
   * The `message` field of the provider's error object, cut to 500 characters, with its key blanked.
   * Shown to the caller for the caller's own errors alone, and never logged: providers quote what they were sent.
   */
  readonly providerMessage: string | undefined;
  /** What the attempt used up to its failing, where the provider has said so. */
  readonly usage: Usage | undefined;

  constructor(kind: ProviderFailure, details: ProviderErrorDetails = {}) {
    super(`provider failure: ${kind}`, { cause: details.cause });
    this.kind = kind;
    this.status = details.status;
    this.retryAfterMilliseconds = details.retryAfterMilliseconds;
    this.clock = details.clock;
    this.providerMessage = details.providerMessage;
    this.usage = details.usage;
  }
}

export interface ProviderErrorDetails {
  status?: number | undefined;
  retryAfterMilliseconds?: number | undefined;
  clock?: Clock | undefined;
  providerMessage?: string | undefined;
  usage?: Usage | undefined;
  cause?: unknown;
}

/** The configured providers, by name. */
export interface Providers {
  /** In the order of the configuration; never empty. */
  readonly all: readonly Provider[];
  /** The one used when nobody chooses. */
  readonly default: Provider;
  /**
   * The provider of that name, whatever its case and the space around it.
   * Throws `AppError('provider_not_found', {provider, known})`.
   */
  get(name: string): Provider;
  close(): Promise<void>;
}
