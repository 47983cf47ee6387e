/**
 * The drives of a pool that are no members: spares, drives that were replaced, and new ones in a lost member's place.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. A drive is taken as a spare only if it never was anything else, or belonged to this pool: what another pool left on a
 *     drive is never wiped.
 *  2. A drive holds nothing when it becomes a member but what is written to it from then on (`wipe`).
 *  3. A drive that may still do something that it was asked for is no spare: not before the next epoch, which fences that.
 */
import type { Drive } from "../../drivers/drive/drive.ts";
import { DriveError } from "../../drivers/drive/drive.ts";
import type { DriveStatus } from "../control/contract.ts";
import { decodeDocument, deleteRange } from "../map/metadata-store.ts";
import { isFenced, type Member } from "../raid/raid-group.ts";
import { POOL_KEY, type PoolDocument } from "./pool-document.ts";
import type { PoolParts } from "./pool-parts.ts";

/**
 * member: not for the shelf to give away. foreign: a member in whose place was another drive; neither for the shelf, if it has
 * the pool's record, and looked at like any other if not. retired: failed as a member, and is not taken again by itself.
 */
type KnownAs = "member" | "foreign" | "retired";

/** All keys: printable ASCII. */
const ALL_KEYS = { from: " ", below: "~" } as const;

export interface ShelfDrive {
  readonly name: string;
  /** The position whose drive this place is for; −1: a spare's place. */
  readonly home: number;
  readonly drive: Drive | undefined;
  driveId: string;
  capacityBytes: number;
  /** spare: may be taken. used: it is a member now. Others: out, with a reason. */
  state: "spare" | "used" | "failed" | "missing" | "foreign";
  reason: string | undefined;
  /** Something of this pool that it had as a member: to be wiped before it is of use. */
  holdsOld: boolean;
  /** Its disk was full: it is not tried again before this time. */
  fullUntil?: number;
  /** Under that epoch this drive did not say whether something was done that it was asked for: it may be done yet. */
  unsettled?: { readonly driveId: string; readonly epoch: number };
}

export class DriveShelf {
  readonly drives: readonly ShelfDrive[];
  readonly #poolId: string;

  /** @param members - as the pool opens: their drives are used */
  constructor(drives: readonly ShelfDrive[], poolId: string) {
    this.drives = drives;
    this.#poolId = poolId;
  }

  named(name: string): ShelfDrive | undefined {
    return this.drives.find((drive) => drive.name === name);
  }

  /** Of a member, or of a drive that was one. */
  of(drive: Drive): ShelfDrive | undefined {
    return this.drives.find((candidate) => candidate.drive === drive);
  }

  /** Those that stand by and may be tried now. */
  ready(nowMilliseconds: number): ShelfDrive[] {
    return this.drives.filter(({ state, fullUntil = nowMilliseconds }) => state === "spare" && fullUntil <= nowMilliseconds);
  }

  /** A drive for a position: one in its own place rather than a spare. */
  freeFor(position: number, nowMilliseconds: number): ShelfDrive | undefined {
    const free = this.ready(nowMilliseconds);
    return free.find(({ home }) => home === position) ?? free.find(({ home }) => home < 0);
  }

  get spareCount(): number {
    return this.drives.filter(({ state }) => state === "spare").length;
  }

  /**
   * Looks who is in a place that no member is in: after a start, and when people put a drive there.
   * @param known - what the pool knows of an identity
   */
  async look(shelf: ShelfDrive, epoch: number, known: (driveId: string) => KnownAs | undefined): Promise<void> {
    const { drive } = shelf;
    if (drive === undefined) return;
    try {
      const { driveId, capacityBytes } = await drive.identify();
      await drive.open(epoch);
      shelf.driveId = driveId;
      shelf.capacityBytes = capacityBytes;
      if (known(driveId) === "member") return;
      if (shelf.unsettled?.driveId === driveId && shelf.unsettled.epoch === epoch) {
        set(shelf, "failed", "it has not said whether it was wiped: it is looked at again after the next start");
        return;
      }
      const document = await documentOn(drive);
      const zones = await drive.listZones();
      // It may have become a member meanwhile.
      const role = known(driveId);
      if (role === "member") return;
      if (role === "foreign" && document?.poolId === this.#poolId) set(shelf, "missing", undefined);
      else if (document !== undefined && document.poolId !== this.#poolId) {
        set(shelf, "foreign", `it is a drive of pool ${document.name}, or of another array`);
      } else if (document === undefined && zones.length > 0) {
        set(shelf, "foreign", "it holds zones, and no record says whose");
      } else if (role === "retired") set(shelf, "failed", "it was a member, and is to be replaced");
      else set(shelf, "spare", undefined);
      shelf.holdsOld = shelf.state === "spare" && (document !== undefined || zones.length > 0);
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError)) throw error;
      this.erred(shelf, error);
    }
  }

  /** It can't be used: one that is only out of reach, or whose disk is full, is looked at again. */
  erred(shelf: ShelfDrive, { kind, message }: Pick<DriveError, "kind" | "message">): void {
    set(shelf, kind === "unreachable" || kind === "noSpace" ? "missing" : kind === "foreign" ? "foreign" : "failed", message);
  }

  /** One that stood by does no more: people are told, as nobody else would notice until it is wanted. */
  lose(spare: ShelfDrive, error: Pick<DriveError, "kind" | "message">, { name, runtime }: PoolParts): void {
    this.erred(spare, error);
    runtime.raise({
      severity: "warning",
      type: "spare.lost",
      subject: `drive ${spare.name}`,
      message: `pool ${name}: drive ${spare.name} stands by no more (${error.message}); spares left: ${this.spareCount}`,
    });
  }

  /** Makes a drive hold nothing, not even the memory of its zones: it may get any of them. @throws DriveError */
  async wipe(shelf: ShelfDrive, epoch: number): Promise<void> {
    await shelf.drive!.open(epoch);
    for (const { zone } of await shelf.drive!.listZones()) await settled(shelf, epoch, (drive) => drive.resetZone(zone));
    await this.#wipeRest(shelf, epoch);
  }

  /** A step of `wipe`, of a drive that is open: hosts wait no longer than for one zone. @throws DriveError */
  async wipeSome(shelf: ShelfDrive, epoch: number): Promise<void> {
    const [next] = await shelf.drive!.listZones();
    if (next === undefined) await this.#wipeRest(shelf, epoch);
    else await settled(shelf, epoch, (drive) => drive.resetZone(next.zone));
  }

  /** Zones go first: what holds some must say whose they are. */
  async #wipeRest(shelf: ShelfDrive, epoch: number): Promise<void> {
    await settled(shelf, epoch, async (drive) => {
      await deleteRange(drive, ALL_KEYS);
      await drive.forgetZones();
    });
    shelf.holdsOld = false;
  }

  /** Those that are no members. */
  status(members: readonly Member[], zoneCount: number): DriveStatus[] {
    const names = new Set(members.map(({ name }) => name));
    return this.drives
      .filter(({ name, state }) => !names.has(name) && state !== "used")
      .map(({ name, state, reason, capacityBytes }) => ({
        name,
        state: state === "used" ? "spare" : state,
        ...(reason === undefined ? {} : { reason }),
        capacityBytes,
        zonesUsed: 0,
        zoneCount: capacityBytes > 0 ? zoneCount : 0,
      }));
  }
}

/** The pool's document as the drive has it, if it has one. @throws DriveError */
export async function documentOn(drive: Drive): Promise<PoolDocument | undefined> {
  const value = await drive.metadataGet(POOL_KEY);
  return value === undefined ? undefined : (decodeDocument(value) as PoolDocument | undefined);
}

function set(shelf: ShelfDrive, state: ShelfDrive["state"], reason: string | undefined): void {
  shelf.state = state;
  shelf.reason = reason;
}

/** Invariant 3. */
async function settled(shelf: ShelfDrive, epoch: number, change: (drive: Drive) => Promise<void>): Promise<void> {
  try {
    await change(shelf.drive!);
  } catch (error) {
    if (error instanceof DriveError && error.kind === "unknown") shelf.unsettled = { driveId: shelf.driveId, epoch };
    throw error;
  }
}
