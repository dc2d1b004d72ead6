import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type Clock, ProviderError, type ProviderFailure } from '../providers/provider.ts';
import { type FailureRow, failureTable, restOf, rowOf, turnFailure } from './failure.ts';

const page = readFileSync(new URL('../../docs/failures.md', import.meta.url), 'utf8');

/** Every row of the page's first table, whatever stands in its cells. */
function rowsOfPage(): [string, FailureRow][] {
  const [, table = ''] = page.split('| class |');
  const lines = table.split('\n\n', 1)[0]?.split('\n').slice(2) ?? [];
  return lines.map((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    assert.equal(cells.length, 9, line);
    const [, name = '', happened, again, next, afterTokens, breaker, code = ''] = cells;
    const row = { happened, again, next, afterTokens, breaker, code: unquoted(code) };
    return [unquoted(name), row as FailureRow];
  });
}

function unquoted(cell: string): string {
  assert.match(cell, /^`\w+`$/);
  return cell.slice(1, -1);
}

function failure(kind: ProviderFailure, details: ConstructorParameters<typeof ProviderError>[1] = {}) {
  return new ProviderError(kind, details);
}

function timeout(clock: Clock): ProviderError {
  return failure('timeout', { clock });
}

describe('the failure table', () => {
  it('is what docs/failures.md says, in both directions', () => {
    const rows = rowsOfPage();
    assert.deepEqual(Object.fromEntries(rows), failureTable);
    assert.equal(rows.length, Object.keys(failureTable).length, 'a class stands twice');
  });

  it('asks nobody a second time for what would fail everywhere', () => {
    for (const [name, row] of Object.entries(failureTable)) {
      if (row.next === 'yes') continue;
      assert.equal(row.again, 'no', name);
      assert.equal(row.afterTokens, 'tell', name);
      assert.equal(row.breaker, 'no', name);
    }
  });

  it('tells the end of the turn’s time from the clocks of an attempt', () => {
    assert.equal(rowOf(timeout('turn')), failureTable.out_of_time);
    for (const clock of ['connect', 'first_token', 'idle'] as const) {
      assert.equal(rowOf(timeout(clock)), failureTable.timeout);
    }
  });
});

describe('the error of a turn', () => {
  const alike: [ProviderError[], string, object | undefined][] = [
    [[failure('server_error')], 'provider_error', undefined],
    [[failure('unreachable'), failure('unauthorized')], 'provider_error', undefined],
    [[failure('answer_too_large')], 'provider_error', undefined],
    [[timeout('connect'), timeout('idle')], 'provider_timeout', { clock: 'idle' }],
    [[failure('rate_limited'), failure('rate_limited')], 'provider_rate_limited', { retry_after: 3 }],
  ];
  for (const [failures, code, details] of alike) {
    it(`is ${code} after ${kindsOf(failures)}`, () => assertError(failures, code, details));
  }

  const unlike: ProviderError[][] = [
    [failure('rate_limited'), timeout('idle')],
    [timeout('idle'), failure('rate_limited')],
    [failure('bad_request'), failure('rate_limited')],
  ];
  for (const failures of unlike) {
    it(`is provider_error after ${kindsOf(failures)}, which differ`, () => {
      assertError(failures, 'provider_error', undefined);
    });
  }

  it('is the end of the turn’s time, whatever came before', () => {
    const failures = [failure('server_error'), failure('rate_limited'), timeout('turn')];
    assertError(failures, 'provider_timeout', { clock: 'turn' });
  });

  const own: [ProviderFailure, string][] = [
    ['bad_request', 'provider_rejected_request'],
    ['context_length_exceeded', 'context_length_exceeded'],
    ['content_filter', 'content_filtered'],
  ];
  for (const [kind, code] of own) {
    it(`is ${code} after ${kind}, whatever came before, in the provider’s words if there are any`, () => {
      const before = failure('server_error', { providerMessage: 'internal' });
      assertError([before, failure(kind, { providerMessage: 'too hot' })], code, {
        provider_message: 'too hot',
      });
      assertError([before, failure(kind)], code, undefined);
    });
  }

  it('passes on no words of a provider that failed by itself', () => {
    for (const kind of Object.keys(failureTable) as (ProviderFailure | 'out_of_time')[]) {
      if (kind === 'out_of_time' || failureTable[kind].next !== 'yes') continue;
      const error = turnFailure([failure(kind, { providerMessage: 'swordfish' })], 1);
      assert.doesNotMatch(`${error.message} ${JSON.stringify(error.details)}`, /swordfish/, kind);
    }
  });

  it('keeps the last failure as its cause', () => {
    const last = failure('server_error');
    assert.equal(turnFailure([timeout('idle'), last], null).cause, last);
  });

  it('names no time below a second', () => {
    const [first, ...others] = [failure('rate_limited')] as const;
    for (const [milliseconds, seconds] of [
      [null, 1],
      [0, 1],
      [1, 1],
      [1000, 1],
      [1001, 2],
    ] as const) {
      const error = turnFailure([first, ...others], milliseconds);
      assert.deepEqual(error.details, { retry_after: seconds });
    }
  });
});

describe('the rest of a provider that limits', () => {
  it('is what it asks for, also none', () => {
    assert.equal(restOf(failure('rate_limited', { retryAfterMilliseconds: 1234 })), 1234);
    assert.equal(restOf(failure('rate_limited', { retryAfterMilliseconds: 0 })), 0);
  });

  it('is a second if it does not say', () => {
    assert.equal(restOf(failure('rate_limited')), 1000);
  });
});

function kindsOf(failures: readonly ProviderError[]): string {
  return failures.map(({ kind }) => kind).join(' and ');
}

/** What the turn ends with, when the first of the providers that limit rests for 2.5 s. */
function assertError(failures: readonly ProviderError[], code: string, details: object | undefined): void {
  const [first, ...others] = failures;
  assert.ok(first !== undefined);
  const error = turnFailure([first, ...others], 2500);
  assert.equal(error.code, code);
  assert.deepEqual(error.details, details);
}
