import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameGroups, GROUP_FRAMES } from "../../../src/cache/frame-groups.ts";

const FRAMES = 8 * GROUP_FRAMES;

function filled(): FrameGroups {
  const groups = new FrameGroups(FRAMES);
  for (let frame = 0; frame < FRAMES; frame++) groups.give(frame);
  return groups;
}

function taken(groups: FrameGroups, count: number): number[] {
  const out = new Int32Array(count);
  return [...out.subarray(0, groups.take(count, out, 0))];
}

/** Where a frame does not follow the one before it. */
function stretches(frames: readonly number[]): number {
  return frames.filter((frame, n) => n === 0 || frame !== frames[n - 1]! + 1).length;
}

describe("free frames in groups", () => {
  test("large takes get whole groups, in the order in which these became whole", () => {
    const groups = filled();
    expect(taken(groups, 40)).toEqual(Array.from({ length: 40 }, (_, n) => n));
    expect(taken(groups, 8)).toEqual([40, 41, 42, 43, 44, 45, 46, 47]); // what is left of the third
    expect(groups.wholeCount).toBe(5);
  });

  test("a writer of single frames leaves whole groups alone, however long it goes on", () => {
    const groups = filled();
    const held = taken(groups, 64);
    const whole = groups.wholeCount;
    for (let n = 0; n < 10_000; n++) {
      const frame = groups.takeOne();
      const at = (n * 7919) % held.length;
      groups.give(held[at]!);
      held[at] = frame;
    }
    expect(groups.wholeCount).toBeGreaterThanOrEqual(whole - 1);
    expect(stretches(taken(groups, 32))).toBe(1);
  });

  test("two frames that went back together are taken together, without breaking a group", () => {
    const groups = filled();
    const held = taken(groups, GROUP_FRAMES);
    groups.give(held[6]!);
    groups.give(held[7]!);
    const whole = groups.wholeCount;
    expect(taken(groups, 2)).toEqual([held[6], held[7]]);
    expect(groups.wholeCount).toBe(whole);
  });

  test("of single frames that came back, the youngest goes first", () => {
    const groups = filled();
    const held = taken(groups, FRAMES);
    for (const at of [3, 40, 100]) groups.give(held[at]!);
    expect([groups.takeOne(), groups.takeOne(), groups.takeOne(), groups.takeOne()]).toEqual([100, 40, 3, -1]);
  });

  test("no frame is handed out twice or lost, whatever is taken and given", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("take" as const), count: fc.integer({ min: 1, max: 70 }) }),
      fc.record({ kind: fc.constant("one" as const) }),
      fc.record({ kind: fc.constant("give" as const), at: fc.nat(), count: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ kind: fc.constant("withdraw" as const), at: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
        const groups = filled();
        const free = new Set(Array.from({ length: FRAMES }, (_, n) => n));
        const held: number[] = [];
        const take = (frames: number[]) => {
          for (const frame of frames) {
            expect(free.delete(frame)).toBe(true);
            held.push(frame);
          }
        };
        for (const what of steps) {
          if (what.kind === "take") {
            const got = taken(groups, what.count);
            expect(got.length).toBe(Math.min(what.count, free.size));
            take(got);
          } else if (what.kind === "one") {
            const frame = groups.takeOne();
            if (frame < 0) expect(free.size).toBe(0);
            else take([frame]);
          } else if (what.kind === "give") {
            for (const frame of held.splice(what.at % (held.length + 1), what.count)) {
              groups.give(frame);
              free.add(frame);
            }
          } else if (free.size > 0) {
            const frame = [...free][what.at % free.size]!;
            groups.withdraw(frame);
            free.delete(frame);
            held.push(frame);
          }
          expect(groups.count).toBe(free.size);
          const whole = Array.from({ length: FRAMES / GROUP_FRAMES }, (_, group) => group).filter((group) =>
            Array.from({ length: GROUP_FRAMES }, (_, n) => group * GROUP_FRAMES + n).every((frame) => free.has(frame)),
          );
          expect(groups.wholeCount).toBe(whole.length);
        }
      }),
      { numRuns: 200 },
    );
  });
});
