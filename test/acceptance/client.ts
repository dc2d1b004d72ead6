/** A small client of the native API for acceptance tests: HTTP alone, nothing of the server's code. */

export interface Answer<Body = any> {
  status: number;
  headers: Headers;
  body: Body;
}

export interface StreamEvent {
  id: number | null;
  event: string;
  data: any;
}

/** Sends JSON and reads JSON; `body` undefined sends none. */
export async function call(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.includes('application/json');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}

/** A new session's id. */
export async function newSession(url: string, settings: object = {}): Promise<string> {
  const { status, body } = await call(url, 'POST', '/sessions', settings);
  if (status !== 201) throw new Error(`no session: ${status} ${JSON.stringify(body)}`);
  return body.id;
}

export function send(
  url: string,
  sessionId: string,
  content: unknown,
  more: object = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  return call(url, 'POST', `/sessions/${sessionId}/messages`, { content, ...more }, headers);
}

/** Sends a message and reads the answer's events to the end of the stream, heartbeats left out. */
export async function stream(
  url: string,
  sessionId: string,
  content: unknown,
  more: object = {},
): Promise<{ status: number; headers: Headers; events: StreamEvent[] }> {
  const response = await fetch(`${url}/sessions/${sessionId}/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ content, stream: true, ...more }),
  });
  const events = readEvents(await response.text());
  return { status: response.status, headers: response.headers, events };
}

export function readEvents(text: string): StreamEvent[] {
  return text
    .split('\n\n')
    .filter((frame) => /^(id|event|data):/m.test(frame))
    .map((frame) => {
      // Not with a regular expression's lines: for those U+2028 ends one, in a stream of events it does not.
      const lines = frame.split('\n');
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const id = field('id');
      return {
        id: id === undefined ? null : Number(id),
        event: field('event') ?? '',
        data: JSON.parse(field('data') ?? 'null'),
      };
    });
}
