/**
 * How many zones a drive may keep open, by the files that this process may have open.
 *
 * An open LevelDB database holds five files beside its tables (LOCK, LOG, MANIFEST, its log, its folder at times); tables
 * are mapped, and LevelDB itself keeps those that are not to a fifth of the limit. Node raises the soft limit to the hard
 * one at start, so what counts is the hard one of the container or service.
 */
import { readFileSync } from "node:fs";

const FILES_PER_DATABASE = 5;
/** Below this, random reads open databases all the time; there is no array with fewer files. */
const ZONES_OPEN_MIN = 4;
/** Where the limit can't be read: what Linux gives a process that nobody thought of. */
const LIMIT_UNKNOWN = 1024;

export function openFilesMax(limits: () => string = () => readFileSync("/proc/self/limits", "latin1")): number {
  try {
    const [, soft] = /^Max open files\s+(\d+|unlimited)/m.exec(limits()) ?? [];
    if (soft === "unlimited") return Number.MAX_SAFE_INTEGER;
    return soft === undefined ? LIMIT_UNKNOWN : Number(soft);
  } catch {
    return LIMIT_UNKNOWN;
  }
}

/** The drives together take half of the limit at most; the rest is for tables, sockets and everything else. */
export function zonesOpenMax(driveCount: number, wanted: number, limit = openFilesMax()): number {
  const share = Math.floor(limit / 2 / Math.max(1, driveCount) / FILES_PER_DATABASE);
  return Math.max(ZONES_OPEN_MIN, Math.min(wanted, share));
}
