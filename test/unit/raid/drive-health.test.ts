import { describe, expect, test } from "vitest";
import { DRIVE_HEALTH_LIMITS, DriveHealth, type OperationClass } from "../../../src/raid/drive-health.ts";

const LIMITS = { ...DRIVE_HEALTH_LIMITS, predictiveErrors: 10, failedErrors: 40, halfLifeSeconds: 3600 };
const HOUR = 3_600_000;

describe("DriveHealth: errors", () => {
  test("a drive is predictive, then failed, at their limits and not before, with what was found", () => {
    const health = new DriveHealth(LIMITS);
    for (let n = 1; n <= 40; n++) {
      health.found("02", n % 4 === 0 ? "mismatch" : "readError", 1000);
      expect(health.verdict("02")?.state, `error ${n}`).toBe(n < 10 ? undefined : n < 40 ? "predictive" : "failed");
    }
    expect(health.verdict("02")!.reason).toBe("40 errors of late: 30 read errors, 10 strips that are not what was written");
    expect(health.verdict("03")).toBeUndefined();
    expect(health.status("02", 1000)).toMatchObject({ errors: 40, findings: { readError: 30, mismatch: 10, notFound: 0 } });
  });

  test("errors that come slowly never add up", () => {
    const health = new DriveHealth(LIMITS);
    for (let n = 0; n < 1000; n++) health.found("02", "notFound", (n * HOUR) / 6);
    expect(health.verdict("02")).toBeUndefined();
    expect(health.status("02", (1000 * HOUR) / 6).errors).toBeLessThan(10);
    // The same, a little closer together.
    for (let n = 0; n < 1000; n++) health.found("03", "notFound", (n * HOUR) / 12);
    expect(health.verdict("03")?.state).toBe("predictive");
  });

  test("an error weighs half after the half life; a clock that stands or goes back does no harm", () => {
    const health = new DriveHealth(LIMITS);
    for (let n = 0; n < 8; n++) health.found("02", "mismatch", HOUR);
    expect(health.status("02", HOUR).errors).toBe(8);
    expect(health.status("02", 2 * HOUR).errors).toBe(4);
    expect(health.status("02", 0).errors).toBe(8);
  });

  test("a verdict stands until the drive is another one", () => {
    const health = new DriveHealth(LIMITS);
    for (let n = 0; n < 10; n++) health.found("02", "readError", 0);
    health.found("02", "readError", 100 * HOUR);
    expect(health.verdict("02")?.state).toBe("predictive");
    health.forget("02");
    expect([health.verdict("02"), health.status("02", 0).errors]).toEqual([undefined, 0]);
  });
});

describe("DriveHealth: latency", () => {
  const DRIVES = ["00", "01", "02", "03"];

  /** Lets each drive do `count` operations a window that take so long, over so many seconds. */
  function run(
    takes: (drive: string) => number,
    options: {
      seconds?: number;
      count?: number;
      operation?: OperationClass;
      drives?: readonly string[];
      health?: DriveHealth;
      from?: number;
    } = {},
  ): DriveHealth {
    const { seconds = 60, count = 100, operation = "write", drives = DRIVES, health = new DriveHealth(), from = 0 } = options;
    for (let second = 0; second < seconds; second++) {
      for (const drive of drives) for (let n = 0; n < count / 5; n++) health.took(drive, operation, takes(drive));
      health.tick((from + second) * 1000);
    }
    return health;
  }

  test.each(["read", "write"] as const)(
    "a drive whose %ss take eight times as long as its peers' is predictive, and they are not",
    (operation) => {
      const health = run((drive) => (drive === "02" ? 200 : 10), { operation });
      expect(health.verdict("02")).toEqual({
        state: "predictive",
        reason: `its ${operation}s take 200 ms where those of its peers take 10.0 ms, for 30 s`,
      });
      for (const drive of ["00", "01", "03"]) expect(health.verdict(drive)).toBeUndefined();
    },
  );

  test("not before the time is over, nor when it was fast in between", () => {
    expect(run((drive) => (drive === "02" ? 200 : 10), { seconds: 30 }).verdict("02")).toBeUndefined();
    const health = new DriveHealth();
    for (let round = 0; round < 10; round++) {
      run((drive) => (drive === "02" ? 200 : 10), { seconds: 25, health, from: round * 40 });
      run(() => 10, { seconds: 15, health, from: round * 40 + 25 });
    }
    expect(health.verdict("02")).toBeUndefined();
  });

  test("all drives slow, a slow half, quick drives of different speed, few operations, or no peers: no verdict", () => {
    const none = (health: DriveHealth) => DRIVES.map((drive) => health.verdict(drive)).filter((verdict) => verdict !== undefined);
    expect(none(run(() => 5000))).toEqual([]);
    expect(none(run((drive) => (drive < "02" ? 400 : 390)))).toEqual([]);
    expect(none(run((drive) => (drive === "02" ? 40 : 1)))).toEqual([]);
    expect(none(run((drive) => (drive === "02" ? 70 : 10)))).toEqual([]);
    expect(none(run((drive) => (drive === "02" ? 500 : 10), { count: 10 }))).toEqual([]);
    expect(none(run(() => 5000, { drives: ["02"] }))).toEqual([]);
  });

  test("of a mirror's two drives the slow one", () => {
    const health = run((drive) => (drive === "01" ? 500 : 5), { drives: ["00", "01"] });
    expect([health.verdict("00"), health.verdict("01")?.state]).toEqual([undefined, "predictive"]);
  });

  test("a stretch in which nobody looked is no measure", () => {
    const health = new DriveHealth();
    for (let n = 0; n < 100; n++) {
      for (const drive of DRIVES) for (let k = 0; k < 100; k++) health.took(drive, "read", drive === "02" ? 900 : 1);
      health.tick(n * 60_000);
    }
    expect(health.verdict("02")).toBeUndefined();
  });
});
