/** The beginning of the operator's guide, run as it stands there: a key, a limit, the allowlist, and what was counted. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { removeParley, startParley } from './parley-process.ts';

const run = promisify(execFile);
const guide = readFileSync(resolve(import.meta.dirname, '../../docs/operating.md'), 'utf8');

test('whoever follows the guide has a key, is limited, is let pass, and sees it counted', async (context) => {
  // As the guide starts it, with the limits of the defaults.
  const parley = await startParley({ ADMIN_TOKEN: 'choose-a-long-one', RATE_RPS: '1', RATE_BURST: '5' });
  context.after(() => removeParley(parley));
  assert.match(guide, /^ADMIN_TOKEN=choose-a-long-one npm start$/m);
  const block = /<!-- try: sh -->\n```sh\n([^]*?)```/.exec(guide)?.[1];
  assert.ok(block, 'the guide has a block to try');
  const { stdout } = await run('sh', ['-ec', block.replaceAll('http://127.0.0.1:8000', parley.url)]);

  const [limited = '', entry = '', free = '', ...rest] = stdout.trim().split('\n');
  assert.match(limited, /^401 200 (200 ){3,4}429 /);
  assert.equal(JSON.parse(entry).ip, '127.0.0.1');
  assert.equal(free.trim(), '200 200 200 200 200 200');
  const counted = rest.filter((line) => line.startsWith('parley_rate_limit_decisions_total'));
  assert.ok(
    counted.some((line) => /decision="denied",limit="address"\} [23]$/.test(line)),
    counted.join(),
  );
  assert.ok(
    counted.some((line) => /decision="allowed"\} [56]$/.test(line)),
    counted.join(),
  );
  const audit = JSON.parse(rest.at(-1) ?? '');
  assert.deepEqual(
    audit.data.map(({ action }: { action: string }) => action),
    ['bypass.add', 'key.create', 'client.create'],
  );
});
