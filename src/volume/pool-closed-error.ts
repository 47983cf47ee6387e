/** Why nobody waits any more for a pool that has not failed: it stops here, and goes on where it is opened next. */
export class PoolClosedError extends Error {
  constructor() {
    super("the pool was closed");
    this.name = "PoolClosedError";
  }
}
