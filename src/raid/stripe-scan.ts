/**
 * Runs of whole stripes read back from all drives, judged strip by strip, and what is missing computed from the rest: what
 * rebuild and scrub have in common.
 *
 * A strip is `good` (its header is right, and every block proves itself), `spoiled` (some blocks don't), `unsound` (it is not
 * the strip that belongs there), or `gone` (its drive does not have it, or is not there). In a run's region the strips of one
 * position lie one after the other, as in a batch (stripe-builder.ts) of just these stripes; of several copies one is read at
 * a time.
 *
 * Runs on: the owning director's thread. Owns: the region at `base` while a run is looked at.
 * Invariants:
 *  1. Nothing here writes to a drive.
 *  2. A strip is computed only from strips that are sound; what is computed is checked like what is read.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { type GroupGeometry, stripPlace } from "./geometry.ts";
import { isFenced, type RaidGroup } from "./raid-group.ts";
import { solveStrip } from "./solve-strip.ts";
import type { Staging } from "./staging.ts";
import { blockProof, stripIsSound, TAG_BYTES, tagAddress, writeStripHeader } from "./strip.ts";
import { stripAddress } from "./stripe-builder.ts";
import type { StripAddressing, StripeReader } from "./stripe-reader.ts";
import { NO_STRIPS, SCRATCH_STRIPS, type StripesJob } from "./stripes-job.ts";

export type StripVerdict = "good" | "spoiled" | "unsound" | "gone";

export interface ScanRun {
  readonly zone: number;
  readonly firstStripe: number;
  readonly count: number;
  readonly base: Address;
  /** Of levels with copies: which one. */
  readonly copy: number;
}

/** Stripes of a run: their strips that differ, and what computing in bulk needs, fit a region of a batch. */
export function scanStripesMax({ stripCount }: GroupGeometry, { batchStripes }: Staging): number {
  return Math.floor((batchStripes * stripCount - SCRATCH_STRIPS) / stripCount);
}

export class StripeScan {
  readonly #global: GlobalMemory;
  readonly #geometry: GroupGeometry;
  readonly #group: RaidGroup;
  readonly #staging: Staging;
  readonly #reader: StripeReader;
  /** By position and stripe of the run. */
  readonly #there = new Set<number>();
  /** Of those, the ones that were checked already: nothing changes in the region any more. */
  readonly #proven = new Set<number>();
  /** Reads that were given up on, and may still land in the region. */
  readonly late: Promise<void>[] = [];

  constructor(options: {
    global: GlobalMemory;
    geometry: GroupGeometry;
    group: RaidGroup;
    staging: Staging;
    reader: StripeReader;
  }) {
    this.#global = options.global;
    this.#geometry = options.geometry;
    this.#group = options.group;
    this.#staging = options.staging;
    this.#reader = options.reader;
  }

  /** Reads the run from every drive that has it. */
  async read(run: ScanRun): Promise<void> {
    this.#there.clear();
    this.#proven.clear();
    const { copies, driveCount } = this.#geometry.level;
    const lanes: Promise<void>[] = [];
    for (let position = run.copy; position < driveCount; position += copies) lanes.push(this.#readLane(run, position));
    await Promise.all(lanes);
  }

  /** Where the strip of a role of the run's stripe `n` lies. */
  addressOf(run: ScanRun, n: number, role: number): Address {
    return this.#addressAt(run, n, this.#positionOf(run, n, role));
  }

  /** How many stripes of the run, from one on, the same drives have. */
  #alike(run: ScanRun, from: number): number {
    const { level } = this.#geometry;
    const isAlike = (n: number): boolean => {
      for (let lane = 0; lane < level.driveCount; lane++)
        if (this.#there.has(this.#key(lane, n)) !== this.#there.has(this.#key(lane, from))) return false;
      return true;
    };
    let count = 1;
    while (from + count < run.count && isAlike(from + count)) count += 1;
    return count;
  }

  /**
   * Stripes of the run from one on for work in bulk, with room to compute in beside the strips: as many as the same drives have. In
   * place of a strip that is not there the region has whatever was read there before, and sums of that may prove themselves,
   * as checksums of sums are sums of checksums.
   */
  job(run: ScanRun, from: number): StripesJob {
    const { level, shape, stripCount } = this.#geometry;
    const stripsAt = (position: number): Address => {
      const role = level.role(run.firstStripe + from, position);
      const lane = this.#positionOf(run, from, role);
      return this.#there.has(this.#key(lane, from)) ? this.#addressAt(run, from, lane) : NO_STRIPS;
    };
    const strips = Array.from({ length: level.driveCount }, (_, position) => stripsAt(position));
    return {
      raid: level.config,
      blocksPerStrip: shape.blocksPerStrip,
      zone: run.zone,
      firstStripe: run.firstStripe + from,
      count: this.#alike(run, from),
      strips,
      scratch: run.base + stripCount * run.count * shape.stripBytes,
    };
  }

  /** Whether there is anything in the place of a role's strip of the run's stripe `n`. */
  isThere(run: ScanRun, n: number, role: number): boolean {
    return this.#there.has(this.#key(this.#positionOf(run, n, role), n));
  }

  /** The strip is there and good: it was looked at elsewhere (`job`). */
  prove(run: ScanRun, n: number, role: number): void {
    const key = this.#key(this.#positionOf(run, n, role), n);
    this.#there.add(key);
    this.#proven.add(key);
  }

  verdict(run: ScanRun, n: number, role: number): StripVerdict {
    const position = this.#positionOf(run, n, role);
    if (this.#proven.has(this.#key(position, n))) return "good";
    if (!this.#there.has(this.#key(position, n))) return "gone";
    if (!this.#isSound(run, n, role)) return "unsound";
    return role < 0 || this.#allGood(run.zone, this.#addressAt(run, n, position)) ? "good" : "spoiled";
  }

  /** Whether it can be told what a strip of data holds, be it good or spoiled. */
  hasTags(run: ScanRun, n: number, column: number): boolean {
    return this.isThere(run, n, column) && this.#isSound(run, n, column);
  }

  /**
   * Puts the strip of a role where it belongs in the region, header included, computed from the rest of the stripe. A block
   * that can't be had is left as one that does not prove itself.
   * @returns false when the level can't compute it
   */
  async restore(run: ScanRun, n: number, role: number): Promise<boolean> {
    const out = this.addressOf(run, n, role);
    const stripe = run.firstStripe + n;
    const before = this.verdict(run, n, role);
    if (before === "good") return true;
    // Computed as a whole, a strip of which some blocks are good would lose those that are bad elsewhere in the stripe.
    const solved = before === "spoiled" || (await this.#solve(run, n, role, out));
    const isWhole = solved && (role < 0 || this.#allGood(run.zone, out));
    // Another way to compute it, or another copy, may have what this one lacks.
    if (!isWhole && (role < 0 || !(await this.#gather({ zone: run.zone, stripe, column: role, mayLack: true }, out, solved)))) {
      if (!solved) return false;
    }
    writeStripHeader(this.#global, out, this.#geometry.shape, stripPlace(this.#geometry, run.zone, stripe, role));
    this.#there.add(this.#key(this.#positionOf(run, n, role), n));
    return true;
  }

  async #solve(run: ScanRun, n: number, role: number, out: Address): Promise<boolean> {
    const { level } = this.#geometry;
    const erased = [role];
    const spoiled: number[] = [];
    for (const other of level.roles) {
      if (other === role) continue;
      const verdict = this.verdict(run, n, other);
      if (verdict === "gone" || verdict === "unsound") erased.push(other);
      else if (verdict === "spoiled") spoiled.push(other);
    }
    while (spoiled.length > 0 && erased.length < level.parities) erased.push(spoiled.pop()!);
    if (erased.length > level.parities) return false;
    const scratch = await this.#staging.strips.take();
    this.#compute({ run, n, erased, target: role, out, scratch });
    this.#staging.strips.give(scratch);
    return true;
  }

  #compute(job: { run: ScanRun; n: number; erased: readonly number[]; target: number; out: Address; scratch: Address }): void {
    const { run, n, erased, target, out, scratch } = job;
    const { level, shape } = this.#geometry;
    const { kernels } = this.#global;
    const addressOf = (role: number): Address => this.addressOf(run, n, role);
    solveStrip({ kernels, level, bytes: shape.parityBytes, erased, target, addressOf, out, scratch });
  }

  /** The blocks that `out` lacks, from whatever has them; says whether there is any of the strip now. */
  async #gather(at: StripAddressing, out: Address, hasSome: boolean): Promise<boolean> {
    const { shape } = this.#geometry;
    const { kernels } = this.#global;
    if (!hasSome) kernels.fill(out, 0, shape.stripBytes);
    let found = hasSome;
    await this.#reader.readRebuilt(at, (strip) => {
      for (let index = 0; index < shape.blocksPerStrip; index++) {
        const proof = blockProof(this.#global, strip, shape, index, at.zone);
        const had = blockProof(this.#global, out, shape, index, at.zone);
        if (proof === "none" || had === "good" || proof === had) continue;
        kernels.copy(out + index * FRAME_BYTES, strip + index * FRAME_BYTES, FRAME_BYTES);
        kernels.copy(tagAddress(out, shape, index), tagAddress(strip, shape, index), TAG_BYTES);
        found = true;
      }
      return this.#allGood(at.zone, out);
    });
    return found;
  }

  #isSound(run: ScanRun, n: number, role: number): boolean {
    const place = stripPlace(this.#geometry, run.zone, run.firstStripe + n, role);
    return stripIsSound(this.#global, this.addressOf(run, n, role), this.#geometry.shape, place);
  }

  #allGood(zone: number, strip: Address): boolean {
    const { shape } = this.#geometry;
    for (let index = 0; index < shape.blocksPerStrip; index++) {
      if (blockProof(this.#global, strip, shape, index, zone) !== "good") return false;
    }
    return true;
  }

  async #readLane(run: ScanRun, position: number): Promise<void> {
    const { zone, firstStripe, count } = run;
    const drive = this.#group.readable(position, zone);
    if (drive === undefined) return;
    const read = (n: number, strips: number): Promise<boolean> =>
      this.#readStrips(position, drive, {
        zone,
        firstStrip: firstStripe + n,
        count: strips,
        address: this.#addressAt(run, n, position),
        strideBytes: this.#geometry.shape.stripBytes,
        mayLack: true,
      });
    if (await read(0, count)) {
      for (let n = 0; n < count; n++) this.#there.add(this.#key(position, n));
      return;
    }
    // One that is not there hides the others.
    for (let n = 0; n < count && this.#group.readable(position, zone) === drive; n++) {
      if (count > 1 && (await read(n, 1))) this.#there.add(this.#key(position, n));
    }
  }

  /** False: not all of them can be had from this drive. A drive that is gone is lost. */
  async #readStrips(position: number, drive: Drive, strips: Parameters<Drive["readStrips"]>[0]): Promise<boolean> {
    try {
      await drive.readStrips(strips);
      return true;
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      if (error.landed !== undefined) this.late.push(error.landed);
      if (error.kind !== "notFound" && error.kind !== "unrecoveredRead") await this.#group.lose(position, error, drive);
      return false;
    }
  }

  #positionOf(run: ScanRun, n: number, role: number): number {
    return this.#geometry.level.positionOf(run.firstStripe + n, role, role < 0 ? 0 : run.copy);
  }

  #addressAt(run: ScanRun, n: number, position: number): Address {
    return stripAddress(this.#geometry, run.base, run.count, position, n);
  }

  #key(position: number, n: number): number {
    return position * this.#staging.batchStripes + n;
  }
}
