/**
 * State of one logical unit that hosts can tell: task set, unit attentions of each nexus, reservation, pending resets.
 *
 * Runs on: the owning director's thread. Owns: all of it (architecture.md invariant 5: it lives at the owner only), and the
 * volume's row in global memory, from which the next owner goes on: reservation, and for each nexus what it is to be told.
 * Invariants:
 *  1. A nexus that the unit has not met has exactly one unit attention pending: POWER ON.
 *  2. A reset ends only when every command that was in the task set at its arrival has ended.
 *  3. No state of a nexus outlives `forgetNexus`, but for commands of it that still run.
 *  4. The row has a change before anything is answered that follows from it. What a nexus was told leaves the row with its
 *     next command only: an owner that dies with the answer has it told again, rather than never.
 */
import { NO_SLOT, type UnitRow } from "../../drivers/shared-memory/unit-table.ts";
import type { VolumeNumber } from "../volume/block-io.ts";
import type { Command } from "./command.ts";
import type { NexusNumber } from "./task.ts";
import { TaskSet } from "./task-set.ts";
import { type UnitAttention, type UnitAttentionSet, withoutFirst, withUnitAttention } from "./unit-attention.ts";

export class UnitNexus {
  readonly nexus: NexusNumber;
  readonly #row: UnitRow | undefined;
  #slot: number;
  #attentions: UnitAttentionSet;
  #inRow: UnitAttentionSet;

  constructor(nexus: NexusNumber, row: UnitRow | undefined, slot: number, attentions: UnitAttentionSet) {
    this.nexus = nexus;
    this.#row = row;
    this.#slot = slot;
    this.#attentions = attentions;
    this.#inRow = attentions;
  }

  /** Conditions that it is to be told of. */
  get attentions(): UnitAttentionSet {
    return this.#attentions;
  }

  raise(condition: UnitAttention): void {
    this.#attentions = withUnitAttention(this.#attentions, condition);
    this.#write(withUnitAttention(this.#inRow, condition));
  }

  /** It is told of the first. */
  tellFirst(): void {
    this.#attentions = withoutFirst(this.#attentions);
  }

  /** Its next command came: what it was told before, it has heard. */
  heard(): void {
    if (this.#inRow !== this.#attentions) this.#write(this.#attentions);
  }

  /** Its slot is another's from now on, whatever commands of it still run. */
  forget(): void {
    this.#row?.remove(this.#slot);
    this.#slot = NO_SLOT;
  }

  #write(attentions: UnitAttentionSet): void {
    this.#inRow = attentions;
    this.#row?.put(this.#slot, this.nexus, attentions);
  }
}

/** A reset that waits. There is one for each task management request that a transport has open, which it bounds. */
interface PendingReset {
  /** Commands that entered before this generation must end. */
  readonly generation: number;
  remaining: number;
  readonly done: () => void;
}

export const NO_RESERVATION = -1;

export class LogicalUnit {
  readonly volume: VolumeNumber;
  readonly tasks = new TaskSet<Command>();
  /** Raised by each reset: tells older commands from younger ones. */
  generation = 0;
  /** The loop that starts waiting commands is running further up the stack. */
  starting = false;
  readonly #nexuses = new Map<NexusNumber, UnitNexus>();
  readonly #resets: PendingReset[] = [];
  readonly #row: UnitRow | undefined;
  #reservation: NexusNumber = NO_RESERVATION;

  constructor(volume: VolumeNumber, row?: UnitRow) {
    this.volume = volume;
    this.#row = row;
  }

  /**
   * Goes on with what an owner before left in the row. What belongs to a nexus that is gone is dropped.
   * @param isOpen - whether the nexus is there
   */
  restore(isOpen: (nexus: NexusNumber) => boolean): void {
    const row = this.#row;
    if (row === undefined) return;
    for (const { slot, nexus, attentions } of row.nexuses()) {
      if (isOpen(nexus)) this.#nexuses.set(nexus, new UnitNexus(nexus, row, slot, attentions));
      else row.remove(slot);
    }
    const { reservation } = row;
    if (reservation !== NO_RESERVATION && isOpen(reservation)) this.#reservation = reservation;
    else row.reservation = NO_RESERVATION;
  }

  /** Nexus that holds the reservation of RESERVE(6) or (10). */
  get reservation(): NexusNumber {
    return this.#reservation;
  }

  set reservation(nexus: NexusNumber) {
    if (this.#row !== undefined) this.#row.reservation = nexus;
    this.#reservation = nexus;
  }

  nexus(nexus: NexusNumber): UnitNexus {
    let state = this.#nexuses.get(nexus);
    if (state === undefined) {
      const attentions = withUnitAttention(0, "powerOnOrReset");
      state = new UnitNexus(nexus, this.#row, this.#row?.add(nexus, attentions) ?? NO_SLOT, attentions);
      this.#nexuses.set(nexus, state);
    }
    return state;
  }

  /** I_T nexus loss (SAM-5 §6.3.4): reservation and unit attentions go. */
  forgetNexus(nexus: NexusNumber): void {
    this.#nexuses.get(nexus)?.forget();
    this.#nexuses.delete(nexus);
    if (this.reservation === nexus) this.reservation = NO_RESERVATION;
  }

  /** Raises a unit attention for every nexus, but for the one that caused it. */
  raise(condition: UnitAttention, except: NexusNumber = -1): void {
    for (const state of this.#nexuses.values()) if (state.nexus !== except) state.raise(condition);
  }

  reservedByOther(nexus: NexusNumber): boolean {
    return this.reservation !== NO_RESERVATION && this.reservation !== nexus;
  }

  /** LOGICAL UNIT RESET (SAM-5 §6.3.3); `done` once the commands that are in have ended. */
  reset(done: () => void): void {
    this.generation += 1;
    this.#resets.push({ generation: this.generation, remaining: this.tasks.count, done });
    this.finishResets();
  }

  /** A command that entered in `generation` has ended. */
  commandEnded(generation: number): void {
    if (this.#resets.length === 0) return;
    for (const reset of this.#resets) if (generation < reset.generation) reset.remaining -= 1;
  }

  finishResets(): void {
    while (this.#resets.length > 0 && this.#resets[0]!.remaining === 0) {
      const { done } = this.#resets.shift()!;
      this.reservation = NO_RESERVATION;
      this.raise("busDeviceReset");
      done();
    }
  }
}
