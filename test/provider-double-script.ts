/**
 * What the provider double can be told to answer, and the bytes of such an answer. Sends nothing itself; see
 * `provider-double.ts`.
 */

/** An answer, well or ill. Every field may be left out: an empty script is a plain "ok". */
export interface Script {
  /** The text, or the pieces it is streamed in. */
  text?: string | readonly string[];
  reasoning?: string | readonly string[];
  /** The field in which reasoning is sent. */
  reasoningField?: 'reasoning_content' | 'reasoning';
  refusal?: string | readonly string[];
  toolCalls?: readonly ScriptedCall[];
  /** Null sends none. Default: `tool_calls` beside calls, `stop` otherwise. */
  finishReason?: string | null;
  /** Default: the model that was asked for. */
  model?: string;
  /** Where a stream tells usage: its own last event, the event with the finish reason, or nowhere. */
  usage?: 'late' | 'early' | 'never';
  /** Its numbers, in the provider's words. */
  usageCounts?: Readonly<Record<string, unknown>>;
  /** False leaves out `data: [DONE]`. */
  done?: boolean;
  /** An error object inside the success: after the pieces of a stream, instead of a whole answer. */
  error?: Readonly<Record<string, unknown>>;
  /** Ends the lines of a stream. */
  lineEnd?: '\n' | '\r\n';

  /** Default 200. A status alone answers with an error object that holds `providerErrorMessage`. */
  status?: number;
  headers?: Readonly<Record<string, string>>;
  /** This as the JSON body, whatever was asked for. */
  json?: unknown;
  /** This as an HTML body. */
  html?: string;
  /** These chunks as the body, each written by itself, with `contentType`. */
  raw?: readonly (string | Uint8Array)[];
  /** Default for `raw`: an event stream if one was asked for, JSON otherwise. */
  contentType?: string;

  /** Before the headers. */
  waitBefore?: Wait;
  /** Before each piece of the body but the first. */
  waitBetween?: Wait;
  /** Before the piece of this number, counted from 0. */
  waitAt?: { piece: number; wait: Wait };
  /** Cuts the connection: before the headers, or after this many bytes of the body. */
  cut?: 'before headers' | { afterBytes: number };
  /** Sends everything and never ends the body. */
  hang?: boolean;
}

/**
 * Milliseconds, or what to wait for: a test that holds the promise needs no clock. A function is called when the
 * place is reached.
 */
export type Wait = number | Promise<unknown> | (() => Promise<unknown>);

export interface ScriptedCall {
  /** Left out, the call has no id. */
  id?: string;
  name: string;
  /** JSON text, or the pieces it is streamed in. */
  arguments: string | readonly string[];
}

export const providerErrorMessage = 'The double was told to fail.';

interface ScriptedBody {
  contentType: string;
  /** In the order and split in which they are written. */
  pieces: readonly (string | Uint8Array)[];
}

const defaultCounts = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };

/** The body that a script makes for a request. */
export function scriptedBody(script: Script, request: { model: string; stream: boolean }): ScriptedBody {
  if (script.raw !== undefined) {
    const usual = request.stream ? 'text/event-stream' : 'application/json';
    return { contentType: script.contentType ?? usual, pieces: script.raw };
  }
  if (script.html !== undefined) return { contentType: 'text/html', pieces: [script.html] };
  if (script.json !== undefined) return json(script.json);
  if ((script.status ?? 200) >= 400) {
    const error = { message: providerErrorMessage, type: 'double', param: null, code: null };
    return json({ error: script.error ?? error });
  }
  const model = script.model ?? request.model;
  if (request.stream) return { contentType: 'text/event-stream', pieces: frames(script, model) };
  return json(script.error === undefined ? wholeAnswer(script, model) : { error: script.error });
}

function json(value: unknown): ScriptedBody {
  return { contentType: 'application/json', pieces: [JSON.stringify(value)] };
}

function wholeAnswer(script: Script, model: string): unknown {
  const { reasoningField = 'reasoning_content' } = script;
  const calls = script.toolCalls?.map((call) => ({
    ...(call.id === undefined ? {} : { id: call.id }),
    type: 'function',
    function: { name: call.name, arguments: list(call.arguments).join('') },
  }));
  const message = {
    role: 'assistant',
    content: script.text === undefined && calls !== undefined ? null : textOf(script).join(''),
    refusal: script.refusal === undefined ? null : list(script.refusal).join(''),
    ...(script.reasoning === undefined ? {} : { [reasoningField]: list(script.reasoning).join('') }),
    ...(calls === undefined ? {} : { tool_calls: calls }),
  };
  return {
    id: 'chatcmpl-double',
    object: 'chat.completion',
    created: 1,
    model,
    choices: [{ index: 0, message, finish_reason: finishReason(script), logprobs: null }],
    ...(script.usage === 'never' ? {} : { usage: script.usageCounts ?? defaultCounts }),
  };
}

function frames(script: Script, model: string): string[] {
  const { reasoningField = 'reasoning_content', usage = 'late', usageCounts = defaultCounts } = script;
  const head = { id: 'chatcmpl-double', object: 'chat.completion.chunk', created: 1, model };
  const reason = finishReason(script);
  const deltas: object[] = [
    { role: 'assistant', content: '' },
    ...list(script.reasoning).map((piece) => ({ [reasoningField]: piece })),
    ...textOf(script).map((content) => ({ content })),
    ...list(script.refusal).map((refusal) => ({ refusal })),
    ...(script.toolCalls ?? []).flatMap(callDeltas),
  ];
  const chunk = (delta: object, finish_reason: string | null) => ({
    ...head,
    choices: [{ index: 0, delta, finish_reason }],
  });
  const chunks: object[] = deltas.map((delta) => chunk(delta, null));
  if (script.error !== undefined) {
    chunks.push({ ...chunk({ content: '' }, 'error'), error: script.error });
  } else if (reason !== null) {
    const last = chunk({}, reason);
    chunks.push(usage === 'early' ? { ...last, usage: usageCounts } : last);
  }
  if (usage === 'late') chunks.push({ ...head, choices: [], usage: usageCounts });
  const { lineEnd = '\n', done = true } = script;
  const data = chunks.map((chunk) => JSON.stringify(chunk));
  if (done) data.push('[DONE]');
  return data.map((text) => `data: ${text}${lineEnd}${lineEnd}`);
}

/** A call in a stream: id and name come with the first piece alone. */
function callDeltas(call: ScriptedCall, index: number): object[] {
  const [first = '', ...others] = list(call.arguments);
  const id = call.id === undefined ? {} : { id: call.id };
  const opening = { index, ...id, type: 'function', function: { name: call.name, arguments: first } };
  return [
    { tool_calls: [opening] },
    ...others.map((piece) => ({ tool_calls: [{ index, function: { arguments: piece } }] })),
  ];
}

function finishReason(script: Script): string | null {
  if (script.finishReason !== undefined) return script.finishReason;
  return script.toolCalls === undefined ? 'stop' : 'tool_calls';
}

/** A script that says nothing else says "ok". */
function textOf(script: Script): readonly string[] {
  const silent = script.refusal !== undefined || script.toolCalls !== undefined || script.error !== undefined;
  return list(script.text ?? (silent ? undefined : 'ok'));
}

function list(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined) return [];
  return typeof value === 'string' ? [value] : value;
}
