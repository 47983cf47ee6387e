/**
 * The drives of one RAID group: who is there, who is trusted, and what happens when one fails.
 *
 * A drive that missed a write is never trusted again until it is rebuilt. So before anything that it missed can be
 * acknowledged or mapped, its failure is recorded on the drives that remain (`onMemberLost`). A full disk below a drive is waited for.
 *
 *   online ⇄ predictive ──lose──▶ failed | missing          written: online, predictive, rebuilding
 *   rebuilding ──lose──▶ failed | missing                   read: online, predictive; rebuilding, the zones that it has whole
 *       ▲ replace: another drive takes the position                and of the others those that its former drive has
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Members are read only as `readable` says, and written only as `writable` says.
 *  2. A member that `lose` took out does not come back as "online" while the pool is open but by a rebuild.
 *  3. When new stripes would not survive what can't be written, the group is failed: nothing is written to the drives.
 *  4. Nothing is ever written to a group that is for reading only: no position is writable, and it counts as failed.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import type { RaidLevel } from "./raid-level.ts";

/**
 * predictive: does what it must, but a spare should be built from it. rebuilding: gets every write, and what it missed.
 * missing, failed, foreign: out, with a reason.
 */
export type MemberState = "online" | "predictive" | "rebuilding" | "missing" | "failed" | "foreign";

/** Whether a member has everything that was written. */
export function isTrusted(state: MemberState): boolean {
  return state === "online" || state === "predictive";
}

/** Whether a member gets what is written. */
export function isWritable(state: MemberState): boolean {
  return isTrusted(state) || state === "rebuilding";
}

export interface Member {
  readonly position: number;
  readonly name: string;
  readonly driveId: string;
  state: MemberState;
  reason: string | undefined;
  /** Present while the drive can be talked to. */
  drive: Drive | undefined;
  /** Of a rebuilding one: whether it has the zone whole. */
  hasZone?(zone: number): boolean;
  /** Of a rebuilding one: it has all of the map by now. */
  hasMap?: boolean;
  /**
   * Of a rebuilding one: the drive that held the position, which is read for what this one lacks, and written no more; but for
   * the map's changes, as long as this one has not all of the map.
   */
  former?: FormerDrive | undefined;
}

export interface FormerDrive {
  readonly name: string;
  readonly driveId: string;
  /** Undefined while it can't be reached: what only it has is not given up. */
  drive: Drive | undefined;
  /** It has all of the map, and gets its changes. */
  hasMap: boolean;
  hasZone(zone: number): boolean;
}

export interface RaidGroupHooks {
  /** Puts it on record, on the drives that remain, that a member is out. */
  readonly onMemberLost: (member: Member) => Promise<void>;
  /** The same, of the drive that a member is built from. */
  readonly onFormerLost?: (member: Member, former: FormerDrive, error: unknown) => Promise<void>;
  /** A member has no room below it: tells people, and resolves when it is worth another try. */
  readonly onNoSpace: (member: Member) => Promise<void>;
  /** What a member returned is not what was written there. */
  readonly onMismatch?: (member: Member) => void;
  /** Members are read, and never written (readonly-pool.ts). */
  readonly readOnly?: boolean;
}

export class RaidGroup {
  readonly level: RaidLevel;
  readonly isReadOnly: boolean;
  readonly #members: Member[];
  readonly #hooks: RaidGroupHooks;
  readonly #losing = new Map<number, Promise<void>>();
  readonly #losingFormers = new WeakMap<Drive, Promise<void>>();
  #waitingForRoom = 0;
  readonly #waitingBehind = new Map<Drive, Set<() => void>>();

  constructor(members: readonly Member[], level: RaidLevel, hooks: RaidGroupHooks) {
    this.#members = [...members];
    this.level = level;
    this.#hooks = hooks;
    this.isReadOnly = hooks.readOnly === true;
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  /** Another drive takes the position. What the one before it does from now on says nothing about this one. */
  replace(member: Member): void {
    this.#losing.delete(member.position);
    this.#members[member.position] = member;
  }

  /** The drive at a position if it has everything: for what lies outside of zones. */
  trusted(position: number): Drive | undefined {
    const member = this.members[position];
    return member !== undefined && isTrusted(member.state) ? member.drive : undefined;
  }

  /** The drive of a position that has all of the map, at one of those that get it. */
  withMap(position: number): Drive | undefined {
    const member = this.members[position];
    if (member === undefined) return undefined;
    if (isTrusted(member.state) || (member.state === "rebuilding" && member.hasMap === true)) return member.drive;
    return this.formerWithMap(position);
  }

  /** The former drive of a position, if that is what has all of the map. */
  formerWithMap(position: number): Drive | undefined {
    const member = this.members[position];
    const isNeeded = member?.former?.hasMap === true && !(isWritable(member.state) && member.hasMap === true);
    return isNeeded ? member.former!.drive : undefined;
  }

  /** The drive at a position if it gets what is written. */
  writable(position: number): Drive | undefined {
    if (this.isReadOnly) return undefined;
    const member = this.members[position];
    return member !== undefined && isWritable(member.state) ? member.drive : undefined;
  }

  /** The drive at a position if what was written to the zone can be read from it. */
  readable(position: number, zone: number): Drive | undefined {
    const member = this.members[position];
    if (member === undefined) return undefined;
    if (isTrusted(member.state)) return member.drive;
    if (member.state !== "rebuilding") return undefined;
    if (member.hasZone?.(zone) === true) return member.drive;
    return member.former?.hasZone(zone) === true ? member.former.drive : undefined;
  }

  trustedMembers(): Member[] {
    return this.members.filter((member) => isTrusted(member.state) && member.drive !== undefined);
  }

  /** Positions of which not everything is there, on the drive or on the one that held it before. */
  get lostCount(): number {
    let lost = 0;
    for (const member of this.#members) {
      const isThere = this.trusted(member.position) !== undefined;
      if (!isThere && (member.state !== "rebuilding" || member.former?.drive === undefined)) lost += 1;
    }
    return lost;
  }

  get state(): "optimal" | "degraded" | "failed" {
    if (this.isReadOnly) return "failed";
    if (this.lostCount === 0) return "optimal";
    const unwritten = this.positions.filter((position) => this.writable(position) === undefined);
    return this.level.survives(unwritten) ? "degraded" : "failed";
  }

  /** Whether a drive is away that may be put back, with what it had. One that failed is not taken again by itself. */
  get mayComeBack(): boolean {
    return this.#members.some(({ state, former }) => state === "missing" || state === "foreign" || isAway(former));
  }

  /** Operations that wait until there is room again below a drive. */
  get waitingForRoom(): number {
    return this.#waitingForRoom;
  }

  /** What was read at this position is not what was written there. */
  mismatch(position: number): void {
    this.#hooks.onMismatch?.(this.members[position]!);
  }

  /** Whether everything could be had without this member, from drives that have all of what is theirs. */
  canDoWithout(position: number): boolean {
    const untrusted = this.positions.filter((other) => other === position || this.trusted(other) === undefined);
    return this.level.survives(untrusted);
  }

  /**
   * A drive did not do what it must: it is out. Resolves when that is on record, so that the caller may go on without
   * it. Rejects when the record can't be made (then the pool can't go on either).
   * @param drive - which drive it was, where the position may have another by now
   */
  lose(position: number, error: unknown, drive?: Drive): Promise<void> {
    const member = this.#members[position]!;
    if (drive !== undefined && drive !== member.drive) return this.#loseFormer(member, error, drive);
    const pending = this.#losing.get(position);
    if (pending !== undefined) return pending;
    if (!isWritable(member.state)) return Promise.resolve();
    if (isFenced(error)) return Promise.reject(error as DriveError);
    member.state = error instanceof DriveError && error.kind === "unreachable" ? "missing" : "failed";
    member.reason = error instanceof Error ? error.message : String(error);
    const recorded = this.#hooks.onMemberLost(member);
    this.#losing.set(position, recorded);
    return recorded;
  }

  /** One that is only out of reach is waited for; what another had alone is rebuilt from the others. */
  #loseFormer(member: Member, error: unknown, drive: Drive): Promise<void> {
    const { former } = member;
    if (former === undefined || drive !== former.drive) return this.#losingFormers.get(drive) ?? Promise.resolve();
    if (isFenced(error)) return Promise.reject(error as DriveError);
    setAway(former);
    if (!(error instanceof DriveError && error.kind === "unreachable")) member.former = undefined;
    const recorded = this.#hooks.onFormerLost?.(member, former, error) ?? Promise.resolve();
    this.#losingFormers.set(drive, recorded);
    return recorded;
  }

  /**
   * Does `operation` on every member that is written, and counts it as done when the group still works afterwards. Members
   * that fail are lost, on record, before this resolves.
   * @throws Error when more members are lost than the level tolerates
   */
  async onEach(positions: readonly number[], operation: (drive: Drive, position: number) => Promise<void>): Promise<void> {
    this.#mustWork();
    const work: Promise<void>[] = [];
    for (const position of positions) {
      const drive = this.writable(position);
      if (drive !== undefined) {
        work.push(this.#attempt(drive, position, operation).then((error) => this.#lostBy(position, error, drive)));
        continue;
      }
      // Whoever goes on without a drive waits, as who lost it does, until that is on record.
      const recording = this.#losing.get(position);
      if (recording !== undefined) work.push(recording);
    }
    await Promise.all(work);
    this.#mustWork();
  }

  /**
   * As `onEach`, but waits for no record: for writing the record itself, and what shares its lock. Only where nothing
   * that a lost drive misses can be acknowledged or mapped.
   */
  async onEachUnrecorded(
    positions: readonly number[],
    operation: (drive: Drive, position: number) => Promise<void>,
  ): Promise<void> {
    this.#mustWork();
    const work: Promise<void>[] = [];
    for (const position of positions) {
      const drive = this.writable(position);
      if (drive === undefined) continue;
      const attempt = this.#attempt(drive, position, operation).then((error) => {
        // A record that can't be made fails those who wait for it in `onEach`.
        this.#lostBy(position, error, drive).catch(() => undefined);
      });
      work.push(attempt);
    }
    await Promise.all(work);
    this.#mustWork();
  }

  /** `operation` on the drive that the member of a position is built from: lost, on record, if it fails. */
  async onFormer(position: number, drive: Drive, operation: (drive: Drive, position: number) => Promise<void>): Promise<void> {
    const error = await this.#attempt(drive, position, operation);
    if (error !== undefined) await this.lose(position, error, drive);
  }

  /**
   * Invariant 3. A record that is written without more drives than can be lost would keep them out once they are back.
   * @throws GroupFailedError
   */
  #mustWork(): void {
    if (this.state === "failed") throw new GroupFailedError(this);
  }

  /**
   * Resolves to why the member is lost, if it is. A full disk is no fault of the drive's: nothing was written, and the
   * same operation is tried again until there is room. Meanwhile dirty blocks pile up, and hosts wait.
   */
  async #attempt(drive: Drive, position: number, operation: (drive: Drive, position: number) => Promise<void>): Promise<unknown> {
    let waits = false;
    try {
      for (;;) {
        try {
          await operation(drive, position);
          return undefined;
        } catch (error) {
          // Another owner has the drive: that says nothing against the drive, and ends us here.
          if (isFenced(error)) throw error;
          if (!(error instanceof DriveError && error.kind === "noSpace")) return error ?? new Error("unknown");
          if (!waits) this.#waitingForRoom += 1;
          waits = true;
          await this.#room(drive, position);
          // Judged bad meanwhile: nobody goes on waiting for it.
          const { former } = this.#members[position]!;
          if (this.writable(position) !== drive && former?.drive !== drive) return error;
        }
      }
    } finally {
      if (waits) {
        this.#waitingForRoom -= 1;
        // What lies behind it on the drive could not be done before it.
        for (const tryAgain of this.#waitingBehind.get(drive) ?? []) tryAgain();
      }
    }
  }

  /** Resolves when it is worth another try: people say so, some time has passed, or another that waited for the drive has ended. */
  async #room(drive: Drive, position: number): Promise<void> {
    const waiting = this.#waitingBehind.get(drive) ?? new Set();
    this.#waitingBehind.set(drive, waiting);
    let tryAgain = (): void => undefined;
    const anotherEnded = new Promise<void>((resolve) => {
      tryAgain = resolve;
    });
    waiting.add(tryAgain);
    try {
      await Promise.race([this.#hooks.onNoSpace(this.members[position]!), anotherEnded]);
    } finally {
      waiting.delete(tryAgain);
    }
  }

  #lostBy(position: number, error: unknown, drive: Drive): Promise<void> {
    return error === undefined ? Promise.resolve() : this.lose(position, error, drive);
  }

  get positions(): number[] {
    return this.members.map((member) => member.position);
  }
}

/** A former drive that can't be reached, and may be put back. */
export function isAway(former: FormerDrive | undefined): boolean {
  return former !== undefined && former.drive === undefined;
}

/** It can't be reached: it is not read, and misses what changes of the map. */
export function setAway(former: FormerDrive): void {
  former.drive = undefined;
  former.hasMap = false;
}

/** A newer owner has taken the drive, or no drive of the pool can be reached: the pool ends here, and no drive is to blame. */
export function isFenced(error: unknown): boolean {
  return error instanceof DriveError && (error.kind === "fenced" || error.threadLost === true);
}

/** The pool ends here as its drives can't be reached, each and all: they are as they were once there is a way to them. */
export function isPathLost(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1)
    if (at instanceof DriveError && at.threadLost === true) return true;
  return false;
}

/** More members are lost than the group can do without. */
export function isGroupFailed(error: unknown): boolean {
  for (let at = error, depth = 0; at instanceof Error && depth < 4; at = at.cause, depth += 1)
    if (at instanceof GroupFailedError) return true;
  return false;
}

export class GroupFailedError extends Error {
  constructor(group: RaidGroup) {
    const lost = group.members.filter((member) => !isWritable(member.state));
    super(
      `${lost.length} drives are lost, ${group.level.tolerance} can be: ${lost.map((member) => `${member.name} (${member.state})`).join(", ")}`,
    );
    this.name = "GroupFailedError";
  }
}
