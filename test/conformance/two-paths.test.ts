/**
 * Two paths under load, one of them cut: a director is killed, hangs, throws, or is cut off from its drive threads; every sector stays a
 * linearizable register. `npm run failover` is the proof of docs/testing.md: it ends in a table.
 */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import {
  type FaultKind,
  type FaultRound,
  failoverTable,
  type KindReport,
  printFaultRound,
} from "../support/two-paths/failover-report.ts";
import { FailoverRig } from "../support/two-paths/failover-rig.ts";

/** Of each kind; of the lesser kinds a tenth. */
const ROUNDS = Number(process.env.VARRAY_FAILOVER_ROUNDS ?? 1);
const SEED = Number(process.env.VARRAY_FAILOVER_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** As VARRAY_JOURNAL_BYTES: the default needs the space, and time to fill. */
const JOURNAL = process.env.VARRAY_FAILOVER_JOURNAL ?? "64MiB";
const BEFORE_MILLISECONDS = Number(process.env.VARRAY_FAILOVER_BEFORE ?? 1000);
const ROUND_MILLISECONDS_MAX = 120_000;

const KINDS: readonly (FaultKind & { readonly rounds: number })[] = [
  { name: "killed", body: { kind: "kill" }, rounds: ROUNDS },
  { name: "hung", body: { kind: "hang", seconds: 60 }, rounds: ROUNDS },
  { name: "cut off from its drive threads", body: { kind: "cutOff", seconds: 2 }, rounds: ROUNDS },
  { name: "hung for a second", body: { kind: "hang", seconds: 1 }, rounds: Math.ceil(ROUNDS / 10) },
  { name: "made to throw", body: { kind: "throw" }, rounds: Math.ceil(ROUNDS / 10) },
];

const reports: KindReport[] = [];
const startedAt = performance.now();
let rig: FailoverRig | undefined;
afterEach(async () => {
  await rig?.remove();
  rig = undefined;
});
afterAll(() => {
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(`\n${failoverTable(reports, { seed: SEED, journal: JOURNAL, seconds })}\n`);
});

describe("two paths under load", () => {
  const timeout = ROUND_MILLISECONDS_MAX * (ROUNDS + 1);
  test.each(KINDS)("a director is $name, $rounds times", { timeout }, async (kind) => {
    const rounds: FaultRound[] = [];
    reports.push({ name: kind.name, rounds });
    rig = await FailoverRig.start({ seed: SEED, journal: JOURNAL, beforeMilliseconds: BEFORE_MILLISECONDS });
    while (rounds.length < kind.rounds) {
      const round = await rig.round(kind);
      rounds.push(round);
      process.stdout.write(`${printFaultRound(kind.name, round)}\n`);
      expect(round.violations, `seed ${SEED}, round ${round.round}\n${rig.log.slice(-3000)}`).toEqual([]);
      expect(round.drivesBusy, "drives under load at the fault").toBe(true);
    }
  });
});
