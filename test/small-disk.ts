/** A file system of a few megabytes in memory, to be filled to its last byte. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  directory: string;
  /** Leaves no room on it. */
  fill(): void;
  /** Gives the room back. */
  clear(): void;
  /** Takes it away, also from whoever still uses it. */
  remove(): void;
}

/** Null where no file system can be mounted. @param owner whose directory it is; the test's own if left out */
export function mountSmallDisk(owner: { uid: number; gid: number } | null = null): SmallDisk | null {
  const directory = mkdtempSync(join(tmpdir(), 'parley-disk-'));
  const options = ['size=4m', ...(owner === null ? [] : [`uid=${owner.uid}`, `gid=${owner.gid}`])];
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options.join(), 'tmpfs', directory], { stdio: 'ignore' });
  } catch {
    rmSync(directory, { recursive: true });
    return null;
  }
  const ballast = join(directory, 'ballast');
  return {
    directory,
    fill() {
      const { bavail, bsize } = statfsSync(directory);
      writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    },
    clear: () => rmSync(ballast),
    remove() {
      execFileSync('umount', ['-l', directory]);
      rmSync(directory, { recursive: true });
    },
  };
}
