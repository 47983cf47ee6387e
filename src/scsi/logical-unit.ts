/**
 * State of one logical unit that hosts can tell: task set, unit attentions of each nexus, reservation, pending resets.
 *
 * Runs on: the owning director's thread. Owns: all of it (architecture.md invariant 5: it lives at the owner only).
 * Invariants:
 *  1. A nexus that the unit has not met has exactly one unit attention pending: POWER ON.
 *  2. A reset ends only when every command that was in the task set at its arrival has ended.
 *  3. No state of a nexus outlives `forgetNexus`, but for commands of it that still run.
 */
import type { VolumeNumber } from "../volume/block-io.ts";
import type { Command } from "./command.ts";
import type { NexusNumber } from "./task.ts";
import { TaskSet } from "./task-set.ts";
import { type UnitAttention, type UnitAttentionSet, withUnitAttention } from "./unit-attention.ts";

export interface UnitNexus {
  readonly nexus: NexusNumber;
  attentions: UnitAttentionSet;
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
  /** Nexus that holds the reservation of RESERVE(6) or (10). */
  reservation: NexusNumber = NO_RESERVATION;
  /** Raised by each reset: tells older commands from younger ones. */
  generation = 0;
  /** The loop that starts waiting commands is running further up the stack. */
  starting = false;
  readonly #nexuses = new Map<NexusNumber, UnitNexus>();
  readonly #resets: PendingReset[] = [];

  constructor(volume: VolumeNumber) {
    this.volume = volume;
  }

  nexus(nexus: NexusNumber): UnitNexus {
    let state = this.#nexuses.get(nexus);
    if (state === undefined) {
      state = { nexus, attentions: withUnitAttention(0, "powerOnOrReset") };
      this.#nexuses.set(nexus, state);
    }
    return state;
  }

  /** I_T nexus loss (SAM-5 §6.3.4): reservation and unit attentions go. */
  forgetNexus(nexus: NexusNumber): void {
    this.#nexuses.delete(nexus);
    if (this.reservation === nexus) this.reservation = NO_RESERVATION;
  }

  /** Raises a unit attention for every nexus, but for the one that caused it. */
  raise(condition: UnitAttention, except: NexusNumber = -1): void {
    for (const state of this.#nexuses.values()) {
      if (state.nexus !== except) state.attentions = withUnitAttention(state.attentions, condition);
    }
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
