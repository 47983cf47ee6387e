/**
 * Is a history of reads and writes of one register linearizable? Exact, in n log n, for writes whose values differ from each other.
 *
 * Each operation takes effect at one instant between its invocation and its end. A value's *cluster* is its write and the
 * reads that returned it. Between the first end and the last invocation in a cluster, if in that order, the register must
 * have had that value (a forward zone); in the other order all of the cluster can happen at one instant in between (a
 * backward zone). The history is linearizable just when no read ended before its value's write began, no two forward zones
 * overlap, and no backward zone lies within a forward one (P. B. Gibbons and E. Korach, "Testing Shared Memories", SIAM J.
 * Comput. 26, 1997, theorem 4.1). A write of unknown outcome has taken effect just if somebody read it.
 */

export interface RegisterOperation {
  readonly kind: "read" | "write";
  /** Of a write: no other write of the history has it, and it is not the initial one. */
  readonly value: number;
  readonly invoked: number;
  /** When it had taken effect at the latest: its answer, or infinity. */
  ended: number;
  /** A write that may never have taken effect. */
  unknown?: boolean;
}

interface Zone {
  readonly value: number;
  /** The earliest end, and the latest invocation, of the cluster. */
  firstEnd: number;
  lastInvocation: number;
}

/** What is wrong with a history, or undefined. */
export function notLinearizable(operations: readonly RegisterOperation[], initial: number): string | undefined {
  const writes = new Map<number, RegisterOperation>();
  writes.set(initial, { kind: "write", value: initial, invoked: Number.NEGATIVE_INFINITY, ended: Number.NEGATIVE_INFINITY });
  for (const operation of operations) {
    if (operation.kind !== "write") continue;
    if (writes.has(operation.value)) throw new Error(`value ${operation.value} was written twice: the history can't be judged`);
    writes.set(operation.value, operation);
  }
  const zones = new Map<number, Zone>();
  for (const operation of operations) {
    if (operation.kind !== "read") continue;
    const { value, invoked, ended } = operation;
    const write = writes.get(value);
    if (write === undefined) return `read ${value}, which nobody wrote`;
    if (ended < write.invoked) return `read ${value} before it was written`;
    const zone = zones.get(value) ?? zoneOf(write);
    zone.firstEnd = Math.min(zone.firstEnd, ended);
    zone.lastInvocation = Math.max(zone.lastInvocation, invoked);
    zones.set(value, zone);
  }
  for (const write of writes.values()) {
    if (!zones.has(write.value) && write.unknown !== true) zones.set(write.value, zoneOf(write));
  }
  return zonesConflict([...zones.values()]);
}

function zoneOf({ value, invoked, ended }: RegisterOperation): Zone {
  return { value, firstEnd: ended, lastInvocation: invoked };
}

function zonesConflict(zones: readonly Zone[]): string | undefined {
  const forward = zones
    .filter((zone) => zone.firstEnd < zone.lastInvocation)
    .sort((a, b) => a.firstEnd - b.firstEnd || a.lastInvocation - b.lastInvocation);
  for (let n = 1; n < forward.length; n++) {
    const [before, after] = [forward[n - 1]!, forward[n]!];
    if (after.firstEnd < before.lastInvocation) {
      return `both ${before.value} and ${after.value} were there at ${after.firstEnd}: one was undone, or read when it was gone`;
    }
  }
  for (const zone of zones) {
    if (zone.firstEnd < zone.lastInvocation) continue;
    // The last forward zone that begins before it: they don't overlap.
    let low = 0;
    for (let high = forward.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (forward[middle]!.firstEnd < zone.lastInvocation) low = middle + 1;
      else high = middle;
    }
    const around = forward[low - 1];
    if (around !== undefined && zone.firstEnd < around.lastInvocation) {
      return `${zone.value} was written within the time when ${around.value} was there`;
    }
  }
  return undefined;
}
