import { describe, expect, test } from "vitest";
import { type BenchOptions, PART_NAMES, parseOptions } from "../../../bench/options.ts";

describe("options of the benchmark", () => {
  test("are the whole run unless given: five repeats of everything", () => {
    expect(parseOptions([])).toMatchObject({ parts: PART_NAMES, isQuick: false, reps: 5, spanMebibytes: 256, tests: undefined });
    expect(parseOptions(["--help"])).toBe("help");
  });

  test("quick repeats less, unless it is told how often", () => {
    expect(parseOptions(["--quick"])).toMatchObject({ reps: 3, seconds: 1, parts: ["pairs", "durable", "scrapes", "endless"] });
    expect(parseOptions(["--quick", "--reps", "7"])).toMatchObject({ reps: 7 });
  });

  test("name tests as mode:bytes:depth, FUA where asked for", () => {
    const { tests, targets } = parseOptions([
      "--tests",
      " randread:4096:32  randwrite:4096:1:fua",
      "--targets",
      "stock,owner",
    ]) as BenchOptions;
    expect(tests).toEqual([
      { mode: "randread", bytes: 4096, depth: 32 },
      { mode: "randwrite", bytes: 4096, depth: 1, fua: true },
    ]);
    expect(targets).toEqual(["stock", "owner"]);
  });

  test.each([
    [["--reps", "0"], "--reps"],
    [["--span", "2000"], "--span"],
    [["--seconds", "soon"], "--seconds"],
    [["--parts", "pears"], "pears"],
    [["--tests", "read:4096:32"], "read:4096:32"],
    [["--fast"], "--fast"],
    [["extra"], "extra"],
  ])("refuse %j by name", (args, named) => {
    expect(() => parseOptions(args)).toThrow(RangeError);
    expect(() => parseOptions(args)).toThrow(named);
  });
});
