/**
 * What a RAID level decides: which drive holds which strip of a stripe, and which losses it survives.
 *
 * A stripe has `dataColumns` strips of data, each on `copies` drives, and `parities` strips of parity. A strip's *role* is
 * one number: its column (0, 1, …), or ROLE_P, or ROLE_Q. A drive's *position* is its number in the RAID group.
 *
 * Runs on: any thread; no state. The levels: parity-levels.ts, mirror-levels.ts; chosen by raid-levels.ts.
 * Invariants, which test/contract/raid-level.ts holds every level to:
 *  1. In each stripe every position holds exactly one strip, and `role` and `positionOf` agree about which.
 *  2. Any `tolerance` drives may be lost; `survives` says which larger sets may be too.
 *  3. The copies of a column are neighbours: position ÷ copies is one number for all of them, and another for other strips.
 */

/** Exclusive or of the data strips. */
export const ROLE_P = -1;
/** Sum of the data strips over GF(2^8), each multiplied by 2 to the power of its column. */
export const ROLE_Q = -2;

export type RaidLevelNumber = 1 | 5 | 6 | 10;

/** As the configuration and a pool's document have it. */
export interface RaidConfig {
  readonly level: RaidLevelNumber;
  /** Strips of data in a stripe. */
  readonly dataDrives: number;
  /** Drives that hold the same strip of data: 1 where there is parity. */
  readonly copies: number;
}

/** Documents of the first format name no copies. What names no level is RAID-5. */
export interface RaidShape {
  readonly level?: RaidLevelNumber;
  readonly dataDrives: number;
  readonly copies?: number;
}

export function rolesOf(columns: number, parities: number): number[] {
  return Array.from({ length: columns + parities }, (_, n) => n - parities);
}

export interface RaidLevel {
  readonly config: RaidConfig;
  /** As people know it: "RAID-5 3+1". */
  readonly label: string;
  readonly driveCount: number;
  readonly dataColumns: number;
  readonly copies: number;
  /** Strips of parity in a stripe: 0, 1 (P) or 2 (P and Q). */
  readonly parities: 0 | 1 | 2;
  /** The strips of a stripe that differ: parities, then columns. */
  readonly roles: readonly number[];
  /** Any so many drives may be lost. */
  readonly tolerance: number;
  /** What a position holds in a stripe. */
  role(stripe: number, position: number): number;
  /** Which position holds a role; of a column's copies the `copy`th (0 to copies − 1). */
  positionOf(stripe: number, role: number, copy: number): number;
  /** Whether every stripe is still there, or can be computed, without these (different) positions. */
  survives(lost: readonly number[]): boolean;
}
