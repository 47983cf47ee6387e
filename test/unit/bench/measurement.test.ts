import { describe, expect, test } from "vitest";
import type { LoadResult, ThreadUse } from "../../../bench/load-client.ts";
import { measurementOf, OTHER_THREADS, roleMedian } from "../../../bench/measurement.ts";
import { pairVerdicts } from "../../../bench/pair-verdicts.ts";
import type { PairRow } from "../../../bench/parts/pairs.ts";
import { missVerdicts, sustainedVerdicts } from "../../../bench/verdicts.ts";

const thread = (tid: number, cpuSeconds: number): ThreadUse => ({
  ...{ pid: 1, tid, name: "node", cpuSeconds, readCalls: 500, writeCalls: 500, readBytes: 4000, writeBytes: 0 },
  ...{ voluntarySwitches: 100, involuntarySwitches: 5 },
});

const RESULT: LoadResult = {
  ...{ seconds: 2, ops: 1000, refused: 0, iops: 500, bytesPerSecond: 500 * 4096, meanMicroseconds: 10, p50Microseconds: 9 },
  ...{ p99Microseconds: 30, p999Microseconds: 40, maxMicroseconds: 50, clientCpuSeconds: 1, machineCpuSeconds: 1.5 },
  threads: [thread(11, 0.01), thread(12, 0.02), thread(13, 0.03)],
  processes: [{ pid: 1, diskReadBytes: 0, diskWriteBytes: 8_192_000 }],
};
const ROLES = new Map([[12, "director 1A"]]);

describe("a measurement", () => {
  test("tells for each operation what each role used, and the rest as the others", () => {
    const { roles, cpuMicroseconds, diskWriteBytes } = measurementOf(RESULT, ROLES);
    expect(cpuMicroseconds).toBeCloseTo(60);
    expect(diskWriteBytes).toBe(8192);
    expect(roles.map(({ role }) => role)).toEqual([OTHER_THREADS, "director 1A"]);
    expect(roles[0]!.cpuMicroseconds).toBeCloseTo(40);
    expect(roles[1]).toMatchObject({ calls: 1, callBytes: 4, sleeps: 0.1 });
  });

  test("gives CPU that is neither the client's nor the target's, of one core", () => {
    const { clientCpuShare, otherCpuShare } = measurementOf(RESULT);
    expect(clientCpuShare).toBe(0.5);
    expect(otherCpuShare).toBeCloseTo((1.5 - 1 - 0.06) / 2);
  });

  test("has no figure for a role that never appears", () => {
    expect(roleMedian([measurementOf(RESULT, ROLES)], "director 1B", (use) => use.calls)).toBeNaN();
  });
});

describe("verdicts on a pair", () => {
  const at = (iops: number, p99Microseconds: number) => [measurementOf({ ...RESULT, iops, p99Microseconds }, ROLES)];
  const row: PairRow = {
    ...{ title: "4K random read hit, depth 32", spec: { mode: "randread", bytes: 4096, depth: 32 }, once: false, counted: {} },
    targets: { stock: at(100, 50), tuned: at(200, 20), owner: at(250, 60), other: at(200, 70) },
  };

  test("compare with both references, and say what is met and what is missed", () => {
    const verdicts = pairVerdicts(row).map(({ name, value, isMet }) => [name, Number(value.toFixed(3)), isMet]);
    expect(verdicts).toEqual([
      ["x stock", 2.5, true],
      ["x tuned", 1.25, false],
      ["p99 / stock's", 1.2, false],
      ["director's CPU, µs", 20, false],
      ["other director / owner", 0.8, true],
    ]);
  });

  test("are silent about what was not measured: a path, a reference, a thread without a name", () => {
    const nameless = measurementOf(RESULT);
    expect(pairVerdicts({ ...row, targets: { owner: [nameless] } })).toEqual([]);
    expect(pairVerdicts({ ...row, targets: { stock: at(100, 50) } })).toEqual([]);
  });

  test("don't hold a test that never ends against the goal of one that writes once", () => {
    const spec = { mode: "seqwrite", bytes: 65536, depth: 8 };
    expect(pairVerdicts({ ...row, spec, once: false })).toEqual([]);
    expect(pairVerdicts({ ...row, spec, once: true })).toHaveLength(3);
  });
});

describe("verdicts on parts that run alone", () => {
  test("hold the slowest window of ten minutes against the goal", () => {
    const window = {
      atSeconds: 30,
      iops: 1000,
      bytesPerSecond: 4_096_000,
      p99Milliseconds: 5,
      p999Milliseconds: 90,
      worstMilliseconds: 300,
    };
    const windows = [window, { ...window, p999Milliseconds: 101, worstMilliseconds: 999 }];
    expect(sustainedVerdicts({ share: 0.41, windows }).map(({ isMet }) => isMet)).toEqual([true, false, true]);
  });

  test("judge only the misses that were measured", () => {
    expect(missVerdicts({ goals: { randomMissesOfGetMany16: 0.59 }, medians: {} }).map(({ isMet }) => isMet)).toEqual([false]);
  });
});
