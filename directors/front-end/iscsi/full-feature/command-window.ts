/**
 * CmdSN, ExpCmdSN, MaxCmdSN (RFC 7143 §4.2.2.1): which commands may come, and in which order they are delivered.
 *
 * Runs on: the director's thread; one for each session.
 * Invariants:
 *  1. MaxCmdSN − ExpCmdSN + 1 + active === size: the window closes as commands run, and MaxCmdSN never goes back.
 *  2. A command ahead of ExpCmdSN is kept (at most `size` of them) until the gap before it is filled: on one connection a gap
 *     is a PDU that was discarded for its data digest, which its initiator may send again.
 */
import { addSN, distanceSN, nextSN } from "../serial-number.ts";

export type CommandPlace = "next" | "ahead" | "outside";

export class CommandWindow {
  readonly size: number;
  expCmdSN: number;
  /** Non-immediate SCSI commands delivered and not yet answered. */
  active = 0;
  #heldCount = 0;
  readonly #held = new Map<number, () => void>();

  constructor(size: number, firstCmdSN: number) {
    this.size = size;
    this.expCmdSN = firstCmdSN;
  }

  get maxCmdSN(): number {
    return addSN(this.expCmdSN, this.size - this.active - 1);
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  place(cmdSN: number): CommandPlace {
    if (cmdSN === this.expCmdSN) return this.size > this.active ? "next" : "outside";
    if (distanceSN(cmdSN, this.expCmdSN) < 0 || distanceSN(cmdSN, this.maxCmdSN) > 0) return "outside";
    return this.#held.has(cmdSN) ? "outside" : "ahead";
  }

  /** The expected command was received. */
  advance(): void {
    this.expCmdSN = nextSN(this.expCmdSN);
  }

  hold(cmdSN: number, deliver: () => void): void {
    this.#held.set(cmdSN, deliver);
    this.#heldCount = this.#held.size;
  }

  /** Delivers what waited behind the command that has just come. */
  deliverHeld(): void {
    while (this.#heldCount > 0) {
      const deliver = this.#held.get(this.expCmdSN);
      if (deliver === undefined) return;
      this.#held.delete(this.expCmdSN);
      this.#heldCount = this.#held.size;
      this.advance();
      deliver();
    }
  }

  clear(): void {
    this.#held.clear();
    this.#heldCount = 0;
  }
}
