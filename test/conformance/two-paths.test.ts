/**
 * Two paths under load, one of them cut: a director is killed, hangs, or throws; every sector stays a linearizable register.
 * `VARRAY_FAILOVER_ROUNDS=50` is the proof of docs/testing.md; the longest stall of each kind is printed.
 */
import { afterEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { sleep } from "../support/two-paths/path-host.ts";
import { TwoPathLoad } from "../support/two-paths/two-path-load.ts";

const ROUNDS = Number(process.env.VARRAY_FAILOVER_ROUNDS ?? 1);
const SEED = Number(process.env.VARRAY_FAILOVER_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** As VARRAY_JOURNAL_BYTES: the default needs the space, and time to fill. */
const JOURNAL = process.env.VARRAY_FAILOVER_JOURNAL ?? "64MiB";
const BEFORE_MILLISECONDS = Number(process.env.VARRAY_FAILOVER_BEFORE ?? 1500);
const AFTER_MILLISECONDS = 500;
const RETURN_MILLISECONDS_MAX = 60_000;
const ROUND_MILLISECONDS_MAX = 120_000;

let array: RunningArray | undefined;
let load: TwoPathLoad | undefined;
afterEach(async () => {
  load?.close();
  await array?.remove();
  load = undefined;
  array = undefined;
});

interface DirectorSeen {
  readonly name: string;
  readonly state: string;
}

async function directors(): Promise<readonly DirectorSeen[]> {
  const seen = (await (await array!.api("/api/v1/directors")).json()) as DirectorSeen[] | { directors: DirectorSeen[] };
  return Array.isArray(seen) ? seen : seen.directors;
}

async function allBack(): Promise<void> {
  const until = performance.now() + RETURN_MILLISECONDS_MAX;
  for (;;) {
    const seen = await directors().catch(() => []);
    if (seen.length > 0 && seen.every(({ state }) => state === "active") && load!.allPathsUp) return;
    if (performance.now() > until) throw new Error(`not all is back: ${JSON.stringify(seen)}\n${array!.log.slice(-4000)}`);
    await sleep(50);
  }
}

async function fault(director: string, body: object): Promise<void> {
  const response = await array!.api(`/api/v1/faults/directors/${director}`, { method: "POST", body });
  if (response.status !== 200) throw new Error(`fault: ${response.status} ${await response.text()}`);
}

describe("two paths under load", () => {
  const timeout = ROUND_MILLISECONDS_MAX * (ROUNDS + 1);
  test.each([
    ["killed", { kind: "kill" }],
    ["hung", { kind: "hang", seconds: 60 }],
    ["hung for less than it takes to be fenced", { kind: "hang", seconds: 1 }],
    ["made to throw", { kind: "throw" }],
    ["cut off from its drive threads", { kind: "cutOff", seconds: 2 }],
  ])(`a director is ${"%s"}, ${ROUNDS} times`, { timeout }, async (name, body) => {
    array = await startArray({ env: { VARRAY_JOURNAL_BYTES: JOURNAL } });
    load = new TwoPathLoad({
      ports: array.portalPorts,
      targetName: array.targetName,
      luns: [0, 1],
      sectors: 512,
      fillSectors: 131_072,
      hosts: 3,
      workersPerHost: 3,
      seed: SEED,
    });
    await load.open();
    let longest = 0;
    for (let round = 0; round < ROUNDS; round++) {
      load.start();
      await sleep(BEFORE_MILLISECONDS);
      await fault(round % 2 === 0 ? "1A" : "1B", body);
      await sleep(AFTER_MILLISECONDS);
      await allBack();
      await sleep("seconds" in body && body.kind === "cutOff" ? 2 * AFTER_MILLISECONDS + 1500 : AFTER_MILLISECONDS);
      const { violations, figures } = await load.stopAndJudge();
      longest = Math.max(longest, figures.longestMilliseconds);
      process.stdout.write(
        `two paths: ${name}, round ${round + 1}: ${figures.operations} operations, ${figures.repeated} repeated, ` +
          `longest ${Math.round(figures.longestMilliseconds)} ms (${figures.longest})\n`,
      );
      expect(violations, `seed ${SEED}, round ${round + 1}\n${array.log.slice(-3000)}`).toEqual([]);
    }
    process.stdout.write(
      `two paths: ${name}: longest stall of ${ROUNDS} rounds ${Math.round(longest)} ms (journal ${JOURNAL})\n`,
    );
  });
});
