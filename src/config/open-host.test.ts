import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadTexts } from '../../test/load-texts.ts';
import { checkOpenHost } from './open-host.ts';

const at =
  (host: string, env: Record<string, string> = {}) =>
  () =>
    checkOpenHost(loadTexts({ env: { HOST: host, ...env } }));

describe('a server that everybody can use', () => {
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', '0:0:0:0:0:0:0:1', 'localhost', 'LocalHost']) {
    it(`may listen at ${host}`, () => assert.doesNotThrow(at(host)));
  }
  for (const host of ['0.0.0.0', '::', '192.168.1.4', '127.0.0.1.example.org', 'parley', '127.1']) {
    it(`needs ALLOW_OPEN at ${host}`, () => {
      assert.throws(at(host), /HOST \(environment\): .*ALLOW_OPEN=true/);
      assert.doesNotThrow(at(host, { ALLOW_OPEN: 'true' }));
    });
  }
});
