/**
 * Fingerprints of tools, to notice that one is no longer what it was when an operator accepted it. Covers what a model
 * is told of a tool and acts on; what only people see may change.
 */

import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.ts';
import type { Tool } from './tool-source.ts';

/** SHA-256 of the tool's name, description and schema, in hexadecimal. The order of keys does not count. */
export function toolFingerprint({ name, description, inputSchema }: Tool): string {
  const told = canonicalJson({ name, description, input_schema: inputSchema });
  return createHash('sha256').update(told, 'utf8').digest('hex');
}
