/** `parley tools` as an operator types it, with a real server. */

import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { publishedServer } from '../mcp-settings.ts';
import { emptyDirectory, runParley } from './parley-process.ts';

describe('parley tools', () => {
  let directory: string;
  const tools = (...words: string[]) =>
    runParley(directory, { APP_CONFIG_FILE: 'parley.yaml' }, ['tools', ...words]);
  before(async () => {
    directory = await emptyDirectory();
    const everything = {
      name: 'everything',
      command: process.execPath,
      args: [publishedServer('everything')],
    };
    const away = { name: 'away', url: 'http://127.0.0.1:9/mcp' };
    await writeFile(join(directory, 'parley.yaml'), JSON.stringify({ mcp_servers: [everything, away] }));
  });
  after(() => rm(directory, { recursive: true }));

  test('lists them, and says which servers are not there', async () => {
    const { code, stdout, output } = await tools();
    assert.equal(code, 1);
    assert.match(stdout, /^TOOL +DESCRIPTION\n/);
    assert.match(stdout, /^everything\.echo +\S/m);
    assert.match(output, /tool source "away": unavailable/);
    const { stdout: json } = await tools('list', '--json');
    assert.ok(
      JSON.parse(json).some(({ server, name }: any) => server === 'everything' && name === 'get-sum'),
    );
  });

  test('calls one, and ends as it does', async () => {
    const echoed = await tools('call', 'everything.echo', '{"message": "hi"}');
    assert.deepEqual([echoed.code, echoed.stdout], [0, 'Echo: hi\n']);
    const wrong = await tools('call', 'everything.get-sum', '{"a": "one"}', '--json');
    assert.deepEqual([wrong.code, JSON.parse(wrong.stdout).isError], [1, true]);
    const nobody = await tools('call', 'nobody.echo');
    assert.equal(nobody.code, 1);
    assert.match(nobody.output, /^parley tools: there is no server "nobody" in the configuration$/m);
    const gone = await tools('call', 'away.echo');
    assert.equal(gone.code, 1);
    assert.match(gone.output, /^parley tools: tool source "away": unavailable/m);
    const misused = await tools('call', 'everything');
    assert.equal(misused.code, 64);
    assert.match(misused.output, /parley tools --help shows the usage/);
  });

  test('works without any server', async () => {
    const bare = await emptyDirectory();
    const { code, stdout } = await runParley(bare, {}, ['tools']);
    await rm(bare, { recursive: true });
    assert.deepEqual(
      [code, stdout],
      [0, 'No server with tools is configured: mcp_servers, or MCP_SERVER_URL.\n'],
    );
  });
});
