/** `parley import` that is killed in the middle: the next one makes the store what it would have been. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { skipWithoutEngine, startEngine } from '../shared-engine.ts';
import { newSession, send } from './client.ts';
import { emptyDirectory, runParley, startParleyIn } from './parley-process.ts';

const COMMAND = resolve(import.meta.dirname, '../../src/cli/main.ts');
/** So many that every engine has written some of them when three quarters have been read. */
const SESSIONS = 500;

describe('an import that is killed is done by the next one', { timeout: 120_000, concurrency: true }, () => {
  let directory: string;
  /** An export of many sessions. */
  let lines: string[];
  before(async () => {
    directory = await emptyDirectory();
    const server = await startParleyIn(directory, {});
    const session = await newSession(server.url);
    for (const said of ['One', 'Two', 'Three'])
      assert.equal((await send(server.url, session, said)).status, 200);
    await server.stop();
    const { stdout } = await runParley(directory, {}, ['export']);
    lines = multiplied(stdout);
    await writeFile(join(directory, 'many.jsonl'), lines.join(''));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  test('on SQLite', () => killedAndRepeated('sqlite', 'sqlite:moved/parley.db'));

  for (const name of ['redis', 'postgres'] as const) {
    test(`on ${name}`, { skip: skipWithoutEngine(name) }, async (context) => {
      const engine = await startEngine(name);
      context.after(engine.stop);
      await killedAndRepeated(name, engine.url());
    });
  }

  async function killedAndRepeated(name: string, store: string): Promise<void> {
    const child = spawn(process.execPath, [COMMAND, 'import', '-', '--into', store], {
      cwd: directory,
      env: process.env,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const most = lines.slice(0, (lines.length * 3) / 4).join('');
    // All of it is read but for what a pipe holds, and the rest never comes.
    await new Promise((told) => child.stdin.write(most, told));
    child.kill('SIGKILL');
    await once(child, 'close');

    const again = ['import', 'many.jsonl', '--into', store, '--into-existing'];
    const imported = await runParley(directory, {}, again);
    assert.equal(imported.code, 0, imported.output);
    const known = Number(/; (\d+) sessions were there already$/m.exec(imported.output)?.[1]);
    assert.ok(known > 0 && known < SESSIONS, `it was killed in the middle: ${imported.output}`);
    const file = `${name}.jsonl`;
    const exported = await runParley(directory, {}, ['export', '--from', store, '--to', file]);
    assert.equal(exported.code, 0, exported.output);
    const moved = (await readFile(join(directory, file), 'utf8')).split('\n').slice(1, -2);
    assert.deepEqual(
      moved.toSorted(),
      lines
        .slice(1, -1)
        .map((line) => line.trimEnd())
        .toSorted(),
    );
  }
});

/** The export of one session, as one of many that are alike but for their ids. Each line with its newline. */
function multiplied(text: string): string[] {
  const [, ...records] = text.split('\n').slice(0, -2);
  const head = `${JSON.stringify({ parley: 'export', version: 1, madeAt: 0, sessions: SESSIONS })}\n`;
  const body = records.filter((line) => !/^\{"(session|turn)/.test(line)).map((line) => `${line}\n`);
  const own = records.filter((line) => /^\{"(session|turn)/.test(line));
  for (let copy = 0; copy < SESSIONS; copy += 1) {
    const number = copy.toString(16).padStart(4, '0');
    // In the order of their making, which ids have in their first digits.
    const copied = own.map((line) =>
      line.replaceAll(/\b[0-9a-f]{4}([0-9a-f]{4}-[0-9a-f-]{27})\b/g, `${number}$1`),
    );
    body.push(...copied.map((line) => `${line}\n`));
  }
  const sha256 = createHash('sha256')
    .update([head, ...body].join(''))
    .digest('hex');
  return [head, ...body, `${JSON.stringify({ parley: 'end', records: body.length, sha256 })}\n`];
}
