/**
 * The drives of one RAID group: who is there, who is trusted, and what happens when one fails.
 *
 * A drive that missed a write is never trusted again until it is rebuilt. So before anything that it missed can be
 * acknowledged or mapped, its failure is recorded on the drives that remain (`onMemberLost`). A full disk below a drive is waited for.
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Only "online" members are read or written.
 *  2. A member leaves "online" only by `lose`, once, and does not come back while the pool is open.
 *  3. With more members lost than the level tolerates, the group is failed: nothing is served from the drives.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";

export type MemberState = "online" | "missing" | "failed" | "foreign";

export interface Member {
  readonly position: number;
  readonly name: string;
  readonly driveId: string;
  state: MemberState;
  reason: string | undefined;
  /** Present while the drive can be talked to. */
  drive: Drive | undefined;
}

export interface RaidGroupHooks {
  /** Puts it on record, on the drives that remain, that a member is out. */
  readonly onMemberLost: (member: Member) => Promise<void>;
  /** A member has no room below it: tells people, and resolves when it is worth another try. */
  readonly onNoSpace: (member: Member) => Promise<void>;
}

export class RaidGroup {
  readonly members: readonly Member[];
  /** Drives that may be lost: 1 for RAID-5. */
  readonly tolerance: number;
  readonly #hooks: RaidGroupHooks;
  readonly #losing = new Map<number, Promise<void>>();

  constructor(members: readonly Member[], tolerance: number, hooks: RaidGroupHooks) {
    this.members = members;
    this.tolerance = tolerance;
    this.#hooks = hooks;
  }

  /** The drive at a position if it is trusted. */
  drive(position: number): Drive | undefined {
    const member = this.members[position];
    return member?.state === "online" ? member.drive : undefined;
  }

  onlineMembers(): Member[] {
    return this.members.filter((member) => member.state === "online" && member.drive !== undefined);
  }

  get lostCount(): number {
    return this.members.length - this.onlineMembers().length;
  }

  get state(): "optimal" | "degraded" | "failed" {
    if (this.lostCount === 0) return "optimal";
    return this.lostCount <= this.tolerance ? "degraded" : "failed";
  }

  /**
   * A drive did not do what it must: it is out. Resolves when that is on record, so that the caller may go on without
   * it. Rejects when the record can't be made (then the pool can't go on either).
   */
  lose(position: number, error: unknown): Promise<void> {
    const pending = this.#losing.get(position);
    if (pending !== undefined) return pending;
    const member = this.members[position]!;
    if (member.state !== "online") return Promise.resolve();
    member.state = error instanceof DriveError && error.kind === "unreachable" ? "missing" : "failed";
    member.reason = error instanceof Error ? error.message : String(error);
    const recorded = this.#hooks.onMemberLost(member);
    this.#losing.set(position, recorded);
    return recorded;
  }

  /**
   * Does `operation` on every online member, and counts it as done when the group still works afterwards. Members
   * that fail are lost, on record, before this resolves.
   * @throws Error when more members are lost than the level tolerates
   */
  async onEach(positions: readonly number[], operation: (drive: Drive, position: number) => Promise<void>): Promise<void> {
    const work: Promise<void>[] = [];
    for (const position of positions) {
      const drive = this.drive(position);
      if (drive !== undefined) {
        work.push(this.#attempt(drive, position, operation).then((error) => this.#lostBy(position, error)));
        continue;
      }
      // Whoever goes on without a drive waits, as who lost it does, until that is on record.
      const recording = this.#losing.get(position);
      if (recording !== undefined) work.push(recording);
    }
    await Promise.all(work);
    if (this.state === "failed") throw new GroupFailedError(this);
  }

  /**
   * As `onEach`, but waits for no record: for writing the record itself, and what shares its lock. Only where nothing
   * that a lost drive misses can be acknowledged or mapped.
   */
  async onEachUnrecorded(
    positions: readonly number[],
    operation: (drive: Drive, position: number) => Promise<void>,
  ): Promise<void> {
    const work: Promise<void>[] = [];
    for (const position of positions) {
      const drive = this.drive(position);
      if (drive === undefined) continue;
      const attempt = this.#attempt(drive, position, operation).then((error) => {
        // A record that can't be made fails those who wait for it in `onEach`.
        this.#lostBy(position, error).catch(() => undefined);
      });
      work.push(attempt);
    }
    await Promise.all(work);
    if (this.state === "failed") throw new GroupFailedError(this);
  }

  /**
   * Resolves to why the member is lost, if it is. A full disk is no fault of the drive's: nothing was written, and the
   * same operation is tried again until there is room. Meanwhile dirty blocks pile up, and hosts wait.
   */
  async #attempt(drive: Drive, position: number, operation: (drive: Drive, position: number) => Promise<void>): Promise<unknown> {
    for (;;) {
      try {
        await operation(drive, position);
        return undefined;
      } catch (error) {
        // Another owner has the drive: that says nothing against the drive, and ends us here.
        if (isFenced(error)) throw error;
        if (!(error instanceof DriveError && error.kind === "noSpace")) return error ?? new Error("unknown");
        await this.#hooks.onNoSpace(this.members[position]!);
      }
    }
  }

  #lostBy(position: number, error: unknown): Promise<void> {
    return error === undefined ? Promise.resolve() : this.lose(position, error);
  }

  get positions(): number[] {
    return this.members.map((member) => member.position);
  }
}

/** A newer owner has taken the drive. */
export function isFenced(error: unknown): boolean {
  return error instanceof DriveError && error.kind === "fenced";
}

export class GroupFailedError extends Error {
  constructor(group: RaidGroup) {
    const lost = group.members.filter((member) => member.state !== "online");
    super(
      `${lost.length} drives are lost, ${group.tolerance} can be: ${lost.map((member) => `${member.name} (${member.state})`).join(", ")}`,
    );
    this.name = "GroupFailedError";
  }
}
