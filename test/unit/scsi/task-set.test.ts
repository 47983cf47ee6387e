import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TASK_ATTRIBUTE } from "../../../src/scsi/task.ts";
import { TASK_SET_COMMANDS_MAX, TaskSet } from "../../../src/scsi/task-set.ts";

const { untagged, simple, ordered, headOfQueue } = TASK_ATTRIBUTE;

describe("task set (SAM-5 §8)", () => {
  test("ORDERED waits for all that are older, and what is younger waits for it, but for HEAD OF QUEUE", () => {
    const set = new TaskSet<{ attribute: number }>();
    const [first, second, barrier, later, head] = [simple, untagged, ordered, simple, headOfQueue].map((attribute) => ({
      attribute,
    }));
    expect([set.enter(first!), set.enter(second!), set.enter(barrier!), set.enter(later!), set.enter(head!)]).toEqual([
      true,
      true,
      false,
      false,
      true,
    ]);
    set.leave(second!);
    set.leave(first!);
    expect(set.nextStartable()).toBeUndefined();
    set.leave(head!);
    expect(set.nextStartable()).toBe(barrier);
    expect(set.nextStartable()).toBeUndefined();
    set.leave(barrier!);
    expect(set.nextStartable()).toBe(later);
    set.leave(later!);
    expect(set.count).toBe(0);
  });

  test("is full at its bound", () => {
    const set = new TaskSet<{ attribute: number }>();
    for (let i = 0; i < TASK_SET_COMMANDS_MAX; i += 1) set.enter({ attribute: i === 0 ? ordered : simple });
    expect(set.full).toBe(true);
    expect(set.running).toBe(1);
  });

  test("starts every command once, never beside an ORDERED one, and in order around it", () => {
    const attributes = fc.array(fc.constantFrom(simple, ordered, untagged), { maxLength: 60, size: "max" });
    fc.assert(
      fc.property(attributes, fc.infiniteStream(fc.nat()), (chosen, choices) => {
        const set = new TaskSet<{ attribute: number; index: number }>();
        const running: { attribute: number; index: number }[] = [];
        const started: number[] = [];
        const start = (entry: { attribute: number; index: number }): void => {
          const alone = entry.attribute === ordered || running.some((other) => other.attribute === ordered);
          expect(alone && running.length > 0).toBe(false);
          running.push(entry);
          started.push(entry.index);
        };
        const drain = (): void => {
          for (let next = set.nextStartable(); next !== undefined; next = set.nextStartable()) start(next);
        };
        for (const [index, attribute] of chosen.entries()) {
          const entry = { attribute, index };
          if (set.enter(entry)) start(entry);
          if (running.length > 0 && (choices.next().value as number) % 3 === 0) {
            const [done] = running.splice((choices.next().value as number) % running.length, 1);
            set.leave(done!);
            drain();
          }
        }
        while (running.length > 0) {
          set.leave(running.pop()!);
          drain();
        }
        expect(started).toEqual(chosen.map((_, index) => index));
        expect(set.count).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
