/**
 * What the reference policies have in common: which block stands at which node, which nodes are free, and what may not
 * leave. A policy says what it does on a hit, where a new block goes, and who leaves; `nodeCount` may be more than
 * `frames`, for blocks that it only remembers.
 */
export class Policy {
  /** @param {{ frames: number, isDirty: (block: number) => boolean }} options */
  constructor({ frames, isDirty }, nodeCount = frames) {
    this.frames = frames;
    this.nodeOf = new Map();
    this.blockOf = new Int32Array(nodeCount);
    this.free = Int32Array.from({ length: nodeCount }, (_, n) => nodeCount - 1 - n);
    this.freeCount = nodeCount;
    this.mayLeave = (node) => !isDirty(this.blockOf[node]);
  }

  take(block) {
    const node = this.free[--this.freeCount];
    this.blockOf[node] = block;
    this.nodeOf.set(block, node);
    return node;
  }

  forget(node) {
    this.nodeOf.delete(this.blockOf[node]);
    this.free[this.freeCount++] = node;
  }
}
