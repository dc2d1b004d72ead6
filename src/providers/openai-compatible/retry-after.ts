/** How long a provider asks to wait. */

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/**
 * Milliseconds from `retry-after-ms`, or `retry-after` in seconds or as a date; undefined if neither can be read.
 *
 * @param now milliseconds since the epoch
 */
export function retryAfterMilliseconds(headers: Headers, now: number): number | undefined {
  const exact = amount(headers['retry-after-ms']);
  if (exact !== undefined) return exact;
  const seconds = amount(headers['retry-after']);
  if (seconds !== undefined) return seconds * 1000;
  const date = Date.parse(single(headers['retry-after']));
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

function amount(value: string | string[] | undefined): number | undefined {
  const text = single(value).trim();
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** A header that came more than once counts as its first. */
function single(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value[0] : value) ?? '';
}
