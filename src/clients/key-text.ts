/** The text of an API key: how it is made, recognised and hashed. It is kept nowhere; the hash is. */

import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/** What tells a key of ours from any other text: for people, and for programs that look for leaked secrets. */
const MARK = 'pk_';
const SECRET_BYTES = 32;
/** Letters and digits alone, so that a double click selects a whole key. */
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** What 32 bytes, and the four of a checksum, take in base 62. */
const SECRET_LENGTH = 43;
const CHECKSUM_LENGTH = 6;
const PREFIX_LENGTH = 8;

const KEY_TEXT = new RegExp(`^${MARK}[0-9A-Za-z]{${SECRET_LENGTH + CHECKSUM_LENGTH}}$`);

/** A new key: its mark, 256 random bits, and a checksum of both. */
export function newKeyText(): string {
  const secret = BigInt(`0x${randomBytes(SECRET_BYTES).toString('hex')}`);
  const body = MARK + inDigits(secret, SECRET_LENGTH);
  return body + checksum(body);
}

/**
 * Whether a text could be a key of ours. A key that was mistyped or cut off has a wrong checksum, and is known to
 * be none without looking for it anywhere, by whoever has it in hand.
 */
export function isKeyText(text: string): boolean {
  if (!KEY_TEXT.test(text)) return false;
  return text.slice(-CHECKSUM_LENGTH) === checksum(text.slice(0, -CHECKSUM_LENGTH));
}

/** The part of a key that may be shown: it tells keys apart, and the 208 bits that it leaves are still not guessed. */
export function keyPrefix(text: string): string {
  return text.slice(MARK.length, MARK.length + PREFIX_LENGTH);
}

/**
 * What is stored of a key: SHA-256 in hexadecimal. Slow hashes are for passwords, which people choose and others
 * can guess; nobody guesses 256 random bits, however fast the guesses are checked, and requests would wait for it.
 */
export function hashKey(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function checksum(body: string): string {
  return inDigits(BigInt(crc32(body)), CHECKSUM_LENGTH);
}

function inDigits(number: bigint, length: number): string {
  const base = BigInt(DIGITS.length);
  let text = '';
  for (let rest = number; text.length < length; rest /= base)
    text = DIGITS.charAt(Number(rest % base)) + text;
  return text;
}
