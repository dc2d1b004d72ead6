/**
 * A tool source: one configured server that offers tools and runs them. `tool-source.contract.ts` runs against every
 * way in which one can be reached.
 *
 * A source makes and keeps its connection by itself, and shares it among all turns. It knows nothing of turns, models
 * or sessions: which tools a session may use, under which names a model sees them, and what becomes of a result is
 * for those who call it. It never starts anything, or goes anywhere, that its settings do not name.
 *
 * What comes from a server is not trusted: names, descriptions, results and texts of errors are whatever the server
 * has written, in any length that one message can have. Results are cut by `boundedResult` before they are stored.
 */

export interface ToolSource {
  /** The server's name in the configuration: lower case, without dots, unique. */
  readonly name: string;

  /**
   * The tools that the configuration lets through, in the server's order, each name once.
   *
   * Answered from what is known, without a round trip: once a list was read it is kept, read again in the background
   * when the server says that it has changed or when it is old, and kept while the server is away. Only before the
   * first list is there a wait, for the connection, and all who wait share it. A list may be empty.
   *
   * Throws `ToolSourceError` of the kinds `unavailable`, `unauthorized`, `bad_answer` or `timeout` if no list was ever
   * read and none could be; at once while the source rests after such a failure. `cancelled` if the signal aborts,
   * which ends this wait alone.
   */
  list(signal?: AbortSignal): Promise<readonly Tool[]>;

  /**
   * Runs a tool. Waits while as many calls run as the configuration allows, connects if it has to, and gives the call
   * up after the configured time, which begins when it has its place; `ownClock` takes both off.
   *
   * A tool that failed is a result (`isError`), not an exception: the model is to read it. Everything else throws
   * `ToolSourceError`, whose `mayHaveRun` says whether the server can have run the call. The call is repeated by the
   * source itself, once, where the server certainly has not; nobody else should repeat one that may have run, unless the
   * tool does nothing but answer.
   *
   * Aborting the signal tells the server (`notifications/cancelled`, or the end of the call's own stream) and throws
   * at once, without waiting for its answer.
   * @param name as in `list`; a tool that is not on the list is asked for all the same, one that the configuration
   * keeps out is not
   * @param args a JSON object, passed on as it is
   */
  call(name: string, args: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<ToolResult>;

  /** What the server says of itself to models, as of the last connection; null if nothing, or before the first. */
  instructions(): string | null;

  /**
   * Ends the connection, and the program if it is one. Running calls throw `interrupted`, whatever is asked afterwards
   * `unavailable`. A second time does nothing. Never rejects.
   */
  close(): Promise<void>;
}

export interface Tool {
  /** As the server knows it: any text that is not empty. */
  readonly name: string;
  readonly title: string | null;
  readonly description: string | null;
  /** JSON Schema of the arguments, as it came. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
  /** What the server says of the tool's manners (`readOnlyHint`, …), as it came. Hints: a server may lie. */
  readonly annotations: Readonly<Record<string, unknown>> | null;
}

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whether the signal is the only clock of the call: it waits for no place, and is not given up after the configured time. */
  readonly ownClock?: boolean;
  /** Called for each report of progress while the call runs, never after it has ended. Should return at once. */
  readonly onProgress?: ((progress: ToolProgress) => void) | undefined;
  /** Handed to whoever answers what the server asks for in the middle of this call (`ServerRequests`). */
  readonly context?: unknown;
}

/** The numbers are the server's: of no unit, and not even sure to grow. */
export interface ToolProgress {
  readonly progress: number;
  readonly total: number | null;
  readonly message: string | null;
}

/** What came of a call: plain data that can be stored and sent as JSON, in the words in which items are written. */
export interface ToolResult {
  /** What a model reads. */
  readonly text: string;
  /** Whether the tool says that it failed; `text` then says why. */
  readonly isError: boolean;
  /** The parts, in the server's order. */
  readonly content: readonly ToolContent[];
  /** The result as data, if the tool gives any: any JSON value. */
  readonly structured?: unknown;
}

export type ToolContent =
  | { type: 'text'; text: string }
  /** `data` is base64. */
  | { type: 'image' | 'audio'; mime_type: string; data: string }
  | { type: 'resource'; uri: string; mime_type?: string; text: string }
  /** `blob` is base64. */
  | { type: 'resource'; uri: string; mime_type?: string; blob: string }
  | { type: 'resource_link'; uri: string; name: string; description?: string; mime_type?: string }
  /** A part that was too long to be kept: what it was, and the bytes that it had. */
  | { type: 'omitted'; of: string; mime_type?: string; uri?: string; bytes: number };

/** Why a source could not do what was asked of it. */
export type ToolSourceFailure =
  /** No connection could be made, or none is tried because the last failed a moment ago. */
  | 'unavailable'
  /** The server wants another key, or allows less than was asked of it. */
  | 'unauthorized'
  /** The configuration keeps this tool out. */
  | 'not_offered'
  /** The time for the call, or for connecting, ran out. */
  | 'timeout'
  /** The caller's signal aborted. */
  | 'cancelled'
  /** The server answered with an error of the protocol; `serverMessage` has its words. */
  | 'refused'
  /** The server answered with something that is no answer, or a longer one than is taken. */
  | 'bad_answer'
  /** The connection broke, or the program ended, before the answer was there. */
  | 'interrupted';

export class ToolSourceError extends Error {
  override readonly name = 'ToolSourceError';
  readonly kind: ToolSourceFailure;
  /** The source's name. */
  readonly source: string;
  /** False if the server has certainly not run the call. */
  readonly mayHaveRun: boolean;
  /** Milliseconds after which it is tried again, for a source that rests. */
  readonly retryAfterMilliseconds: number | undefined;
  /** The server's own words, cut to 500 characters. Not trusted, and never a key of ours. */
  readonly serverMessage: string | undefined;

  constructor(kind: ToolSourceFailure, details: ToolSourceErrorDetails) {
    super(`tool source "${details.source}": ${kind}`, { cause: details.cause });
    this.kind = kind;
    this.source = details.source;
    this.mayHaveRun = details.mayHaveRun ?? false;
    this.retryAfterMilliseconds = details.retryAfterMilliseconds;
    this.serverMessage = details.serverMessage;
  }
}

export interface ToolSourceErrorDetails {
  source: string;
  mayHaveRun?: boolean | undefined;
  retryAfterMilliseconds?: number | undefined;
  serverMessage?: string | undefined;
  /** For the log alone. */
  cause?: unknown;
}

/**
 * What servers may ask for, and who answers. What is left out is not offered to servers, and refused if they ask all
 * the same. Requests and answers are those of the Model Context Protocol, as plain data.
 */
export interface ServerRequests {
  /** Answers `sampling/createMessage`. Rejecting tells the server that it failed, without saying why. */
  sample?(params: Readonly<Record<string, unknown>>, asked: AskedDuring): Promise<Record<string, unknown>>;
  /** Answers `elicitation/create` with an action, and what was entered if that is `accept`. */
  elicit?(params: Readonly<Record<string, unknown>>, asked: AskedDuring): Promise<ElicitationAnswer>;
  /** The directories, as `file:` URIs, that servers are told of. */
  readonly roots?: readonly { readonly uri: string; readonly name?: string }[];
}

/** Answers what a server asks in the course of a call, in the name of whoever has made the call. */
export interface CallContext {
  /** As `ServerRequests.sample`. */
  sample(params: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<Record<string, unknown>>;
  /** As `ServerRequests.elicit`. */
  elicit(params: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<ElicitationAnswer>;
}

export interface ElicitationAnswer {
  action: 'accept' | 'decline' | 'cancel';
  content?: Record<string, unknown>;
}

export interface AskedDuring {
  /** The source's name. */
  readonly source: string;
  /** The `context` of the call in whose course it is asked; undefined if that cannot be told. */
  readonly context: unknown;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** What servers report beside their answers, for the log. Texts are the server's, cut to 2,000 characters. */
export interface ServerReport {
  readonly source: string;
  readonly level: 'debug' | 'info' | 'warning' | 'error';
  readonly text: string;
}
