/** The Responses API by HTTP alone, with every answer and every event held against what strict clients want. */

import { problemsOfResponse, type ResponseEvent, readResponseEvents } from '../openai-schemas.ts';
import { type Answer, call } from './client.ts';

export interface ResponseClient {
  /** Whatever is answered. */
  ask(body: object, headers?: Record<string, string>): Promise<Answer>;
  /** Throws if that is no response. */
  respond(body: object, headers?: Record<string, string>): Promise<any>;
  stream(body: object): Promise<ResponseEvent[]>;
  retrieve(id: string): Promise<any>;
  /** The events after a number; all of them with -1. */
  replay(id: string, after: number): Promise<ResponseEvent[]>;
  /** Waits until the response has one of these states. */
  until(id: string, ...statuses: string[]): Promise<any>;
}

/** @param url of the server */
export function responseClient(url: string): ResponseClient {
  return { ask, respond, stream, retrieve, replay, until };

  function ask(body: object, headers: Record<string, string> = {}): Promise<Answer> {
    return call(url, 'POST', '/v1/responses', body, headers);
  }

  async function respond(body: object, headers: Record<string, string> = {}): Promise<any> {
    return checked(await ask(body, headers));
  }

  async function stream(body: object): Promise<ResponseEvent[]> {
    const { status, body: text } = await ask({ ...body, stream: true });
    if (status !== 200) throw new Error(`no stream: ${status} ${JSON.stringify(text)}`);
    return readResponseEvents(text);
  }

  async function retrieve(id: string): Promise<any> {
    return checked(await call(url, 'GET', `/v1/responses/${id}`));
  }

  async function replay(id: string, after: number): Promise<ResponseEvent[]> {
    const more = after < 0 ? '' : `&starting_after=${after}`;
    const { body } = await call(url, 'GET', `/v1/responses/${id}?stream=true${more}`);
    return readResponseEvents(body, after + 1);
  }

  async function until(id: string, ...statuses: string[]): Promise<any> {
    for (;;) {
      const response = await retrieve(id);
      if (statuses.includes(response.status)) return response;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function checked({ status, body }: Answer): any {
  if (status !== 200) throw new Error(`no response: ${status} ${JSON.stringify(body)}`);
  const problems = problemsOfResponse(body);
  if (problems.length > 0) throw new Error(`${problems.join('; ')} in ${JSON.stringify(body)}`);
  return body;
}
