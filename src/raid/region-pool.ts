/**
 * A stretch of global memory, carved into regions of one size.
 *
 * Runs on: the thread that owns the stretch. Invariant: a region has one user, from the take to the give.
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";

export class RegionPool {
  readonly #free: Address[] = [];
  readonly #waiters: ((address: Address) => void)[] = [];
  readonly #count: number;

  constructor(address: Address, bytes: number, count: number) {
    this.#count = count;
    for (let n = 0; n < count; n++) this.#free.push(address + n * bytes);
  }

  /** For tests: nobody has a region. */
  get isIdle(): boolean {
    return this.#free.length === this.#count;
  }

  /** Resolves in the order of asking. Waiters are bounded by the I/Os that the sessions' windows let in. */
  take(): Promise<Address> {
    const address = this.#free.pop();
    if (address !== undefined) return Promise.resolve(address);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** A region if one is free, else −1. Who uses this asks again when it has given one back. */
  tryTake(): Address {
    return this.#free.pop() ?? -1;
  }

  /** As `give`, once the drives that may still write there have ended. */
  giveLanded(address: Address, landed: readonly Promise<void>[]): void {
    if (landed.length === 0) this.give(address);
    else void Promise.all(landed).then(() => this.give(address));
  }

  give(address: Address): void {
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter(address);
    else this.#free.push(address);
  }
}
