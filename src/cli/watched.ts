/** Records as they are, counted and shown while they go by. */

import type { PortableRecord } from '../stores/portable-store.ts';
import type { MoveCounts } from './move-counts.ts';
import type { Progress } from './progress.ts';

export async function* watched(
  records: AsyncIterable<PortableRecord>,
  counts: MoveCounts,
  progress: Progress,
): AsyncGenerator<PortableRecord> {
  try {
    for await (const record of records) {
      counts.add(record);
      progress.step();
      yield record;
    }
  } finally {
    progress.end();
  }
}
