/**
 * Since when what is read from a director's sockets may have lain there: what a write's age is told by (src/scsi/command-age.ts).
 *
 * Each tick comes after the poll phase of a turn, in which every socket that was ready was read. So what is read after a tick came
 * after the tick before it: while the thread runs, that is half a second ago at most; a thread that hung has the time before it did.
 *
 * Runs on: the director's thread; one for each portal.
 */
export class ArrivalWatch {
  #tickBefore: number;
  #lastTick: number;

  constructor(nowMicroseconds: number) {
    this.#tickBefore = nowMicroseconds;
    this.#lastTick = nowMicroseconds;
  }

  /** After the poll phase, a few times a second. */
  tick(nowMicroseconds: number): void {
    this.#tickBefore = this.#lastTick;
    this.#lastTick = nowMicroseconds;
  }

  /** What is read now from a socket that was read empty came no earlier. */
  get earliestMicroseconds(): number {
    return this.#tickBefore;
  }
}

/** More than a socket's buffer in the kernel holds (tcp_rmem is 6 MiB at most unless somebody raised it). */
const SOCKET_BYTES_MAX = 16 * 2 ** 20;
/** A read that brings less has read the socket empty. */
const FULL_READ_BYTES = 65_536;
/** Ticks without a read after which the socket is known to be empty. */
const QUIET_TICKS = 2;

/** The same for one connection: its socket is not read while it is held back, and perhaps not emptied by one read. */
export class ConnectionArrival {
  readonly #watch: ArrivalWatch;
  /** The oldest of what may lie in the socket; 0: it was read empty. */
  #behindSince = 0;
  /** At this time the socket held SOCKET_BYTES_MAX at most; so many bytes were read since. */
  #markMicroseconds = 0;
  #readSinceMark = 0;
  #quietTicks = 0;

  constructor(watch: ArrivalWatch) {
    this.#watch = watch;
  }

  /** The host sent what is worked on now no earlier than this. */
  get earliestMicroseconds(): number {
    return this.#behindSince === 0 ? this.#watch.earliestMicroseconds : this.#behindSince;
  }

  /** The socket is not read from now on. */
  held(): void {
    this.#quietTicks = 0;
    this.#fallBehind();
  }

  /** A read was worked on. */
  read(bytes: number, isHeld: boolean): void {
    this.#quietTicks = 0;
    if (bytes < FULL_READ_BYTES && !isHeld) {
      this.#behindSince = 0;
      return;
    }
    this.#fallBehind();
    this.#readSinceMark += bytes;
    if (this.#readSinceMark < SOCKET_BYTES_MAX) return;
    // All that was in the socket at the mark has been read.
    this.#behindSince = this.#markMicroseconds;
    this.#mark();
  }

  /** A few times a second, after the watch's tick. */
  tick(isHeld: boolean): void {
    this.#quietTicks = isHeld ? 0 : this.#quietTicks + 1;
    if (this.#quietTicks > QUIET_TICKS) this.#behindSince = 0;
  }

  #fallBehind(): void {
    if (this.#behindSince !== 0) return;
    this.#behindSince = Math.max(1, this.#watch.earliestMicroseconds);
    this.#mark();
  }

  #mark(): void {
    this.#markMicroseconds = Math.max(1, this.#watch.earliestMicroseconds);
    this.#readSinceMark = 0;
  }
}
