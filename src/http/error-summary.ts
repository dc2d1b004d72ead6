/** How many errors were answered since the start, by code, for `GET /health`. */

export interface ErrorSummary {
  count(code: string, requestId: string): void;
  read(): {
    total: number;
    byCode: Record<string, number>;
    last: { code: string; requestId: string; at: number } | null;
  };
}

export function createErrorSummary(): ErrorSummary {
  const byCode = new Map<string, number>();
  let total = 0;
  let last: ReturnType<ErrorSummary['read']>['last'] = null;
  return {
    count: (code, requestId) => {
      total += 1;
      byCode.set(code, (byCode.get(code) ?? 0) + 1);
      last = { code, requestId, at: Date.now() };
    },
    read: () => ({ total, byCode: Object.fromEntries(byCode), last }),
  };
}
