/**
 * Reads one data strip or blocks of it, from its drive or from the stripe's other drives and parity.
 *
 *   read the strip ──▶ consumer checks its blocks ──all right──▶ done
 *        │ failed, or drive lost        │ some wrong
 *        └──────────────▶ rebuild from the other strips ──▶ consumer checks again ──▶ repaired, or lost
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Memory that a drive was asked to read to is used again only when the drive is done with it, also after it was told
 *     to be late (DriveError.landed).
 *  2. Bytes are used only after the consumer checked them against what the map expects (architecture, invariant 3), rebuilt
 *     ones too.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { GroupGeometry } from "./geometry.ts";
import { isFenced, type RaidGroup } from "./raid-group.ts";
import type { Staging } from "./staging.ts";
import { stripIsSound } from "./strip.ts";

export interface StripAddressing {
  readonly zone: number;
  readonly stripe: number;
  readonly column: number;
}

/** Why a drive gave nothing; `landed`: it may still write to the memory that the read named, until then. */
export interface ReadFailure {
  readonly landed: Promise<void> | undefined;
}
const FAILED: ReadFailure = { landed: undefined };

/** direct: as the drive had it; rebuilt: from the others because the drive is lost; repaired: the drive's copy was bad. */
export type StripOutcome = "direct" | "rebuilt" | "repaired" | "lost";

export class StripeReader {
  readonly #global: GlobalMemory;
  readonly #geometry: GroupGeometry;
  readonly #group: RaidGroup;
  readonly #staging: Staging;

  constructor(options: { global: GlobalMemory; geometry: GroupGeometry; group: RaidGroup; staging: Staging }) {
    this.#global = options.global;
    this.#geometry = options.geometry;
    this.#group = options.group;
    this.#staging = options.staging;
  }

  /**
   * Brings the strip into staging and hands its address to `consume`, which copies what it wants and says whether
   * everything it wanted was there and right. It is called again with the rebuilt strip (blocks and tags, no header)
   * when it said no.
   */
  async read(at: StripAddressing, consume: (strip: Address, rebuilt: boolean) => boolean): Promise<StripOutcome> {
    const position = this.#geometry.level.positionOf(at.stripe, at.column, 0);
    const hadDrive = this.#group.readable(position, at.zone) !== undefined;
    if (hadDrive) {
      const strip = await this.#staging.strips.take();
      const late: Promise<void>[] = [];
      try {
        if ((await this.#readFrom(position, at, strip, late)) && consume(strip, false)) return "direct";
      } finally {
        this.#staging.strips.giveLanded(strip, late);
      }
    }
    if (!(await this.readRebuilt(at, (strips) => consume(strips, true)))) return "lost";
    return hadDrive ? "repaired" : "rebuilt";
  }

  /** The strip as the others say it is, for `consume`; says what that said, or false when too few can be read. */
  async readRebuilt(at: StripAddressing, consume: (strips: Address) => boolean): Promise<boolean> {
    const position = this.#geometry.level.positionOf(at.stripe, at.column, 0);
    const strips = await this.#staging.rebuilds.take();
    const late: Promise<void>[] = [];
    try {
      return (await this.#rebuild(at.zone, at.stripe, position, strips, late)) && consume(strips);
    } finally {
      this.#staging.rebuilds.giveLanded(strips, late);
    }
  }

  /** Reads parts of a strip by a list (drivers/drive/strip-parts.ts). Undefined: they are there, for the caller to check. */
  async readParts(at: StripAddressing, list: Address, count: number): Promise<ReadFailure | undefined> {
    const position = this.#geometry.level.positionOf(at.stripe, at.column, 0);
    const drive = this.#group.readable(position, at.zone);
    if (drive === undefined) return FAILED;
    try {
      await drive.readParts({ zone: at.zone, strip: at.stripe, list, count });
      return undefined;
    } catch (error) {
      return this.#failed(position, error);
    }
  }

  /**
   * Recomputes the blocks and tags of one drive's strip at `strips`, which has room for a whole stripe.
   * False: too few of the others can be read. `late` gets what may still write to `strips`.
   */
  async #rebuild(zone: number, stripe: number, position: number, strips: Address, late: Promise<void>[]): Promise<boolean> {
    const { shape, driveCount, level } = this.#geometry;
    const others: number[] = [];
    for (let other = 0; other < driveCount; other++) if (other !== position) others.push(other);
    const reads = others.map(async (other, n) => {
      const strip = strips + n * shape.stripBytes;
      if (!(await this.#readFrom(other, { zone, stripe }, strip, late))) return false;
      return stripIsSound(this.#global, strip, shape, { zone, stripe, position: other, role: level.role(stripe, other) });
    });
    const sound = await Promise.all(reads);
    if (sound.includes(false)) return false;
    for (let n = 1; n < others.length; n++) this.#global.kernels.xor(strips, strips + n * shape.stripBytes, shape.parityBytes);
    return true;
  }

  /** False: the strip can't be had from this drive. A drive that is gone is lost; a bad strip alone does not fail it. */
  async #readFrom(
    position: number,
    at: { zone: number; stripe: number },
    address: Address,
    late: Promise<void>[],
  ): Promise<boolean> {
    const drive = this.#group.readable(position, at.zone);
    if (drive === undefined) return false;
    try {
      await drive.readStrips({
        zone: at.zone,
        firstStrip: at.stripe,
        count: 1,
        address,
        strideBytes: this.#geometry.shape.stripBytes,
      });
      return true;
    } catch (error) {
      const { landed } = await this.#failed(position, error);
      if (landed !== undefined) late.push(landed);
      return false;
    }
  }

  /** In an object, as a promise that is returned by itself would be waited for. */
  async #failed(position: number, error: unknown): Promise<ReadFailure> {
    if (isFenced(error)) throw error;
    if (!(error instanceof DriveError)) return FAILED;
    if (error.kind !== "notFound" && error.kind !== "unrecoveredRead") {
      try {
        await this.#group.lose(position, error);
      } catch (cause) {
        // A refusal to record the loss must not look like one to read: the late drive still has the memory.
        if (error.landed === undefined) throw cause;
        throw new Error("the loss of a late drive can't be recorded", { cause });
      }
    }
    return { landed: error.landed };
  }
}
