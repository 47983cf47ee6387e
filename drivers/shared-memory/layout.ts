/**
 * Where everything lies in global memory. Declared here once, computed by main, handed to every thread.
 * (Contract: the shared-memory driver completes it.)
 */
import type { Address } from "./global-memory.ts";
import type { CounterSubsystem } from "./counters.ts";

export const FRAME_BYTES = 4096;

/** What decides the layout. */
export interface LayoutShape {
  readonly directorCount: number;
  readonly poolCount: number;
  /** Drives of all pools together. */
  readonly driveCount: number;
  /** Directors that reach each pool's drive thread. */
  readonly poolReachedBy: readonly (readonly number[])[];
  readonly frameCount: number;
  /** Staging for destage, strip reads and compaction, for each pool. */
  readonly stagingBytesPerPool: number;
  /** Buffer for metadata batches and scans between one director and one drive thread. */
  readonly mailboxBytes: number;
}

export type ThreadRole = "director" | "drive" | "journalSync";

export interface Layout {
  readonly shape: LayoutShape;
  readonly totalBytes: number;
  readonly counters: Readonly<Record<CounterSubsystem, Address>>;
  /** Staging area of each pool. */
  readonly staging: readonly Address[];
  readonly frames: Address;
}
