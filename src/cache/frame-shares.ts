/**
 * Who may take frames for host writes, and who waits for them.
 *
 * Each kind of taker (front end, channel …) has a share, with a limit on the frames that it holds RESERVED: so what one kind holds
 * while it waits for something leaves room for the others.
 *
 * Runs on: the director's thread. Owns: which share each RESERVED frame was taken through; the waiters.
 * Invariants:
 *  1. A share never holds more frames than its limit.
 *  2. Within a share nobody takes before those who wait, but for who is being served.
 */

/** How many frames one kind of taker may hold RESERVED at a time: a fraction of what host writes may fill, or `least`. */
export interface ShareLimit {
  readonly fraction: number;
  /** Frames; a share must have room for the largest single take. */
  readonly least: number;
}

/** The pool of which these are shares. */
export interface SharedFrames {
  /** What host writes may fill. */
  framesMax(): number;
  /** Makes that more, by memory that no director holds; false: there is none. */
  growMax(): boolean;
  /** Whether host writes may take so many more now, whoever takes them. */
  hasRoom(count: number): boolean;
}

interface Waiter {
  readonly ticket: number;
  readonly count: number;
  readonly ready: () => void;
}

interface Share {
  readonly limit: ShareLimit;
  /** RESERVED frames taken through this share. */
  held: number;
  readonly waiters: Waiter[];
}

/** The first share has no limit but that of host writes. */
export const EVERYBODY = 0;

export class FrameShares {
  readonly #frames: SharedFrames;
  readonly #shares: Share[] = [];
  /** Share that a RESERVED frame was taken through, plus one. */
  readonly #takenBy: Uint8Array;
  #nextTicket = 1;
  #serving = false;

  constructor(frameCount: number, frames: SharedFrames) {
    this.#frames = frames;
    this.#takenBy = new Uint8Array(frameCount);
    this.add({ fraction: 1, least: 0 });
  }

  add(limit: ShareLimit): number {
    return this.#shares.push({ limit, held: 0, waiters: [] }) - 1;
  }

  get waiting(): number {
    let waiting = 0;
    for (const share of this.#shares) waiting += share.waiters.length;
    return waiting;
  }

  mayTake(share: number, count: number): boolean {
    const its = this.#shares[share]!;
    // Those who wait go first, or a stream of small takes would starve a large one.
    return (this.#serving || its.waiters.length === 0) && this.#fits(its, count);
  }

  took(share: number, frame: number): void {
    this.#takenBy[frame] = share + 1;
    this.#shares[share]!.held += 1;
  }

  /** The frame is not RESERVED any more. */
  handedOn(frame: number): void {
    const takenBy = this.#takenBy[frame]!;
    if (takenBy === 0) return;
    this.#takenBy[frame] = 0;
    this.#shares[takenBy - 1]!.held -= 1;
  }

  wait(share: number, count: number, ready: () => void): number {
    const ticket = this.#nextTicket++;
    this.#shares[share]!.waiters.push({ ticket, count, ready });
    return ticket;
  }

  cancelWait(ticket: number): void {
    for (const { waiters } of this.#shares) {
      const index = waiters.findIndex((waiter) => waiter.ticket === ticket);
      if (index < 0) continue;
      waiters.splice(index, 1);
      if (index === 0) this.serveWaiters();
      return;
    }
  }

  /** Calls those back whose frames are there now, in the order of asking within each share. */
  serveWaiters(): void {
    if (this.#serving) return;
    this.#serving = true;
    try {
      for (const share of this.#shares) {
        // Each waiter is called at most once a round: it takes its frames, or asks again.
        for (let rounds = share.waiters.length; rounds > 0; rounds--) {
          const head = share.waiters[0];
          if (head === undefined || !this.#fits(share, head.count)) break;
          share.waiters.shift();
          head.ready();
        }
      }
    } finally {
      this.#serving = false;
    }
  }

  #fits(share: Share, count: number): boolean {
    const { fraction, least } = share.limit;
    while (share.held + count > Math.max(least, Math.floor(this.#frames.framesMax() * fraction)))
      if (!this.#frames.growMax()) return false;
    return this.#frames.hasRoom(count);
  }
}
