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
 *  2. After a vain poll it lets 1, 2, 4 … SKIPS_MAX opportunities pass before it tries again.
 *  3. It does not poll after several commands at once: where commands queue up, others can use the processor better.
 */
const WINDOW_MICROSECONDS = 60;
const SKIPS_MAX = 256;
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
  /** Opportunities to let pass after the last vain poll, and how many of them have passed. */
  #skips = 0;
  #skipped = 0;
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
    if (this.#polling) this.#hit = true;
    else if (this.#skipped < this.#skips) {
      this.#skipped += 1;
      return;
    } else {
      this.#polling = true;
      this.#hit = false;
      this.#schedule(this.#step);
    }
    this.#until = this.#options.nowMicroseconds() + WINDOW_MICROSECONDS;
  }

  #stop(): void {
    this.#polling = false;
    this.#skipped = 0;
    this.#skips = this.#hit ? 0 : Math.min(SKIPS_MAX, Math.max(1, this.#skips * 2));
  }
}
