/**
 * What Parley is measured against: the least that a proxy in Node can do. It parses the request, calls the
 * provider through undici, parses what comes back (each event, where it streams) and writes it again. It
 * remembers nothing.
 */

import { createServer, type ServerResponse } from 'node:http';
import { createParser } from 'eventsource-parser';
import { Pool } from 'undici';

const upstream = new Pool(process.env['UPSTREAM'] ?? '', { connections: 256 });

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = JSON.parse(Buffer.concat(chunks).toString());
    proxy(body, response).catch((error: unknown) => response.destroy(error as Error));
  });
});

async function proxy(body: { stream?: boolean }, response: ServerResponse): Promise<void> {
  const answer = await upstream.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (body.stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(await answer.body.json()));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const parser = createParser({
    onEvent: ({ data }) => {
      response.write(
        data === '[DONE]' ? 'data: [DONE]\n\n' : `data: ${JSON.stringify(JSON.parse(data))}\n\n`,
      );
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of answer.body) parser.feed(decoder.decode(chunk, { stream: true }));
  response.end();
}

server.listen(0, '127.0.0.1', () => process.stdout.write(`listens on ${JSON.stringify(server.address())}\n`));
