/**
 * Looks after the drives of a pool that nobody uses at the moment, and acts on what DriveHealth says of the others.
 *
 *   every second: each drive that has not been asked for a while is asked whether it is there ──no──▶ lost, on record
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
import type { PoolParts } from "./pool-parts.ts";

const QUESTION_SECONDS = 5;

export class DriveWatch {
  readonly #parts: PoolParts;
  readonly #health: DriveHealth;
  readonly #record: () => Promise<void>;
  readonly #asked = new Set<Member>();
  #ticks = 0;
  #stopped = false;

  /** @param record - puts the members' states on record */
  constructor(parts: PoolParts, record: () => Promise<void>) {
    this.#parts = parts;
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
    this.#ticks += 1;
  }

  /** A drive is there that answers at all; what it answers wrong shows when it is used. */
  #ask(member: Member): void {
    const { drive } = member;
    if (drive === undefined || this.#asked.has(member)) return;
    this.#asked.add(member);
    drive
      .flush()
      .catch((error: unknown) => {
        if (this.#stopped || this.#parts.health.failed) return;
        if (isPathLost(error) || !(error instanceof DriveError)) throw error;
        if (isFenced(error)) return;
        this.#lose(member, error);
      })
      .catch((error: unknown) => this.#parts.health.fail(error))
      .finally(() => this.#asked.delete(member));
  }

  #judge(member: Member): void {
    const verdict = this.#health.verdict(member.name);
    if (verdict === undefined) return;
    const { group } = this.#parts;
    if (verdict.state === "failed" && group.canLose(member.position)) {
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
