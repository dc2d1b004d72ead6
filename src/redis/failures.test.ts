import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ClientOfflineError,
  ErrorReply,
  RootNodesUnavailableError,
  SocketClosedUnexpectedlyError,
} from '@redis/client';
import { AppError } from '../errors.ts';
import { asStoreError, isWorthAnotherTry, NotConnectedError } from './failures.ts';

/** What Redis and the driver say, and whether it can be asked again because nothing was done. */
const outages: readonly [Error, boolean][] = [
  [new ErrorReply('LOADING Redis is loading the dataset in memory'), true],
  [new ErrorReply('CLUSTERDOWN The cluster is down'), true],
  [new ErrorReply("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."), true],
  [new ErrorReply('TRYAGAIN Multiple keys request during rehashing of slot'), true],
  [new ErrorReply("READONLY You can't write against a read only replica."), false],
  [new ErrorReply("OOM command not allowed when used memory > 'maxmemory'."), false],
  [new ErrorReply('MISCONF Errors writing to the AOF file: No space left on device'), false],
  [new ErrorReply('NOREPLICAS Not enough good replicas to write.'), false],
  [new ErrorReply('BUSY Redis is busy running a script.'), false],
  [new ErrorReply('NOAUTH Authentication required.'), false],
  [new ErrorReply('ERR max number of clients reached'), false],
  [new ClientOfflineError(), true],
  [new NotConnectedError(), true],
  [new SocketClosedUnexpectedlyError(), false],
  [new RootNodesUnavailableError(), false],
  [Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' }), false],
  [Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' }), false],
  [Object.assign(new Error('unable to verify'), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }), false],
  [Object.assign(new Error('wrong version number'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' }), false],
  [Object.assign(new Error('disconnected before secure TLS'), { code: 'ECONNRESET' }), false],
];
for (const [error, again] of outages) {
  test(`an outage: ${error.message || error.constructor.name}`, () => {
    const told = asStoreError(error);
    assert.ok(told instanceof AppError && told.code === 'store_unavailable' && told.cause === error);
    assert.equal(isWorthAnotherTry(error), again);
  });
}

const mistakes = [
  new ErrorReply('WRONGTYPE Operation against a key holding the wrong kind of value'),
  new ErrorReply('ERR Error compiling script'),
  new TypeError('"arguments[0]" must be of type "string | Buffer", got number instead.'),
];
for (const error of mistakes) {
  test(`a mistake of the program: ${error.message}`, () => {
    assert.equal(asStoreError(error), error);
    assert.equal(isWorthAnotherTry(error), false);
  });
}
