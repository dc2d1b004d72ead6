import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DatabaseError } from 'pg';
import { AppError } from '../../errors.ts';
import { asStoreError, endsConnection } from './errors.ts';

function databaseError(code: string, severity = 'ERROR'): DatabaseError {
  return Object.assign(new DatabaseError('It is so.', 9, 'error'), { code, severity });
}

test('what says that the engine cannot be reached or written to is an outage, and nothing else', () => {
  const codes = '08006 25006 28P01 3D000 40001 40P01 53100 53200 53300 55P03 57014 57P01 57P03 58030 XX001';
  const outages = codes.split(' ').map((code) => databaseError(code));
  const refused = Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' });
  for (const error of [...outages, new Error('Connection terminated unexpectedly'), refused]) {
    const shown = asStoreError(error);
    assert.ok(shown instanceof AppError && shown.code === 'store_unavailable', String(error));
    assert.equal(shown.cause, error);
  }
  const mistakes = ['22021', '23505', '42601', '42883', '26000', 'XX000'].map((code) => databaseError(code));
  for (const error of [...mistakes, new TypeError('x is not a function')]) {
    assert.equal(asStoreError(error), error);
  }
});

test('a connection is given up when it is broken, or leads to a server that cannot write', () => {
  for (const error of [
    new Error('read ECONNRESET'),
    databaseError('25006'),
    databaseError('57P01', 'FATAL'),
    databaseError('58030'),
  ]) {
    assert.equal(endsConnection(error), true);
  }
  for (const code of ['23505', '57014', '40P01', '53100']) {
    assert.equal(endsConnection(databaseError(code)), false, code);
  }
});
