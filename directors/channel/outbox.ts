/**
 * What one director has to say to another: the ring, and a backlog for messages that found it full.
 *
 * Runs on: the sending director's thread. Owns: the producer's end of one ring, and the backlog.
 * Invariants:
 *  1. Messages leave in the order in which they were begun: while the backlog holds one, none goes straight to the ring.
 *  2. The backlog is bounded by what tokens allow (messages.ts) and a margin for nexus messages; more means that the
 *     partner no longer drains its ring, which ends the process.
 *  3. Messages sent quietly ring no bell of their own; `quiet` says that some lie there of which the partner was not told.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { type RingPlace, SLOT_WORDS } from "../../drivers/shared-memory/layout.ts";
import { RingProducer } from "../../drivers/shared-memory/ring.ts";
import { CHANNEL_COUNTERS } from "./channel-counters.ts";
import { KIND_WORD, TOKEN_WORD, TOKENS } from "./messages.ts";

const { ringFullWaits } = CHANNEL_COUNTERS.slots;

/** Request and release of each token one way, its reply the other, and nexus messages. */
const BACKLOG_SLOTS_MAX = 4 * TOKENS;

export interface OutboxOptions {
  readonly global: GlobalMemory;
  readonly place: RingPlace;
  /** Goes into word 0 of every slot. */
  readonly epoch: number;
  readonly counters: Float64Array;
  /** Rings the partner's doorbell. */
  readonly ring: () => void;
}

export class Outbox {
  /** The message begun lies in `words` from `at`. */
  words: Int32Array;
  at = 0;

  readonly #producer: RingProducer;
  readonly #i32: Int32Array;
  readonly #epoch: number;
  readonly #counters: Float64Array;
  readonly #ring: () => void;
  /** FIFO of whole slots; made at first need. */
  #backlog = new Int32Array(0);
  #first = 0;
  #waiting = 0;
  #unrung = false;
  #quiet = false;

  constructor(options: OutboxOptions) {
    this.#producer = new RingProducer(options.global, options.place);
    this.#i32 = options.global.i32;
    this.#epoch = options.epoch;
    this.#counters = options.counters;
    this.#ring = options.ring;
    this.words = this.#i32;
  }

  /** Begins a message: fill in `words` from `at`, then `send`. */
  begin(kind: number, token: number): void {
    const slot = this.#waiting === 0 ? this.#producer.tryReserve() : -1;
    if (slot >= 0) {
      this.words = this.#i32;
      this.at = slot;
    } else {
      this.#makeRoom();
      this.words = this.#backlog;
      this.at = ((this.#first + this.#waiting) % BACKLOG_SLOTS_MAX) * SLOT_WORDS;
    }
    this.words[this.at] = this.#epoch;
    this.words[this.at + KIND_WORD] = kind;
    this.words[this.at + TOKEN_WORD] = token;
  }

  send(): void {
    if (this.#publish()) this.#unrung = true;
  }

  /** Sends what the partner need not be woken for. */
  sendQuietly(): void {
    if (this.#publish()) this.#quiet = true;
  }

  #publish(): boolean {
    if (this.words === this.#i32) {
      this.#producer.publish();
      return true;
    }
    this.#waiting += 1;
    this.#counters[ringFullWaits]! += 1;
    return false;
  }

  /** Moves what waits into the ring as far as there is room, and rings for all that was published since. */
  flush(): void {
    while (this.#waiting > 0) {
      const slot = this.#producer.tryReserve();
      if (slot < 0) break;
      const from = this.#first * SLOT_WORDS;
      for (let word = 0; word < SLOT_WORDS; word += 1) this.#i32[slot + word] = this.#backlog[from + word]!;
      this.#producer.publish();
      this.#unrung = true;
      this.#first = (this.#first + 1) % BACKLOG_SLOTS_MAX;
      this.#waiting -= 1;
    }
    if (this.#unrung) this.ring();
  }

  /** Tells the partner of all that lies in the ring. */
  ring(): void {
    this.#unrung = false;
    this.#quiet = false;
    this.#ring();
  }

  /** The partner was not told of the last messages. */
  get quiet(): boolean {
    return this.#quiet;
  }

  /** Messages that wait for room in the ring. */
  get waiting(): number {
    return this.#waiting;
  }

  #makeRoom(): void {
    if (this.#backlog.length === 0) this.#backlog = new Int32Array(BACKLOG_SLOTS_MAX * SLOT_WORDS);
    if (this.#waiting === BACKLOG_SLOTS_MAX) throw new Error("invariant: the other director does not drain its ring");
  }
}
