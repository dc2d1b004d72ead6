/**
 * The client scenarios of the protocol's own conformance suite, against a tool source. Those that are not run are listed
 * with the reason, and a scenario that a new version of the suite brings is in neither list until somebody puts it there.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ROOT = join(import.meta.dirname, '..');
const SUITE = join(ROOT, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');

const BOTH = ['2025-11-25', '2026-07-28'];

/** The versions of the protocol that each is run with; extensions have none. */
const passing: Record<string, readonly string[]> = {
  initialize: ['2025-06-18'],
  tools_call: BOTH,
  'elicitation-sep1034-client-defaults': ['2025-11-25'],
  'sse-retry': ['2025-11-25'],
  'request-metadata': ['2026-07-28'],
  'auth/pre-registration': ['2026-07-28'],
  'auth/client-credentials-jwt': ['extension'],
  'auth/client-credentials-basic': ['extension'],
  'sep-2322-client-request-state': ['2026-07-28'],
  'http-standard-headers': ['2026-07-28'],
  'http-custom-headers': ['2026-07-28'],
  'http-invalid-tool-headers': ['2026-07-28'],
  'json-schema-ref-no-deref': ['2026-07-28'],
  'json-schema-2020-12-preservation': ['2026-07-28'],
};

const INTERACTIVE = 'somebody has to log in, and a server has nobody who could';
const EXTENSION = 'of an extension of the protocol that Parley does not have';

const notRun: Record<string, string> = {
  'auth/metadata-default': INTERACTIVE,
  'auth/metadata-var1': INTERACTIVE,
  'auth/metadata-var2': INTERACTIVE,
  'auth/metadata-var3': INTERACTIVE,
  'auth/basic-cimd': INTERACTIVE,
  'auth/scope-from-www-authenticate': INTERACTIVE,
  'auth/scope-from-scopes-supported': INTERACTIVE,
  'auth/scope-omitted-when-undefined': INTERACTIVE,
  'auth/scope-step-up': INTERACTIVE,
  'auth/scope-retry-limit': INTERACTIVE,
  'auth/token-endpoint-auth-basic': INTERACTIVE,
  'auth/token-endpoint-auth-post': INTERACTIVE,
  'auth/token-endpoint-auth-none': INTERACTIVE,
  'auth/2025-03-26-oauth-metadata-backcompat': INTERACTIVE,
  'auth/2025-03-26-oauth-endpoint-fallback': INTERACTIVE,
  'auth/resource-mismatch': INTERACTIVE,
  'auth/offline-access-scope': INTERACTIVE,
  'auth/offline-access-not-supported': INTERACTIVE,
  'auth/authorization-server-migration': INTERACTIVE,
  'auth/iss-supported': INTERACTIVE,
  'auth/iss-not-advertised': INTERACTIVE,
  'auth/iss-supported-missing': INTERACTIVE,
  'auth/iss-wrong-issuer': INTERACTIVE,
  'auth/iss-unexpected': INTERACTIVE,
  'auth/iss-normalized': INTERACTIVE,
  'auth/metadata-issuer-mismatch': INTERACTIVE,
  'auth/enterprise-managed-authorization': EXTENSION,
  'auth/dpop': EXTENSION,
  'auth/dpop-nonce': EXTENSION,
  'auth/wif-jwt-bearer': EXTENSION,
  'sep-2640-client-no-prefetch': EXTENSION,
  'sep-2640-client-verify-digest': EXTENSION,
  'sep-2640-client-verify-size': EXTENSION,
  'sep-2640-client-verify-frontmatter': EXTENSION,
};

describe('the conformance of the client', () => {
  let results: string;

  before(async () => {
    results = await mkdtemp(join(tmpdir(), 'parley-conformance-'));
  });

  after(() => rm(results, { recursive: true }));

  it('is asked of every scenario that there is', async () => {
    const { stdout } = await run(process.execPath, [SUITE, 'list', '--client']);
    const known = [...stdout.matchAll(/^ {2}- (\S+) \[/gm)].map(([, name]) => name);
    assert.deepEqual(new Set(known), new Set([...Object.keys(passing), ...Object.keys(notRun)]));
  });

  const client = `"${process.execPath}" "${join(import.meta.dirname, 'mcp-conformance-client.ts')}"`;
  describe('passes', { concurrency: 2 }, () => {
    for (const [scenario, versions] of Object.entries(passing)) {
      for (const version of versions) {
        it(`${scenario}, ${version}`, async () => {
          const options = ['--command', client, '--scenario', scenario, '-o', results];
          if (version !== 'extension') options.push('--spec-version', version);
          // Rejects with what it wrote if any check has failed.
          const { stderr: told } = await run(process.execPath, [SUITE, 'client', ...options]);
          const [, passed, checks] = /Passed: (\d+)\/(\d+), 0 failed/.exec(told) ?? [];
          assert.ok(Number(passed) > 0 && passed === checks, told);
        });
      }
    }
  });
});
