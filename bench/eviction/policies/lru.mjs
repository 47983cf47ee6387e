/** Least recently used. */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

export class Lru extends Policy {
  static bytesPerFrame = 8; // two links
  #lists = new Lists(this.frames, 1);

  /** Whether the block was there; it is now. */
  access(block) {
    const there = this.nodeOf.get(block);
    if (there !== undefined) {
      this.#lists.moveTo(0, there);
      return true;
    }
    if (this.freeCount === 0) {
      const victim = this.#lists.first(0, this.mayLeave);
      this.#lists.remove(victim);
      this.forget(victim);
    }
    this.#lists.append(0, this.take(block));
    return false;
  }
}
