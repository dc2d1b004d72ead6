/** The provider of the benchmark: answers at once, always the same, so that it costs as little as it can. */

import { createServer } from 'node:http';

/** Pieces of a streamed answer, as the budgets in the README name it. */
const PIECES = 100;

const usage = { prompt_tokens: 100, completion_tokens: 100, total_tokens: 200 };
const words = Array.from({ length: PIECES }, (_, index) => `word${index} `);

const answer = JSON.stringify({
  id: 'chatcmpl-bench',
  object: 'chat.completion',
  created: 0,
  model: 'bench',
  choices: [{ index: 0, message: { role: 'assistant', content: words.join('') }, finish_reason: 'stop' }],
  usage,
});

const frame = (chunk: object) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-bench', object: 'chat.completion.chunk', created: 0, model: 'bench', ...chunk })}\n\n`;
const frames = [
  ...words.map((content) => frame({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })),
  frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
  frame({ choices: [], usage }),
  'data: [DONE]\n\n',
];

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (piece: string) => {
    body += piece;
  });
  request.on('end', () => {
    if (!body.includes('"stream":true')) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let next = 0;
    const write = () => {
      // A piece at a time, each in a write and a round of the event loop of its own, as a model makes them.
      response.write(frames[next]);
      next += 1;
      if (next < frames.length) setImmediate(write);
      else response.end();
    };
    write();
  });
});

server.listen(0, '127.0.0.1', () => process.stdout.write(`listens on ${JSON.stringify(server.address())}\n`));
