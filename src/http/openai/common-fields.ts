/** Fields that requests of several of OpenAI's APIs have, read alike. */

import { bodyFields } from './body-fields.ts';
import { type Fields, wrong } from './input-items.ts';

/** The model that the body names; null where it names none. */
export function modelOf(body: Fields): string | null {
  const model = bodyFields(body).text('model', 256);
  if (model === '' || model?.isWellFormed() === false) throw wrong('model', 'must be the name of a model');
  return model ?? null;
}

const METADATA = { pairs: 16, key: 64, value: 512 };

/** The metadata that the body gives; undefined where it gives none. Throws `invalid_request`. */
export function metadataOf(body: Fields): Record<string, string> | undefined {
  const given = bodyFields(body).object('metadata');
  if (given === undefined) return undefined;
  const entries = Object.entries(given);
  if (entries.length > METADATA.pairs)
    throw wrong('metadata', `must not have more than ${METADATA.pairs} pairs`);
  const pairs = entries.map(([key, value]) => {
    if (key.length > METADATA.key) throw wrong('metadata', `keys must not be longer than ${METADATA.key}`);
    if (typeof value === 'string' && value.length <= METADATA.value) return [key, value] as const;
    throw wrong(`metadata.${key}`, `must be a text of at most ${METADATA.value} characters`);
  });
  return Object.fromEntries(pairs);
}
