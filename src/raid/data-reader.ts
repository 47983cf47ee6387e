/**
 * Reads the data of many stripes of a zone into staging, for who is to move what lives in them: of copies one, of parity as
 * little as pays, and strips that can't be had are rebuilt in their place.
 *
 * Runs on: the owning director's thread.
 * Invariant: where a block of a strip could not be had, its tag is there if that could, else zeros (padding, as tags go).
 */
import { DriveError, type StripRead } from "../../drivers/drive/drive.ts";
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { dataRuns } from "./data-runs.ts";
import { type GroupGeometry, stripPlace } from "./geometry.ts";
import type { RaidGroup } from "./raid-group.ts";
import { BlockMerge, type StripPlace, stripIsSound } from "./strip.ts";
import { stripAddress } from "./stripe-builder.ts";
import type { StripeReader } from "./stripe-reader.ts";

export interface StripesRead {
  readonly zone: number;
  readonly firstStripe: number;
  readonly count: number;
  /** A staging region for a batch: strips lie there as stripe-builder.ts puts them. */
  readonly base: Address;
  /** Gets what may still write to the region. */
  readonly late: Promise<void>[];
}

export class DataReader {
  readonly #global: GlobalMemory;
  readonly #geometry: GroupGeometry;
  readonly #group: RaidGroup;
  readonly #reader: StripeReader;
  readonly #stripesMax: number;

  constructor(options: {
    readonly global: GlobalMemory;
    readonly geometry: GroupGeometry;
    readonly group: RaidGroup;
    readonly reader: StripeReader;
    /** Stripes of a batch. */
    readonly stripesMax: number;
  }) {
    this.#global = options.global;
    this.#geometry = options.geometry;
    this.#group = options.group;
    this.#reader = options.reader;
    this.#stripesMax = options.stripesMax;
  }

  async read({ zone, firstStripe, count, base, late }: StripesRead): Promise<void> {
    const { level, stripCount, shape, dataDrives } = this.#geometry;
    /** By strip of the stripe, then stripe. */
    const missing = new Uint8Array(stripCount * count);
    const reads: Promise<void>[] = [];
    for (let lane = 0; lane < stripCount; lane++) {
      const position = level.copies === 1 ? lane : this.#reader.directPosition({ zone, stripe: firstStripe, column: lane });
      for (const run of dataRuns(level, position, firstStripe, count)) {
        const address = this.#strip(base, lane * level.copies, run.first);
        const strips = { zone, firstStrip: firstStripe + run.first, count: run.count, address };
        const read = this.#readRun(position, strips, late).then((isRead) => {
          if (!isRead) missing.fill(1, lane * count + run.first, lane * count + run.first + run.count);
        });
        reads.push(read);
      }
    }
    await Promise.all(reads);
    for (let n = 0; n < count; n++) {
      for (let column = 0; column < dataDrives; column++) {
        const place = stripPlace(this.#geometry, zone, firstStripe + n, column);
        const strip = this.#strip(base, place.position, n);
        const lane = Math.floor(place.position / level.copies);
        if (missing[lane * count + n] === 1 || !stripIsSound(this.#global, strip, shape, place))
          await this.#readOne(place, strip);
      }
    }
  }

  /** False: the drive is not there, or did not give all of it. */
  async #readRun(position: number, strips: Omit<StripRead, "strideBytes">, late: Promise<void>[]): Promise<boolean> {
    const drive = this.#group.readable(position, strips.zone);
    if (drive === undefined) return false;
    try {
      await drive.readStrips({ ...strips, strideBytes: this.#geometry.shape.stripBytes, mayLack: true });
      return true;
    } catch (error) {
      if (error instanceof DriveError && error.landed !== undefined) late.push(error.landed);
      return false;
    }
  }

  /** One data strip by itself: as its drive has it, else rebuilt, block by block where no way to rebuild it gives all. */
  async #readOne(place: StripPlace, address: Address): Promise<void> {
    const { shape } = this.#geometry;
    const merge = new BlockMerge(this.#global, address, shape, place.zone);
    const at = { zone: place.zone, stripe: place.stripe, column: place.role, mayLack: true };
    const outcome = await this.#reader.read(at, (strip, rebuilt) => {
      if (!rebuilt && !stripIsSound(this.#global, strip, shape, place)) return false;
      merge.add(strip);
      return merge.isWhole;
    });
    if (outcome !== "lost") return;
    // Last, what a strip has that is not the one that belongs there, or does not say so: its blocks prove themselves.
    await this.#reader.read(at, (strip, rebuilt) => {
      if (!rebuilt) merge.add(strip);
      return true;
    });
  }

  #strip(base: Address, position: number, n: number): Address {
    return stripAddress(this.#geometry, base, this.#stripesMax, position, n);
  }
}
