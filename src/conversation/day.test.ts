import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { countDays, dayAfter, dayOf } from './day.ts';

describe('a day', () => {
  it('ends at midnight, in UTC', () => {
    assert.equal(dayOf(Date.parse('2026-11-25T23:59:59.999Z')), '2026-11-25');
    assert.equal(dayOf(Date.parse('2026-11-26T00:00:00Z')), '2026-11-26');
    assert.equal(dayOf(Date.parse('2026-11-26T00:30:00+02:00')), '2026-11-25');
  });

  it('is counted from and to', () => {
    assert.equal(dayAfter('2026-02-28', 1), '2026-03-01');
    assert.equal(dayAfter('2026-03-01', -1), '2026-02-28');
    assert.equal(countDays('2026-11-25', '2026-11-25'), 1);
    assert.equal(countDays('2026-11-25', '2026-11-24'), 0);
    assert.equal(countDays('2026-11-25', '2026-11-01'), 0);
  });

  it('is as many days from another as there are in between', () => {
    const times = fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true });
    fc.assert(
      fc.property(times, fc.nat(5000), (time, days) => {
        const day = dayOf(time.getTime());
        const later = dayAfter(day, days);
        assert.match(later, /^\d{4}-\d\d-\d\d$/);
        assert.equal(countDays(day, later), days + 1);
      }),
    );
  });
});
