/** kill -9 at a random moment under load, over the states that pools can be in; docs/testing.md tells how to run more. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { CrashRig, printRound, type RoundReport, SUMMARY_HEAD, summaryRow } from "../support/crash/crash-rig.ts";
import { CRASH_STATES, makeCrashArray } from "../support/crash/crash-states.ts";

/** Of all states together. */
const ROUNDS = Number(process.env.VARRAY_CRASH_STATES_ROUNDS ?? 12);
const ROUNDS_PER_STATE = Math.ceil(ROUNDS / CRASH_STATES.length);
const SEED = Number(process.env.VARRAY_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
const KEEP = process.env.VARRAY_CRASH_KEEP === "1";
const ROUND_MILLISECONDS_MAX = 60_000;
const LOAD_MILLISECONDS = { least: 300, most: 1500 };
const VIOLATIONS_SHOWN = 10;
/** In memory where there is such a folder: kill -9 loses nothing of the page cache either. */
const FAST_FOLDER = "/dev/shm";

let rig: CrashRig | undefined;
let folder = "";
const rows: string[] = [];
afterEach(async ({ task }) => {
  const keep = KEEP && task.result?.state === "fail";
  await rig?.remove(keep);
  rig = undefined;
  if (!keep) rmSync(folder, { recursive: true, force: true });
});

describe("crash test over the states of pools", () => {
  const timeout = ROUND_MILLISECONDS_MAX * (ROUNDS_PER_STATE + 2);
  test.each(CRASH_STATES)(`$label: keeps what was acknowledged through ${ROUNDS_PER_STATE} kills`, { timeout }, async (state) => {
    process.stdout.write(`crash test of ${state.label}: seed ${SEED} (VARRAY_CRASH_SEED)\n`);
    folder = mkdtempSync(join(existsSync(FAST_FOLDER) ? FAST_FOLDER : tmpdir(), "varray-crash-"));
    rig = await CrashRig.start({
      seed: SEED,
      made: await makeCrashArray(folder, state),
      loadMilliseconds: LOAD_MILLISECONDS,
    });
    await rig.fill();
    if (state.lost.length > 0) expect(await rig.loseDrives(state.lost)).toEqual([]);
    const reports: RoundReport[] = [];
    for (let round = 0; round < ROUNDS_PER_STATE; round++) {
      const report = await rig.round();
      process.stdout.write(`${printRound(report)}\n`);
      reports.push(report);
      expect(report.violations.slice(0, VIOLATIONS_SHOWN), `seed ${SEED}, round ${report.round}`).toEqual([]);
    }
    if (state.lostAtTheEnd.length > 0) expect(await rig.loseDrives(state.lostAtTheEnd), "from parity").toEqual([]);
    rows.push(summaryRow(state.label, reports));
    process.stdout.write(`${SUMMARY_HEAD}\n${rows.join("\n")}\n`);
    const inFlight = reports.filter((report) => report.diedInDestage || report.diedInCompaction).length;
    expect(inFlight, "rounds that died with destage or compaction in flight").toBeGreaterThanOrEqual(ROUNDS_PER_STATE / 2);
    for (const { counts } of reports) expect(counts.readBytes, "read under load").toBeGreaterThan(0);
  });
});
