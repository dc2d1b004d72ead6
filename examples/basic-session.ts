/**
 * A whole conversation in four calls: create a session, send a message, print the answer, delete the session.
 *
 *   node examples/basic-session.ts
 *
 * CHAT_API_URL       where Parley listens (http://127.0.0.1:8000)
 * CHAT_PROVIDER      who should answer; without it, the server chooses
 * CHAT_USER_MESSAGE  what to say
 */

const {
  CHAT_API_URL: url = 'http://127.0.0.1:8000',
  CHAT_PROVIDER: provider,
  CHAT_USER_MESSAGE: content = 'Hello, who are you?',
} = process.env;

interface Session {
  id: string;
}

interface Answer {
  provider: string;
  model: string;
  message: { content: string } | null;
}

/** Calls Parley; an answer that is no success becomes an error with Parley's own words. */
async function call<Body>(method: string, path: string, body?: object): Promise<Body> {
  const response = await fetch(url.replace(/\/$/, '') + path, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as Body;
}

async function converse(): Promise<void> {
  const session = await call<Session>('POST', '/sessions', provider ? { provider } : {});
  try {
    const answer = await call<Answer>('POST', `/sessions/${session.id}/messages`, { content });
    console.log(`${answer.provider} (${answer.model}): ${answer.message?.content ?? ''}`);
  } finally {
    await call('DELETE', `/sessions/${session.id}`);
  }
}

try {
  await converse();
} catch (error) {
  // What fetch throws when nobody answers says so only in its cause.
  if (error instanceof TypeError) console.error(`There is no Parley at ${url}. Start it with npm start.`);
  else console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
