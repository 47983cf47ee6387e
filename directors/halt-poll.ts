/**
 * Stays awake for a moment after a single command, instead of going to sleep, where the next one is known to come soon.
 *
 * A host that waits for each answer sends its next command some 20 to 60 µs later. To wake a sleeping thread costs about as
 * much again, at both ends: an interrupt to another core, and under a hypervisor an exit of the virtual machine. So the event loop goes
 * round without sleeping for a moment, as a hypervisor does before it halts a processor (KVM's halt polling), and only as
 * long as that pays.
 *
 * Runs on: a director's thread; one for each director. Called at the end of each turn that had work.
 * Invariants:
 *  1. It never stays awake for longer than WINDOW_MICROSECONDS after the last command.
 *  2. After a vain poll it lets ever more opportunities pass before it tries again (back-off.ts).
 *  3. It does not poll after several commands at once: where commands queue up, others can use the processor better.
 *  4. While it counts before the first look, which nothing can interrupt, no more than QUIET_MICROSECONDS_MAX go by.
 */
import { BackOff } from "./back-off.ts";

const WINDOW_MICROSECONDS = 60;
/**
 * No command comes within the first third of the time that the last ones took. Not to look then saves garbage (each look makes an
 * Immediate of 0.4 KiB), and by it a third of the collections, which are what the slowest percent of the commands meets.
 */
const QUIET_SHARE = 1 / 3;
const QUIET_MICROSECONDS_MAX = 12;
/** For a clock that stands still. */
const QUIET_COUNTS_MAX = 10_000;
/** The shortest time between commands is forgotten by so much of its distance to each that took longer. */
const FORGETTING = 1 / 64;
const LIGHT_COMMANDS_MAX = 1;

export interface HaltPollOptions {
  /** Commands that came to this director so far, from its hosts and from other directors. */
  commands(): number;
  nowMicroseconds(): number;
  /** Runs its argument after the event loop has looked for I/O once more, without sleeping: setImmediate, but in tests. */
  readonly schedule?: (run: () => void) => void;
}

export class HaltPoll {
  readonly #options: HaltPollOptions;
  readonly #schedule: (run: () => void) => void;
  #seen = 0;
  #polling = false;
  #hit = false;
  #until = 0;
  /** From the end of one command's turn to that of the next: about the shortest of late. */
  #gap = 0;
  #turnEndedAt = 0;
  readonly #backOff = new BackOff();
  readonly #step = (): void => {
    if (this.#options.nowMicroseconds() < this.#until) this.#schedule(this.#step);
    else this.#stop();
  };

  constructor(options: HaltPollOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? setImmediate;
  }

  get polling(): boolean {
    return this.#polling;
  }

  turnEnded(): void {
    const commands = this.#options.commands();
    const came = commands - this.#seen;
    this.#seen = commands;
    if (came === 0) return;
    if (came > LIGHT_COMMANDS_MAX) {
      this.#until = 0;
      return;
    }
    const now = this.#options.nowMicroseconds();
    if (this.#polling) {
      this.#hit = true;
      this.#notice(now - this.#turnEndedAt);
    } else if (!this.#backOff.admits()) return;
    else {
      this.#polling = true;
      this.#hit = false;
      this.#schedule(this.#step);
    }
    this.#turnEndedAt = now;
    this.#until = now + WINDOW_MICROSECONDS;
    this.#keepQuiet(now);
  }

  #notice(gap: number): void {
    this.#gap = gap < this.#gap ? gap : this.#gap + (gap - this.#gap) * FORGETTING;
  }

  #keepQuiet(from: number): void {
    const until = from + Math.min(QUIET_MICROSECONDS_MAX, this.#gap * QUIET_SHARE);
    for (let n = 0; n < QUIET_COUNTS_MAX && this.#options.nowMicroseconds() < until; n++);
  }

  #stop(): void {
    this.#polling = false;
    this.#backOff.ended(this.#hit);
  }
}
