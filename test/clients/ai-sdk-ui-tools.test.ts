/** The AI SDK's own chat where the server runs the tools, asks for approvals, and has to begin an answer anew. */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai';
import { call, newSession } from '../acceptance/client.ts';
import { type ParleyProcess, removeParley, startParleyWithYaml } from '../acceptance/parley-process.ts';
import { publishedServer } from '../mcp-settings.ts';
import { type ProviderDouble, startProviderDouble } from '../provider-double.ts';
import { openUiChat, plain, reached } from './ui-chat.ts';

let directory: string;
let double: ProviderDouble;
let parley: ParleyProcess;
before(async () => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'parley-ui-')));
  writeFileSync(join(directory, 'notes.txt'), 'The answer is 42.');
  double = await startProviderDouble();
  const files = {
    name: 'files',
    command: process.execPath,
    args: [publishedServer('filesystem'), directory],
    require_approval: ['write_*'],
  };
  const other = { name: 'other', base_url: double.url, api_key: 'none', model: 'double-model' };
  parley = await startParleyWithYaml(
    { mcp_servers: [files], providers: [other] },
    {
      OPENAI_BASE_URL: double.url,
      OPENAI_API_KEY: 'none',
      DEFAULT_PROVIDER: 'openai',
      FALLBACK_PROVIDERS: 'other',
    },
  );
});
after(async () => {
  await removeParley(parley);
  await double.close();
  rmSync(directory, { recursive: true });
});
beforeEach(() => double.reset());

const asked = (name: string, args: object) => ({ id: 'c1', name, arguments: JSON.stringify(args) });
const shown = async (id: string) => (await call(parley.url, 'GET', `/ui/${id}/messages`)).body.messages;
const toolParts = (chat: any) => chat.lastMessage.parts.filter(({ type }: any) => type === 'dynamic-tool');

test('a tool of the server is shown with its result, and not handed over', async () => {
  const id = await newSession(parley.url, { tools: ['files'] });
  const { chat, calls, text, errors } = openUiChat(parley.url, id);
  const path = join(directory, 'notes.txt');
  double.respondOnce(
    { text: 'I look. ', toolCalls: [asked('files__read_text_file', { path })] },
    { text: 'It is 42.' },
  );
  await chat.sendMessage({ text: 'What is the answer?' });
  assert.deepEqual([errors, calls, text()], [[], [], 'I look. It is 42.']);
  const [part] = toolParts(chat);
  assert.deepEqual(
    [part.toolName, part.state, part.input, part.output, part.providerExecuted, part.toolMetadata],
    ['read_text_file', 'output-available', { path }, 'The answer is 42.', true, { server: 'files' }],
  );
  assert.deepEqual(plain(await shown(id)), plain(chat.messages));
});

test('a call is approved, and another denied, as the chat does it', async () => {
  const id = await newSession(parley.url, { tools: ['files'] });
  const { chat, text, errors } = openUiChat(parley.url, id, {
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  });
  for (const approved of [true, false]) {
    const path = join(directory, `approved-${approved}.txt`);
    const answer = `So be it: ${approved}.`;
    double.respondOnce({ toolCalls: [asked('files__write_file', { path, content: 'x' })] }, { text: answer });
    await chat.sendMessage({ text: 'Write' });
    const [waiting] = toolParts(chat);
    assert.equal(waiting.state, 'approval-requested');
    assert.deepEqual(plain(await shown(id)), plain(chat.messages));
    await chat.addToolApprovalResponse({ id: waiting.approval.id, approved });
    await reached(() => text() === answer && chat.status === 'ready');
    assert.equal(existsSync(path), approved);
    assert.equal(toolParts(chat).length, 1);
    assert.equal(toolParts(chat)[0].state, approved ? 'output-available' : 'output-denied');
    assert.deepEqual(plain(await shown(id)), plain(chat.messages));
  }
  assert.deepEqual(errors, []);
  assert.equal(readFileSync(join(directory, 'approved-true.txt'), 'utf8'), 'x');
});

test('what another provider has to say anew takes the place of what was said', async () => {
  const id = await newSession(parley.url, { tools: 'none' });
  const { chat, text, errors } = openUiChat(parley.url, id);
  double.respondOnce({ text: ['Half of ', 'it '], error: { message: 'broken' } }, { text: 'All of it.' });
  await chat.sendMessage({ text: 'Tell me' });
  assert.deepEqual([errors, text(), chat.status], [[], 'All of it.', 'ready']);
  assert.equal(double.requests.length, 2);
  assert.deepEqual(plain(await shown(id)), plain(chat.messages));
});
