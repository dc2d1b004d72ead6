/** Certificates for tests: an authority of its own, and what it has signed, as files in a temporary directory (OpenSSL). */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Authority {
  /** The path of its own certificate, for whoever is to trust it. */
  readonly certificate: string;
  issue(wanted: { names: string; isExpired?: boolean }): Certificate;
  /** Removes all files. */
  remove(): void;
}

/** Paths of PEM files. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** Why tests are skipped, for the report; false if they are not. */
export const skipWithoutOpenssl: string | false =
  spawnSync('openssl', ['version']).status !== 0 && 'there is no openssl here: apt-get install openssl';

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export function createAuthority(): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'parley-certificates-'));
  const openssl = (...words: string[]) => execFileSync('openssl', words, { cwd: directory, stdio: 'pipe' });
  const path = (name: string) => join(directory, name);
  let issued = 0;
  openssl('req', '-x509', ...NEW_KEY, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=authority');

  return {
    certificate: path('ca.crt'),
    /** @param names as OpenSSL has them, such as `DNS:localhost,IP:127.0.0.1` */
    issue({ names, isExpired = false }) {
      issued += 1;
      const [key, request, extensions, certificate] = ['key', 'csr', 'ext', 'crt'].map(
        (ending) => `${issued}.${ending}`,
      ) as [string, string, string, string];
      openssl('req', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', `/CN=${issued}`);
      writeFileSync(path(extensions), `subjectAltName=${names}\n`);
      const signer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
      const files = ['-in', request, '-out', certificate, '-extfile', extensions];
      openssl('x509', '-req', ...files, ...signer, '-days', isExpired ? '-1' : '1');
      return { certificate: path(certificate), key: path(key) };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
