/** kill -9 at a random moment under load, over the states that pools can be in; docs/testing.md tells how to run more. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { crashTable, printRound, type RoundReport, type StateReport, setbacks } from "../support/crash/crash-report.ts";
import { CrashRig } from "../support/crash/crash-rig.ts";
import { CRASH_STATES, type CrashState, makeCrashArray } from "../support/crash/crash-states.ts";
import type { Violation } from "../support/crash/write-history.ts";

/** Of all states together. */
const ROUNDS = Number(process.env.VARRAY_CRASH_STATES_ROUNDS ?? 8);
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
const states: StateReport[] = [];
const startedAt = performance.now();
afterEach(async ({ task }) => {
  const keep = KEEP && task.result?.state === "fail";
  await rig?.remove(keep);
  rig = undefined;
  if (!keep) rmSync(folder, { recursive: true, force: true });
});

afterAll(() => {
  process.stdout.write(`\n${crashTable(states, { seed: SEED, seconds: (performance.now() - startedAt) / 1000 })}\n`);
});

async function runRounds(running: CrashRig, state: CrashState, rounds: RoundReport[]): Promise<void> {
  await running.fill();
  if (state.lost.length > 0) expect(await running.loseDrives(state.lost)).toEqual([]);
  for (let round = 0; round < ROUNDS_PER_STATE; round++) {
    const report = await running.round();
    process.stdout.write(`${printRound(report)}\n`);
    rounds.push(report);
    expect(report.violations.slice(0, VIOLATIONS_SHOWN), `seed ${SEED}, round ${report.round}`).toEqual([]);
  }
}

async function readAtTheEnd(running: CrashRig, { healing, lostAtTheEnd, pools }: CrashState): Promise<readonly Violation[]> {
  if (healing !== undefined) return running.loseDrivesNotRebuilt((pool) => (pools[pool as "A" | "B"].raidLevel === 6 ? 2 : 1));
  return lostAtTheEnd.length === 0 ? [] : running.loseDrives(lostAtTheEnd);
}

describe("crash test over the states of pools", () => {
  const timeout = ROUND_MILLISECONDS_MAX * (ROUNDS_PER_STATE + 3);
  test.each(CRASH_STATES)(`$label: keeps what was acknowledged through ${ROUNDS_PER_STATE} kills`, { timeout }, async (state) => {
    process.stdout.write(`crash test of ${state.label}: seed ${SEED} (VARRAY_CRASH_SEED)\n`);
    folder = mkdtempSync(join(existsSync(FAST_FOLDER) ? FAST_FOLDER : tmpdir(), "varray-crash-"));
    const rounds: RoundReport[] = [];
    const violationsAtTheEnd: Violation[] = [];
    states.push({ label: state.label, rounds, violationsAtTheEnd });
    rig = await CrashRig.start({
      seed: SEED,
      made: await makeCrashArray(folder, state),
      loadMilliseconds: LOAD_MILLISECONDS,
      ...(state.healing === undefined ? {} : { healing: state.healing }),
    });
    await runRounds(rig, state, rounds);
    violationsAtTheEnd.push(...(await readAtTheEnd(rig, state)));
    expect(violationsAtTheEnd.slice(0, VIOLATIONS_SHOWN), "without further drives").toEqual([]);
    const diedIn = (is: (report: RoundReport) => boolean): number => rounds.filter(is).length;
    const inFlight = diedIn((report) => report.diedInDestage || report.diedInCompaction);
    expect(inFlight, "rounds that died with destage or compaction in flight").toBeGreaterThanOrEqual(ROUNDS_PER_STATE / 2);
    for (const { counts } of rounds) expect(counts.readBytes, "read under load").toBeGreaterThan(0);
    if (state.healing === undefined) return;
    expect(rounds.flatMap(setbacks), "drives that lack more after a kill than before").toEqual([]);
    expect(
      diedIn(({ healing }) => healing.length > 0),
      "rounds that died in a rebuild",
    ).toBeGreaterThanOrEqual(ROUNDS_PER_STATE / 2);
  });
});
