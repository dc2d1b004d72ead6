/** Days as usage is counted by: in UTC, as `YYYY-MM-DD`, whose text sorts in the order of time. */

const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/** The day of a time. @param at milliseconds since the epoch */
export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 'YYYY-MM-DD'.length);
}

/** The day that many days later, or earlier if there are fewer than none. */
export function dayAfter(day: string, days: number): string {
  return dayOf(Date.parse(day) + days * DAY_MILLISECONDS);
}

/** How many days there are from the first to the last, both of them included; none if the last comes first. */
export function countDays(from: string, to: string): number {
  return Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / DAY_MILLISECONDS) + 1);
}
