import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GhostTable } from "../../../src/cache/ghost-table.ts";

describe("GhostTable", () => {
  test("remembers what was added, until it is taken, and nothing else (invariant 1)", () => {
    const act = fc.record({
      kind: fc.constantFrom("add", "add", "take"),
      volume: fc.nat({ max: 2 }),
      block: fc.nat({ max: 60 }),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 200, size: "max" }), (acts) => {
        // So large that no bucket runs over: 183 blocks and their repeats in 1,024 buckets, at most 16 of each.
        const ghosts = new GhostTable(16_384);
        ghosts.keep(16_384);
        const model = new Map<string, number>();
        for (const { kind, volume, block } of acts) {
          const key = `${volume}/${block}`;
          const held = model.get(key) ?? 0;
          if (kind === "add") {
            if (held >= 4) continue;
            ghosts.add(volume, block);
            model.set(key, held + 1);
          } else {
            expect(ghosts.take(volume, block)).toBe(held > 0);
            model.set(key, Math.max(0, held - 1));
          }
          expect(ghosts.count()).toBe([...model.values()].reduce((sum, count) => sum + count, 0));
        }
      }),
    );
  });

  test("never grows, and remembers the last rather than the first (invariant 2)", () => {
    const ghosts = new GhostTable(1024);
    ghosts.keep(1024);
    expect(ghosts.capacity).toBe(1024);
    for (let block = 0; block < 100_000; block++) ghosts.add(1, block);
    expect(ghosts.count()).toBeLessThanOrEqual(1024);
    let old = 0;
    let young = 0;
    for (let block = 0; block < 90_000; block++) if (ghosts.take(1, block)) old++;
    for (let block = 99_744; block < 100_000; block++) if (ghosts.take(1, block)) young++;
    expect(old).toBe(0);
    // A bucket of 16 gets 4 of the last 256 on average; 17 of them in one would be needed to lose one.
    expect(young).toBe(256);
  });

  test("remembers no more than it is asked to keep, rounded up to a word in each bucket", () => {
    const ghosts = new GhostTable(1024); // 64 buckets
    for (const [keep, most] of [
      [1024, 1024],
      [512, 512],
      [100, 128],
      [1, 64],
      [0, 64],
      [1_000_000, 1024],
    ] as const) {
      ghosts.keep(keep);
      for (let block = 0; block < 20_000; block++) ghosts.add(1, block);
      expect(ghosts.count()).toBe(most);
      ghosts.clear();
    }
  });

  test("works in the smallest memory", () => {
    const ghosts = new GhostTable(1);
    ghosts.keep(1);
    ghosts.add(1, 2);
    ghosts.add(1, 3);
    expect([ghosts.take(1, 2), ghosts.take(1, 3), ghosts.take(1, 3)]).toEqual([false, true, false]);
  });
});
