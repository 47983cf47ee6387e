/**
 * The epoch fence of one drive: which callers may still operate.
 *
 * Runs on: the thread that serves the drive. Owns: the highest epoch that opened the drive, and who is inside.
 * The fence lives as long as the drive is served; across restarts the data folder's lock keeps older owners out.
 * Invariants:
 *  1. The epoch never falls.
 *  2. After `raise(epoch)` resolved, no operation of an older epoch is running, and none starts.
 */
import { DriveError } from "./drive.ts";

export class DriveFence {
  readonly drive: string;
  #epoch = 0;
  /** Operations inside, by the epoch that they entered under. A handful of epochs at most are ever inside. */
  readonly #inside = new Map<number, number>();
  #closed = false;
  #waiters: { readonly below: number; readonly ready: () => void }[] = [];

  constructor(drive: string) {
    this.drive = drive;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Enters an operation; pair it with `leave(epoch)`. */
  enter(epoch: number): void {
    if (this.#closed) throw new DriveError("unreachable", this.drive, "was closed");
    if (epoch < this.#epoch) {
      throw new DriveError("fenced", this.drive, `epoch ${epoch} is older than the drive's ${this.#epoch}`);
    }
    this.#inside.set(epoch, (this.#inside.get(epoch) ?? 0) + 1);
  }

  leave(epoch: number): void {
    const left = (this.#inside.get(epoch) ?? 0) - 1;
    if (left > 0) this.#inside.set(epoch, left);
    else this.#inside.delete(epoch);
    if (this.#waiters.length === 0) return;
    const ready = this.#waiters.filter((waiter) => !this.#anyBelow(waiter.below));
    if (ready.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) waiter.ready();
  }

  /** Takes the drive for `epoch`; resolves when everything older has left. */
  async raise(epoch: number): Promise<void> {
    if (!Number.isSafeInteger(epoch) || epoch < 0) throw new DriveError("invalid", this.drive, `epoch ${epoch} is not an epoch`);
    if (epoch < this.#epoch) {
      throw new DriveError("fenced", this.drive, `epoch ${epoch} is older than the drive's ${this.#epoch}`);
    }
    if (this.#closed) throw new DriveError("unreachable", this.drive, "was closed");
    this.#epoch = epoch;
    await this.#leftBelow(epoch);
  }

  /** Lets nobody in any more; resolves when everybody has left. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#leftBelow(Number.POSITIVE_INFINITY);
  }

  async #leftBelow(epoch: number): Promise<void> {
    if (!this.#anyBelow(epoch)) return;
    await new Promise<void>((ready) => this.#waiters.push({ below: epoch, ready }));
  }

  #anyBelow(epoch: number): boolean {
    for (const inside of this.#inside.keys()) if (inside < epoch) return true;
    return false;
  }
}
