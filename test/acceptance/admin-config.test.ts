/** The configuration as operators read it: every setting, where it came from, and no secret. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { call } from './client.ts';
import { emptyDirectory, removeParley, startParleyIn } from './parley-process.ts';

const ADMIN = { 'x-admin-token': 'SECRET-admin' };

test('every setting is shown with its value and where it came from, and no secret is', async (context) => {
  const directory = await emptyDirectory();
  const yaml = {
    memory_max: 77,
    openrouter_base_url: 'https://user:SECRET-url@router.example/v1',
    providers: [
      {
        name: 'local',
        base_url: 'http://u:SECRET-provider-url@127.0.0.1:9/v1',
        api_key: 'SECRET-provider',
        headers: { 'Api-Key': 'SECRET-header' },
      },
    ],
    routes: { fast: [{ provider: 'local', model: 'm', weight: 2 }] },
  };
  await writeFile(join(directory, 'parley.yaml'), JSON.stringify(yaml));
  await writeFile(join(directory, '.env'), 'OPENROUTER_KEY=SECRET-dotenv\nMEMORY_DEFAULT=7\n');
  const parley = await startParleyIn(directory, {
    APP_CONFIG_FILE: 'parley.yaml',
    ADMIN_TOKEN: 'SECRET-admin',
    API_KEYS: 'ada:SECRET-ada,bob:SECRET-bob',
    OPENAI_API_KEY: 'SECRET-openai',
  });
  context.after(() => removeParley(parley));
  const { status, body } = await call(parley.url, 'GET', '/admin/config', undefined, ADMIN);
  assert.equal(status, 200);
  assert.doesNotMatch(JSON.stringify(body), /SECRET/);
  assert.equal(body.object, 'configuration');
  const { settings } = body;
  assert.deepEqual(settings.ADMIN_TOKEN, { value: '***', source: 'environment' });
  assert.deepEqual(settings.API_KEYS, { value: ['***', '***'], source: 'environment' });
  assert.deepEqual(settings.OPENROUTER_KEY, { value: '***', source: '.env' });
  assert.deepEqual(settings.MEMORY_DEFAULT, { value: 7, source: '.env' });
  assert.deepEqual(settings.MEMORY_MAX, { value: 77, source: 'parley.yaml' });
  assert.deepEqual(settings.OPENROUTER_BASE_URL.value, 'https://user:***@router.example/v1');
  assert.deepEqual(settings.TRUST_PROXY, { value: null, source: 'default' });
  assert.deepEqual(body.routes.fast[0], { provider: 'local', model: 'm', weight: 2, context_tokens: null });
  assert.deepEqual(body.providers[0].headers, { 'Api-Key': '***' });
  assert.equal((await call(parley.url, 'GET', '/admin/config')).status, 401);
});
