/**
 * The error catalogue: every code a client can meet, with its HTTP status, its public text and whether
 * sending the same request again can help. Domain code throws `AppError`; `http/error-response.ts` is the
 * one place that turns it into an answer. `docs/errors.md` shows the same table, held together by a test.
 */

interface CatalogueEntry {
  /** HTTP status of the answer when the error ends a request. */
  readonly status: number;
  /** What the client reads. Never contains input, secrets or a provider's raw body. */
  readonly message: string;
  /** Whether the same request can succeed later without being changed. */
  readonly retryable: boolean;
}

const entry = (status: number, message: string, retryable = false): CatalogueEntry => ({
  status,
  message,
  retryable,
});

export const errorCatalogue = {
  invalid_json: entry(400, 'The request body is not valid JSON.'),
  invalid_content_type: entry(400, 'The request body must be sent as application/json.'),
  invalid_request: entry(400, 'The request is not valid; details.problems names each place.'),
  unsupported_parameter: entry(
    400,
    'The server does not do that; details.param and details.reason say what.',
  ),
  invalid_cursor: entry(400, 'The "after" cursor does not name an element of this list.'),
  provider_not_found: entry(400, 'There is no provider of that name; details.known lists them.'),
  model_required: entry(400, 'The provider has no default model, so the request must name one.'),
  approval_not_found: entry(
    400,
    'Each call that waits for an approval must be decided about once, and no other.',
    false,
  ),
  tool_call_not_found: entry(400, 'tool_call_id does not name an unanswered call of the conversation.'),
  previous_response_not_found: entry(400, 'There is no such response to be followed.'),
  conversation_locked: entry(400, 'Another response of this conversation is being made.', true),
  parent_not_usable: entry(400, 'Only a completed or incomplete turn can be continued.'),
  provider_rejected_request: entry(400, 'The provider refused the request as invalid.'),
  context_length_exceeded: entry(400, 'The conversation is longer than the model accepts.'),
  content_filtered: entry(400, "The provider's content filter refused the request or its answer."),
  invalid_ip: entry(400, 'The text is neither an IP address nor a network in CIDR notation.'),
  missing_admin_token: entry(401, 'The administration wants its token in X-Admin-Token.'),
  invalid_admin_token: entry(401, 'The token in X-Admin-Token is not the right one.'),
  missing_api_key: entry(401, 'The request needs an API key: Authorization: Bearer, or X-API-Key.'),
  invalid_api_key: entry(401, 'The API key is not known here.'),
  api_key_revoked: entry(401, 'The API key was revoked.'),
  api_key_expired: entry(401, 'The API key has expired.'),
  session_not_found: entry(404, 'There is no such session.'),
  turn_not_found: entry(404, 'The session has no such turn.'),
  item_not_found: entry(404, 'The session has no such message or other item.'),
  response_not_found: entry(404, 'There is no such response.'),
  completion_not_found: entry(404, 'There is no such completion.'),
  bypass_not_found: entry(404, 'The allowlist has no such entry.'),
  client_not_found: entry(404, 'There is no such client.'),
  key_not_found: entry(404, 'There is no such key.'),
  input_not_found: entry(404, 'Nothing of that id is asked at the moment.'),
  tool_not_known: entry(404, 'No such tool was ever seen.'),
  model_not_found: entry(404, 'There is no model or route of that name.'),
  route_not_found: entry(404, 'There is nothing at this path.'),
  method_not_allowed: entry(405, 'This path does not answer to that method; see the Allow header.'),
  request_timeout: entry(408, 'The request took too long to arrive.', true),
  response_in_progress: entry(409, 'Another response is under way over this connection.', true),
  connection_too_old: entry(408, 'The connection has lasted for as long as it may; make another one.', true),
  session_busy: entry(409, 'Another turn of this session is running.', true),
  tool_changed: entry(409, 'What waits to be accepted is not what has this fingerprint.'),
  turn_cancelled: entry(409, 'The turn was cancelled before its answer was whole.'),
  body_too_large: entry(413, 'The request body is larger than 4 MiB.'),
  idempotency_key_reused: entry(422, 'The Idempotency-Key was used before, for another request.'),
  headers_too_large: entry(431, 'The request headers are larger than 16 KiB, or more than 200.'),
  provider_rate_limited: entry(429, 'Every provider tried is limiting requests at the moment.', true),
  rate_limited: entry(429, 'Too many requests; details.retry_after says when to come back.', true),
  session_queue_full: entry(429, 'Too many messages are already waiting for this session.', true),
  internal_error: entry(500, 'Something unforeseen went wrong; the request id finds it in the log.', true),
  events_expired: entry(500, 'The reader fell too far behind the running turn; read the turn itself.', true),
  server_restarted: entry(500, 'The server stopped before this turn was finished.', true),
  turn_superseded: entry(500, 'The server lost its claim on the session before the turn was finished.', true),
  provider_error: entry(502, 'No provider could answer.', true),
  admin_disabled: entry(503, 'There is no administration: the server has no ADMIN_TOKEN.'),
  provider_out_of_service: entry(503, 'Every provider that could answer was taken out of service.', true),
  server_shutting_down: entry(503, 'The server is shutting down.', true),
  store_unavailable: entry(503, 'The store cannot be reached or written to at the moment.', true),
  turn_not_reached: entry(503, 'The server that runs the turn could not be told.', true),
  tool_steps_exceeded: entry(502, 'The model went on calling tools when it was to answer.', true),
  provider_timeout: entry(504, 'No provider answered in time.', true),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** An error with a place in the catalogue. `details` is public; `cause` goes to the log only. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;

  constructor(code: ErrorCode, details?: ErrorDetails, options?: { cause?: unknown }) {
    super(errorCatalogue[code].message, options);
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return errorCatalogue[this.code].status;
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }
}

/**
 * Any thrown value as an `AppError`: catalogued errors pass, everything else becomes `internal_error` with
 * the original as its cause, so that no detail of it can reach a client.
 */
export function asAppError(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError('internal_error', undefined, { cause: error });
}
