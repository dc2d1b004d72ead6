/** Chat completions by HTTP alone, with every answer and every chunk held against what strict clients want. */

import { checkAnswer, checkedAs } from '../openai-chat-schemas.ts';
import { type Answer, call } from './client.ts';

/** Asks as `call` does, and holds what is answered under `/v1` against what clients want. */
export async function callOpenAI(...asked: Parameters<typeof call>): Promise<Answer> {
  const answer = await call(...asked);
  const [, method, path] = asked;
  checkAnswer(method, path, answer.status, answer.body);
  return answer;
}

export interface CompletionClient {
  /** An answer: a completion, or an error. */
  complete(body: object, headers?: Record<string, string>): Promise<Answer>;
  /** The chunks of a stream and, in the place of `[DONE]`, null; an error is what it is. */
  streamed(body: object, headers?: Record<string, string>): Promise<any[]>;
}

/** @param url of the server, which may not have started yet @param key sent with each request */
export function completionClient(url: () => string, key: Record<string, string> = {}): CompletionClient {
  return { complete, streamed };

  async function complete(body: object, headers: Record<string, string> = {}): Promise<Answer> {
    return callOpenAI(url(), 'POST', '/v1/chat/completions', body, { ...key, ...headers });
  }

  async function streamed(body: object, headers: Record<string, string> = {}): Promise<any[]> {
    const response = await fetch(`${url()}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...key, ...headers },
      body: JSON.stringify({ ...body, stream: true }),
    });
    const type = response.headers.get('content-type') ?? '';
    if (!type.includes('event-stream')) throw new Error(`no stream: ${response.status} ${type}`);
    const frames = (await response.text()).split('\n\n').filter((frame) => frame.startsWith('data: '));
    return frames.map((frame) => {
      const data = frame.slice('data: '.length);
      if (data === '[DONE]') return null;
      const value = JSON.parse(data);
      return checkedAs('error' in value ? 'error' : 'chunk', value);
    });
  }
}
