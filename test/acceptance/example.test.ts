/** `examples/basic-session.ts`, run as a newcomer runs it. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { call } from './client.ts';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../examples/basic-session.ts');

let double: ProviderDouble;
let parley: ParleyProcess;

before(async () => {
  double = await startProviderDouble();
  parley = await startParley({
    OPENAI_BASE_URL: double.url,
    OPENAI_MODEL: 'm-1',
    FALLBACK_PROVIDERS: 'demo',
  });
});

after(async () => {
  await removeParley(parley);
  await double.close();
});

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

function run(env: Record<string, string>): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [EXAMPLE], { env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

test('it prints the answer and leaves no session behind', async () => {
  const { code, stdout, stderr } = await run({ CHAT_API_URL: parley.url, CHAT_USER_MESSAGE: 'How are you?' });
  assert.deepEqual(
    { code, stdout, stderr },
    { code: 0, stdout: 'openai (m-1): You said: How are you?\n', stderr: '' },
  );
  assert.deepEqual((await call(parley.url, 'GET', '/sessions')).body.data, []);
});

test('CHAT_PROVIDER chooses who answers, and there is something to say', async () => {
  const { code, stdout } = await run({ CHAT_API_URL: `${parley.url}/`, CHAT_PROVIDER: 'demo' });
  assert.equal(code, 0);
  assert.match(stdout, /^demo \(demo-1\): This is Parley's demonstration provider/);
});

test("it shows the server's error, and leaves no session behind", async () => {
  const unknown = await run({ CHAT_API_URL: parley.url, CHAT_PROVIDER: 'nobody' });
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /provider_not_found/);
  double.respondOnce({ status: 400 });
  const refused = await run({ CHAT_API_URL: parley.url });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /^POST \S+ answered 400: .*provider_rejected_request/);
  assert.deepEqual((await call(parley.url, 'GET', '/sessions')).body.data, []);
});

test('it says so when there is no server', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  const url = `http://127.0.0.1:${port}`;
  const { code, stderr } = await run({ CHAT_API_URL: url });
  assert.equal(code, 1);
  assert.equal(stderr, `There is no Parley at ${url}. Start it with npm start.\n`);
});
