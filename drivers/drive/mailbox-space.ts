/**
 * Who has which part of a mailbox: first fit over the few leases that there are.
 *
 * Runs on: the director. Owns: the division of one mailbox. A lease stays until the drive thread has answered.
 * Invariants:
 *  1. Leases don't overlap and lie within the mailbox.
 *  2. Leases are sorted by offset; there are at most as many as requests in flight.
 */
const UNIT_BYTES = 64;

export class MailboxSpace {
  readonly bytes: number;
  /** offset, bytes, offset, bytes … */
  readonly #leases: number[] = [];

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  /** Offset of `bytes` free bytes, or −1. */
  tryTake(bytes: number): number {
    const whole = Math.max(UNIT_BYTES, Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES);
    let offset = 0;
    for (let index = 0; index < this.#leases.length; index += 2) {
      if (this.#leases[index]! - offset >= whole) {
        this.#leases.splice(index, 0, offset, whole);
        return offset;
      }
      offset = this.#leases[index]! + this.#leases[index + 1]!;
    }
    if (offset + whole > this.bytes) return -1;
    this.#leases.push(offset, whole);
    return offset;
  }

  give(offset: number): void {
    for (let index = 0; index < this.#leases.length; index += 2) {
      if (this.#leases[index] !== offset) continue;
      this.#leases.splice(index, 2);
      return;
    }
    throw new Error(`mailbox: nothing is leased at ${offset}`);
  }

  get leaseCount(): number {
    return this.#leases.length / 2;
  }
}
