/**
 * A run of stripes in global memory, for work in bulk: addresses only, so that it can be posted to another thread.
 *
 * The strips of a drive lie one after the other, `stripBytes` apart, as drives read and write them. A strip that the drive
 * did not give is to be zeros there: then it is taken for what it is, unsound.
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import type { RaidConfig, RaidLevel } from "./raid-level.ts";
import { raidLevel } from "./raid-levels.ts";
import { type StripPlace, type StripShape, stripShape } from "./strip.ts";

/** In place of an address: the drive is not there. */
export const NO_STRIPS = -1;
/** Strips that `scratch` has room for. */
export const SCRATCH_STRIPS = 2;

export interface StripesJob {
  readonly raid: RaidConfig;
  readonly blocksPerStrip: number;
  readonly zone: number;
  readonly firstStripe: number;
  readonly count: number;
  /** By position: where the drive's strip of the first stripe is, or NO_STRIPS. */
  readonly strips: readonly Address[];
  /** Room for SCRATCH_STRIPS strips. */
  readonly scratch: Address;
}

/** A job, looked at one stripe at a time. */
export class StripesView {
  readonly level: RaidLevel;
  readonly shape: StripShape;
  readonly #job: StripesJob;

  constructor(job: StripesJob) {
    this.#job = job;
    this.level = raidLevel(job.raid);
    this.shape = stripShape(job.blocksPerStrip);
  }

  stripe(n: number): number {
    return this.#job.firstStripe + n;
  }

  /** The strip of a position in the nth stripe, or NO_STRIPS. */
  strip(position: number, n: number): Address {
    const first = this.#job.strips[position] ?? NO_STRIPS;
    return first === NO_STRIPS ? NO_STRIPS : first + n * this.shape.stripBytes;
  }

  place(n: number, role: number): StripPlace {
    const stripe = this.stripe(n);
    return { zone: this.#job.zone, stripe, position: this.level.positionOf(stripe, role, 0), role };
  }
}
