import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { AppError, asAppError, errorCatalogue } from './errors.ts';

const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \| (yes|no) \| (.+) \|$/gm)].map(
  ([, code = '', status, again, message]) =>
    [code, { status: Number(status), message, retryable: again === 'yes' }] as const,
);

describe('the error catalogue', () => {
  it('is what docs/errors.md says, in both directions', () => {
    assert.deepEqual(Object.fromEntries(rows), errorCatalogue);
    assert.equal(rows.length, Object.keys(errorCatalogue).length, 'a code stands twice');
  });

  it('gives an error its status and its text', () => {
    const error = new AppError('session_not_found');
    assert.equal(error.status, 404);
    assert.equal(error.message, errorCatalogue.session_not_found.message);
    assert.equal(error.retryable, false);
  });

  it('tells nothing of what was not foreseen', () => {
    const error = asAppError(new Error('the password is swordfish'));
    assert.equal(error.code, 'internal_error');
    assert.doesNotMatch(`${error.message} ${JSON.stringify(error.details)}`, /swordfish/);
    assert.match((error.cause as Error).message, /swordfish/);
  });

  it('passes on what is in the catalogue', () => {
    const error = new AppError('turn_not_found');
    assert.equal(asAppError(error), error);
  });
});
