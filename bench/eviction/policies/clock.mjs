/** Second chance, as a queue: what was used since it was last looked at goes to the end. The product's policy before. */
import { Lists } from "../lists.mjs";
import { Policy } from "./policy.mjs";

export class Clock extends Policy {
  static bytesPerFrame = 9; // two links (a ring would do without), a byte
  #lists = new Lists(this.frames, 1);
  #referenced = new Uint8Array(this.frames);

  access(block) {
    const there = this.nodeOf.get(block);
    if (there !== undefined) {
      this.#referenced[there] = 1;
      return true;
    }
    if (this.freeCount === 0) this.#evict();
    const node = this.take(block);
    this.#referenced[node] = 0;
    this.#lists.append(0, node);
    return false;
  }

  #evict() {
    for (;;) {
      const node = this.#lists.head[0];
      if (this.#referenced[node] === 0 && this.mayLeave(node)) {
        this.#lists.remove(node);
        this.forget(node);
        return;
      }
      this.#referenced[node] = 0;
      this.#lists.moveTo(0, node);
    }
  }
}
