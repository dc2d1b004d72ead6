/** Times until which something is to hold, as people type them. */

const UNITS: Readonly<Record<string, number>> = { d: 24 * 60 * 60 * 1000, h: 60 * 60 * 1000 };
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/;

/** What `parseExpiry` reads, to follow "must be". */
export const EXPIRY = 'a day (2026-12-31), a time (2026-12-31T18:00:00Z), or as long as from now (90d, 12h)';

/**
 * In milliseconds since the epoch: the end of a day in UTC, a time with its zone, or a number of days or hours from
 * now. Null for any other text.
 * @param now milliseconds since the epoch
 */
export function parseExpiry(text: string, now: number): number | null {
  const [, count, unit = ''] = /^(\d{1,5})([dh])$/.exec(text) ?? [];
  const length = UNITS[unit];
  if (length !== undefined) return now + Number(count) * length;
  if (DAY.test(text)) {
    const start = Date.parse(text);
    // The 30th of February is read as a day of March.
    const isDay = !Number.isNaN(start) && new Date(start).toISOString().startsWith(text);
    return isDay ? start + 24 * 60 * 60 * 1000 : null;
  }
  const at = TIME.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : at;
}
