/** The README's first conversation, run as it stands there. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { type ParleyProcess, removeParley, startParley } from './parley-process.ts';

const run = promisify(execFile);
const readme = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8');

describe('the README', () => {
  let parley: ParleyProcess;
  before(async () => {
    parley = await startParley();
  });
  after(() => removeParley(parley));

  /** The block after a `try` mark, with this server's address in place of the usual one. */
  function block(language: string, library = ''): string {
    const pattern = new RegExp(
      `<!-- try: ${`${language} ${library}`.trim()} -->\n\`\`\`${language}\n([^]*?)\`\`\``,
    );
    const code = pattern.exec(readme)?.[1];
    assert.ok(code, `the README has no block to try in ${language}`);
    assert.match(code, /http:\/\/127\.0\.0\.1:8000/);
    return code.replaceAll('http://127.0.0.1:8000', parley.url);
  }

  it('has a conversation by curl that works', async () => {
    const { stdout } = await run('sh', ['-ec', block('sh')]);
    assert.match(stdout, /My name is Ada/);
    assert.match(stdout, /^event: turn\.completed$/m);
    const last = stdout.trim().split('\n').at(-1) ?? '';
    assert.equal(JSON.parse(last).data.length, 4, 'two messages and their answers');
  });

  it('has a conversation in TypeScript that works', async () => {
    const file = join(parley.directory, 'conversation.mts');
    await writeFile(file, block('ts'));
    const { stdout } = await run(process.execPath, [file]);
    assert.match(stdout, /What is my name\?/, 'the demonstration repeats the question');
  });

  it("has a program of OpenAI's that works with another address", async () => {
    await symlink(resolve(import.meta.dirname, '../../node_modules'), join(parley.directory, 'node_modules'));
    const file = join(parley.directory, 'openai.mts');
    await writeFile(file, block('ts', 'openai'));
    const { stdout } = await run(process.execPath, [file]);
    assert.match(stdout, /What is my name\?/);
  });
});
