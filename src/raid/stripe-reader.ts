/**
 * Reads one data strip or blocks of it: from its drive, of several copies from the one that has its turn, or else from what
 * the stripe has besides.
 *
 *   read the strip ──▶ consumer checks its blocks ──all right──▶ done
 *        │ failed, or drive lost        │ some wrong
 *        └──────────────▶ its other copies, or computed from the stripe's other strips ──▶ consumer checks ──▶ repaired
 *                            ▲ some wrong: another copy, or another strip left out          │ nothing is left
 *                            └──────────────────────────────────────────────────────────────┴──▶ lost
 *
 * A strip that is bad without showing it (its header is sound, a block is not) spoils what is computed with it. The consumer
 * sees that; within what the level tolerates the stripe is then computed without one and another of the strips.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Memory that a drive was asked to read to is used again only when the drive is done with it, also after it was told
 *     to be late (DriveError.landed).
 *  2. Bytes are used only after the consumer checked them against what the map expects (architecture, invariant 3), rebuilt
 *     ones too.
 *  3. A strip is read at most once from each drive for one rebuilding, and computed in a bounded number of ways.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { type GroupGeometry, stripPlace } from "./geometry.ts";
import { isFenced, type RaidGroup } from "./raid-group.ts";
import { erasureChoices, rolesNeeded, solveStrip } from "./solve-strip.ts";
import type { Staging } from "./staging.ts";
import { stripIsSound } from "./strip.ts";

/** So many stripes one after the other are read from the same copy: neighbours are close on the drive. */
const NEIGHBOUR_STRIPES = 16;
/** Strips that are remembered to have been held against their drives; then all of them are forgotten. */
const BLAMED_MAX = 4096;

export interface StripAddressing {
  readonly zone: number;
  readonly stripe: number;
  readonly column: number;
  /** It is not known whether anything lives in the stripe (StripRead.mayLack). */
  readonly mayLack?: boolean | undefined;
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
  readonly #blamed = new Set<string>();

  constructor(options: { global: GlobalMemory; geometry: GroupGeometry; group: RaidGroup; staging: Staging }) {
    this.#global = options.global;
    this.#geometry = options.geometry;
    this.#group = options.group;
    this.#staging = options.staging;
  }

  /** The drive that the strip is read from first; −1: none that has it is there. */
  directPosition(at: StripAddressing): number {
    const { level } = this.#geometry;
    const turn = at.zone + Math.floor(at.stripe / NEIGHBOUR_STRIPES);
    for (let n = 0; n < level.copies; n++) {
      const position = level.positionOf(at.stripe, at.column, (turn + n) % level.copies);
      if (this.#group.readable(position, at.zone) !== undefined) return position;
    }
    return -1;
  }

  /**
   * Brings the strip into staging and hands its address to `consume`, which copies what it wants and says whether
   * everything it wanted was there and right. It is called again with the rebuilt strip (blocks and tags, no header)
   * when it said no, for each way to rebuild it.
   */
  async read(at: StripAddressing, consume: (strip: Address, rebuilt: boolean) => boolean): Promise<StripOutcome> {
    const position = this.directPosition(at);
    let refused = false;
    if (position >= 0) {
      const strip = await this.#staging.strips.take();
      const late: Promise<void>[] = [];
      try {
        if (await this.#readFrom(position, at, strip, late)) {
          if (consume(strip, false)) return "direct";
          refused = true;
        }
      } finally {
        this.#staging.strips.giveLanded(strip, late);
      }
    }
    if (!(await this.readRebuilt(at, (strip) => consume(strip, true)))) return "lost";
    if (refused) this.blame(position, at);
    return position >= 0 ? "repaired" : "rebuilt";
  }

  /**
   * The strip as the rest of the stripe says it is, for `consume`, which says whether that was right: until it was, in one
   * way after the other. False when no way is left.
   */
  readRebuilt(at: StripAddressing, consume: (strip: Address) => boolean): Promise<boolean> {
    return this.#geometry.level.parities === 0 ? this.#fromCopies(at, consume) : this.#fromStripe(at, consume);
  }

  /** Reads parts of a strip by a list (drivers/drive/strip-parts.ts). Undefined: they are there, for the caller to check. */
  async readParts(at: StripAddressing, list: Address, count: number): Promise<ReadFailure | undefined> {
    const position = this.directPosition(at);
    const drive = this.#group.readable(position, at.zone);
    if (drive === undefined) return FAILED;
    try {
      await drive.readParts({ zone: at.zone, strip: at.stripe, list, count });
      return undefined;
    } catch (error) {
      return this.#failed(position, drive, error);
    }
  }

  /**
   * What a drive had of a strip was not what was written, as another source proved. (Where none did it may be no fault of
   * the drive's: a block that was lost is written as one that can't be read.) Once for a strip, however often it is read.
   */
  blame(position: number, at: { readonly zone: number; readonly stripe: number }): void {
    const strip = `${position} ${at.zone} ${at.stripe}`;
    if (this.#blamed.has(strip)) return;
    if (this.#blamed.size === BLAMED_MAX) this.#blamed.clear();
    this.#blamed.add(strip);
    this.#group.mismatch(position);
  }

  /** The copy that has its turn comes last: it is what was read before. */
  async #fromCopies(at: StripAddressing, consume: (strip: Address) => boolean): Promise<boolean> {
    const { level } = this.#geometry;
    const first = this.directPosition(at);
    const refused: number[] = [];
    for (let n = 1; n <= level.copies; n++) {
      const position = level.positionOf(at.stripe, at.column, (Math.max(0, first) + n) % level.copies);
      const strip = await this.#staging.rebuilds.take();
      const late: Promise<void>[] = [];
      try {
        if (!(await this.#readFrom(position, at, strip, late))) continue;
        if (consume(strip)) {
          for (const other of refused) this.blame(other, at);
          return true;
        }
        refused.push(position);
      } finally {
        this.#staging.rebuilds.giveLanded(strip, late);
      }
    }
    return false;
  }

  /**
   * From the stripe's other strips: the fewest that will do are read first. The region has a place for each role, the
   * wanted strip's among them, and one more.
   */
  async #fromStripe(at: StripAddressing, consume: (strip: Address) => boolean): Promise<boolean> {
    const { level, shape, stripCount } = this.#geometry;
    const region = await this.#staging.rebuilds.take();
    const addressOf = (role: number): Address => region + (role + level.parities) * shape.stripBytes;
    const late: Promise<void>[] = [];
    const gone = [at.column, ...this.#rolesGone(at)];
    const unsound: number[] = [];
    const known = new Set(gone);
    const look = async (roles: readonly number[]): Promise<void> => {
      const fresh = roles.filter((role) => !known.has(role));
      for (const role of fresh) known.add(role);
      const states = await Promise.all(fresh.map((role) => this.#readRole(at, role, addressOf(role), late)));
      for (const [n, role] of fresh.entries()) {
        if (states[n] === "gone") gone.push(role);
        if (states[n] === "unsound") unsound.push(role);
      }
    };
    const solved = (erased: readonly number[]): boolean => {
      const { kernels } = this.#global;
      const [out, scratch] = [addressOf(at.column), region + stripCount * shape.stripBytes];
      solveStrip({ kernels, level, bytes: shape.parityBytes, erased, target: at.column, addressOf, out, scratch });
      return consume(out);
    };
    try {
      // Each round but the last knows one more strip to be bad.
      for (let found = -1; found < gone.length + unsound.length; ) {
        found = gone.length + unsound.length;
        for (const erased of erasureChoices(level, gone, unsound)) {
          await look(rolesNeeded(level, erased));
          if (gone.length + unsound.length > found) break;
          if (solved(erased)) return true;
        }
      }
      return false;
    } finally {
      this.#staging.rebuilds.giveLanded(region, late);
    }
  }

  /** Roles of other strips whose drive can't be read anyway. */
  #rolesGone(at: StripAddressing): number[] {
    const { level } = this.#geometry;
    const isThere = (role: number): boolean => this.#group.readable(level.positionOf(at.stripe, role, 0), at.zone) !== undefined;
    return level.roles.filter((role) => role !== at.column && !isThere(role));
  }

  /** Whether the strip of a role is there and, as far as its header covers it, whole. */
  async #readRole(
    at: StripAddressing,
    role: number,
    address: Address,
    late: Promise<void>[],
  ): Promise<"sound" | "unsound" | "gone"> {
    const place = stripPlace(this.#geometry, at.zone, at.stripe, role);
    if (!(await this.#readFrom(place.position, at, address, late))) return "gone";
    if (stripIsSound(this.#global, address, this.#geometry.shape, place)) return "sound";
    // Its own sums say so.
    this.blame(place.position, at);
    return "unsound";
  }

  /** False: the strip can't be had from this drive. A drive that is gone is lost; a bad strip alone does not fail it. */
  async #readFrom(
    position: number,
    at: { zone: number; stripe: number; mayLack?: boolean | undefined },
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
        mayLack: at.mayLack,
      });
      return true;
    } catch (error) {
      const { landed } = await this.#failed(position, drive, error);
      if (landed !== undefined) late.push(landed);
      return false;
    }
  }

  /** In an object, as a promise that is returned by itself would be waited for. */
  async #failed(position: number, drive: Drive, error: unknown): Promise<ReadFailure> {
    if (isFenced(error)) throw error;
    if (!(error instanceof DriveError)) return FAILED;
    if (error.kind !== "notFound" && error.kind !== "unrecoveredRead") {
      try {
        await this.#group.lose(position, error, drive);
      } catch (cause) {
        // A refusal to record the loss must not look like one to read: the late drive still has the memory.
        if (error.landed === undefined) throw cause;
        throw new Error("the loss of a late drive can't be recorded", { cause });
      }
    }
    return { landed: error.landed };
  }
}
