/**
 * Which models get a label of their own. Callers name models as they like, so that names are without number and
 * may say anything: those of the configuration are known, others once a provider has answered for them.
 */

export interface ModelLabels {
  /** A provider has answered for it: from now on it has a label of its own, if there is still place. */
  learn(model: string): void;
  /** Its own name, or `other`. */
  of(model: string): string;
}

/** Each is worth about a hundred time series. */
const MAX_MODELS = 100;

/** Longer than any model's name; some servers answer whatever they are called. */
const MAX_LENGTH = 200;

const OTHER = 'other';

/**
 * @param configured have their labels whatever comes later, and count against the number of models
 */
export function createModelLabels(configured: Iterable<string>): ModelLabels {
  const known = new Set(configured);
  return {
    learn(model) {
      if (known.size < MAX_MODELS && model.length <= MAX_LENGTH) known.add(model);
    },
    of: (model) => (known.has(model) ? model : OTHER),
  };
}
