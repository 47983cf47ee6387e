import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { notLinearizable, type RegisterOperation } from "../../support/linearizable.ts";

const write = (value: number, invoked: number, ended: number): RegisterOperation => ({ kind: "write", value, invoked, ended });
const read = (value: number, invoked: number, ended: number): RegisterOperation => ({ kind: "read", value, invoked, ended });
const maybe = (value: number, invoked: number, ended = Number.POSITIVE_INFINITY): RegisterOperation => ({
  kind: "write",
  value,
  invoked,
  ended,
  unknown: true,
});

describe("histories that must be refused", () => {
  test.each<[string, RegisterOperation[]]>([
    ["an acknowledged write that is lost", [write(1, 0, 1), read(0, 2, 3)]],
    ["a write that is lost later", [write(1, 0, 1), read(1, 2, 3), read(0, 4, 5)]],
    ["a stale read after a newer one", [write(1, 0, 1), write(2, 2, 9), read(2, 3, 4), read(1, 5, 6)]],
    [
      "a first attempt that is executed after its repeat was acknowledged",
      [maybe(1, 0, 5), write(2, 2, 5), read(2, 6, 7), read(1, 8, 9)],
    ],
    ["a repeat that undoes a later write", [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]],
    ["a value of nobody", [read(7, 0, 1)]],
    ["a value before its time", [read(1, 0, 1), write(1, 2, 3)]],
    ["two readers that saw two writes in different order", [write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), read(2, 13, 14)]],
    ["a write within the time when another was there", [write(1, 0, 1), read(1, 10, 11), write(2, 4, 5)]],
  ])("%s", (_name, history) => {
    expect(notLinearizable(history, 0)).toBeDefined();
  });
});

describe("histories that are in order", () => {
  test.each<[string, RegisterOperation[]]>([
    ["nothing at all", []],
    ["concurrent writes, either of which may be last", [write(1, 0, 10), write(2, 0, 10), read(1, 11, 12), read(1, 13, 14)]],
    ["a read during a write sees old or new", [write(1, 0, 10), read(0, 1, 2), read(1, 3, 4)]],
    ["an attempt without an answer that takes effect later", [maybe(1, 0), read(0, 5, 6), read(1, 7, 8)]],
    ["an attempt without an answer that never does", [maybe(1, 0, 5), write(2, 2, 5), read(2, 6, 7)]],
    ["a first attempt that is seen before its repeat", [maybe(1, 0, 5), write(2, 2, 5), read(1, 3, 4), read(2, 6, 7)]],
  ])("%s", (_name, history) => {
    expect(notLinearizable(history, 0)).toBeUndefined();
  });
});

/** By trying every order (J. M. Wing and C. Gong): exact by construction, and slow. */
function linearizableByTrying(operations: readonly RegisterOperation[], initial: number): boolean {
  const seen = new Set<string>();
  const go = (left: readonly RegisterOperation[], value: number): boolean => {
    if (left.every((operation) => operation.unknown === true)) return true;
    const key = `${value} ${left.map((operation) => operations.indexOf(operation))}`;
    if (seen.has(key)) return false;
    seen.add(key);
    const firstEnd = Math.min(...left.filter(({ unknown }) => unknown !== true).map(({ ended }) => ended));
    return left.some((operation) => {
      const rest = left.filter((other) => other !== operation);
      // What may not have happened may be left out; what did must not be behind one that ended before it began.
      if (operation.unknown === true && go(rest, value)) return true;
      if (operation.invoked > firstEnd) return false;
      const inTime = rest.every((other) => other.unknown === true || other.ended >= operation.invoked);
      if (!inTime) return false;
      if (operation.kind === "write") return go(rest, operation.value);
      return operation.value === value && go(rest, value);
    });
  };
  return go(operations, initial);
}

describe("the checker", () => {
  test("says what trying every order says", () => {
    // Times differ from each other, as those of a clock that is fine enough do.
    const operation = fc.record({
      kind: fc.constantFrom("read" as const, "write" as const),
      pick: fc.nat(3),
      from: fc.nat(12),
      length: fc.integer({ min: 1, max: 6 }),
    });
    let refused = 0;
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 7 }), (drawn) => {
        const values = [0, ...drawn.map((one, n) => (one.kind === "write" ? n + 1 : 0)).filter((value) => value > 0)];
        const history = drawn.map(({ kind, pick, from, length }, n): RegisterOperation => {
          const value = kind === "write" ? n + 1 : values[pick % values.length]!;
          return { kind, value, invoked: from + n / 100, ended: from + length + 0.5 + n / 100 };
        });
        const verdict = notLinearizable(history, 0);
        if (verdict !== undefined) refused += 1;
        expect(verdict === undefined).toBe(linearizableByTrying(history, 0));
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(300);
  });

  test("says so too where writes may not have happened", () => {
    const operation = fc.record({
      kind: fc.constantFrom("read" as const, "write" as const),
      unknown: fc.boolean(),
      pick: fc.nat(3),
      from: fc.nat(10),
      length: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (drawn) => {
        const values = [0, ...drawn.map((one, n) => (one.kind === "write" ? n + 1 : 0)).filter((value) => value > 0)];
        const history = drawn.map(({ kind, unknown, pick, from, length }, n): RegisterOperation => {
          const times = { invoked: from + n / 100, ended: from + length + 0.5 + n / 100 };
          if (kind === "read") return { kind, value: values[pick % values.length]!, ...times };
          return { kind, value: n + 1, ...times, ...(unknown ? { unknown } : {}) };
        });
        // An unknown write with an end takes effect before it, or never: tried both ways.
        const unknown = history.filter((one) => one.unknown === true);
        let possible = false;
        for (let mask = 0; mask < 2 ** unknown.length && !possible; mask++) {
          const there = history
            .filter((one) => one.unknown !== true || (mask & (1 << unknown.indexOf(one))) !== 0)
            .map(({ kind, value, invoked, ended }) => ({ kind, value, invoked, ended }));
          possible = linearizableByTrying(there, 0);
        }
        expect(notLinearizable(history, 0) === undefined).toBe(possible);
      }),
      { numRuns: 3000 },
    );
  });
});
