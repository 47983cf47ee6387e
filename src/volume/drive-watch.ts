/**
 * Looks after the drives of a pool that nobody uses at the moment, and acts on what DriveHealth says of the others.
 *
 *   every second: each drive that has not been asked for a while is asked whether it is there ──no──▶ lost, on record; a spare: out
 *                 verdict "predictive" ──▶ on record, told to people; served as before
 *                 verdict "failed" ──▶ lost, if the pool can do without it; else as predictive
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. At most one question to each drive is under way.
 *  2. Nothing is put on record once the pool has been stopped.
 *  3. Judgement alone never fails the pool: a drive that it can't do without stays, whatever is held against it.
 */
import { DriveError } from "../../drivers/drive/drive.ts";
import type { DriveHealth } from "../raid/drive-health.ts";
import { isFenced, isPathLost, isWritable, type Member } from "../raid/raid-group.ts";
import type { DriveShelf, ShelfDrive } from "./drive-shelf.ts";
import type { PoolParts } from "./pool-parts.ts";

const QUESTION_SECONDS = 5;

export class DriveWatch {
  readonly #parts: PoolParts;
  readonly #health: DriveHealth;
  readonly #shelf: DriveShelf;
  readonly #record: () => Promise<void>;
  readonly #asked = new Set<Member | ShelfDrive>();
  #ticks = 0;
  #stopped = false;

  /** @param record - puts the members' states on record */
  constructor(parts: PoolParts, shelf: DriveShelf, record: () => Promise<void>) {
    this.#parts = parts;
    this.#shelf = shelf;
    this.#health = parts.driveHealth;
    this.#record = record;
  }

  /** The pool comes to rest here: what its drives answer from now on is its next owner's to judge. */
  stop(): void {
    this.#stopped = true;
  }

  /** Every second. */
  tick(): void {
    const { group, health, runtime } = this.#parts;
    if (health.failed) return;
    this.#health.tick(runtime.nowMilliseconds());
    for (const member of group.members) {
      if (!isWritable(member.state)) continue;
      if (this.#ticks % QUESTION_SECONDS === member.position % QUESTION_SECONDS) this.#ask(member);
      this.#judge(member);
    }
    if (this.#ticks % QUESTION_SECONDS === 0)
      for (const drive of this.#shelf.drives) if (drive.state === "spare") this.#askSpare(drive);
    this.#ticks += 1;
  }

  /** A drive is there that answers at all; what it answers wrong shows when it is used. */
  #ask(member: Member): void {
    this.#question(member, (error) => this.#lose(member, error));
  }

  /** Nobody else would notice, until it is wanted. */
  #askSpare(spare: ShelfDrive): void {
    this.#question(spare, (error) => {
      // Taken meanwhile; or its disk is full, which says nothing against it: what it holds is wiped before it is of use.
      if (spare.state !== "spare" || error.kind === "noSpace") return;
      // One that was late has nothing to do any more that could do harm.
      const kind = error.kind === "unknown" ? "unreachable" : error.kind;
      this.#shelf.lose(spare, { kind, message: error.message }, this.#parts);
    });
  }

  #question(asked: Member | ShelfDrive, lost: (error: DriveError) => void): void {
    const { drive } = asked;
    if (drive === undefined || this.#asked.has(asked)) return;
    this.#asked.add(asked);
    drive
      .flush()
      .catch((error: unknown) => {
        if (this.#stopped || this.#parts.health.failed) return;
        if (isPathLost(error) || !(error instanceof DriveError)) throw error;
        if (!isFenced(error)) lost(error);
      })
      .catch((error: unknown) => this.#parts.health.fail(error))
      .finally(() => this.#asked.delete(asked));
  }

  #judge(member: Member): void {
    const verdict = this.#health.verdict(member.name);
    if (verdict === undefined) return;
    const { group } = this.#parts;
    // One that is being built takes what is new, and lacks what is old; what it is built from may be the next to fail.
    if (verdict.state === "failed" && group.canDoWithout(member.position)) {
      this.#lose(member, new DriveError("unrecoveredRead", member.name, verdict.reason));
    } else if (member.state === "online") this.#suspect(member, verdict.reason);
  }

  #suspect(member: Member, reason: string): void {
    const { name, runtime, health } = this.#parts;
    member.state = "predictive";
    member.reason = reason;
    runtime.raise({
      severity: "warning",
      type: "drive.predictive",
      subject: `drive ${member.name}`,
      message: `drive ${member.name} of pool ${name} should be replaced: ${reason}`,
    });
    this.#record().catch((error: unknown) => health.fail(error));
  }

  /** Another drive may have taken the place meanwhile: that one is not to blame. */
  #lose(member: Member, error: DriveError): void {
    this.#parts.group.lose(member.position, error, member.drive).catch((failure: unknown) => this.#parts.health.fail(failure));
  }
}
