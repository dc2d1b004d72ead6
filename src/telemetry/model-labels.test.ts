import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createModelLabels } from './model-labels.ts';

describe('the labels of models', () => {
  it('knows those of the configuration, and others once a provider has answered for them', () => {
    const models = createModelLabels(['configured']);
    assert.deepEqual([models.of('configured'), models.of('chosen')], ['configured', 'other']);
    models.learn('chosen');
    assert.equal(models.of('chosen'), 'chosen');
  });

  it('keeps the configured ones, however many others there are', () => {
    const models = createModelLabels(['configured']);
    for (let number = 0; number < 1000; number += 1) models.learn(`model-${number}`);
    assert.equal(models.of('configured'), 'configured');
    assert.equal(models.of('model-98'), 'model-98');
    assert.equal(models.of('model-99'), 'other');
  });

  it('never has more than a hundred, and none that is longer than a name', () => {
    const name = fc.oneof(fc.nat(300).map(String), fc.string({ maxLength: 400 }));
    fc.assert(
      fc.property(fc.array(name, { maxLength: 400 }), (names) => {
        const models = createModelLabels([]);
        const labels = new Set<string>();
        for (const model of names) {
          models.learn(model);
          labels.add(models.of(model));
        }
        labels.delete('other');
        assert.ok(labels.size <= 100);
        for (const label of labels) assert.ok(label.length <= 200 && names.includes(label));
      }),
    );
  });
});
