/**
 * Each fault of drives, set while hosts read and write over iSCSI: no wrong byte is ever returned, and what becomes of the
 * fault is what docs/faults.md says, which this file writes.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { FaultRule } from "../../drivers/drive/drive-faults.ts";
import { type RunningArray, startArray } from "../support/array.ts";
import { cdb16, fill, type LoadOptions, noCounts, runWorker } from "../support/crash/crash-load.ts";
import { SECTOR_BYTES } from "../support/crash/sector-stamp.ts";
import { type Violation, WriteHistory } from "../support/crash/write-history.ts";
import { driveStateAfter, FATAL_FAULTS, type FaultScenario, faultTable, REPAIRED_FAULTS } from "../support/fault-scenarios.ts";
import { PipelinedSession } from "../support/pipelined-session.ts";
import { Random } from "../support/random.ts";

const DOCUMENT = "docs/faults.md";
const DRIVE_ERRORS = "varray_drive_errors_total";
const SEED = Number(process.env.VARRAY_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** More than the memory of both directors holds, and, where a whole array is made for one fault, less to write. */
const SECTORS_MANY = (72 * 2 ** 20) / SECTOR_BYTES;
const SECTORS_FEW = (32 * 2 ** 20) / SECTOR_BYTES;
const WORKERS = 4;
const READERS = 4;
const READ_SECTORS = 128;
const LOAD_MILLISECONDS_MIN = 800;
const THINK_MILLISECONDS = 5;
const LOAD_MILLISECONDS_MAX = 60_000;
/** Without spares: a drive that was told to be bad stays in its place for the next fault. */
const ENV = {
  VARRAY_MEMORY_FRAMES: "64MiB",
  VARRAY_DESTAGE_AGE_SECONDS: "1",
  VARRAY_DRIVE_HEALTH_SLOW_SECONDS: "5",
  // Another suite may keep the machine busy.
  VARRAY_FAILOVER_HANG_MILLISECONDS: "60000",
  VARRAY_POOLS_A_SPARES: ",",
  VARRAY_POOLS_B_SPARES: ",",
};

/** Where a fault is set, unless it says another drive: its hosts have LUN 0 or LUN 1. */
interface FaultPlace {
  readonly lun: number;
  readonly pool: string;
  readonly drive: string;
}
const ON_A: FaultPlace = { lun: 0, pool: "A", drive: "02" };
const ON_B: FaultPlace = { lun: 1, pool: "B", drive: "07" };

class FaultRig {
  readonly array: RunningArray;
  readonly place: FaultPlace;
  readonly history: WriteHistory;
  readonly violations: Violation[] = [];
  readonly #random = new Random(SEED);
  #sequence = 0;

  constructor(array: RunningArray, sectors: number, place = ON_A) {
    this.array = array;
    this.place = place;
    this.history = new WriteHistory({ lun: place.lun, seed: SEED, sectors });
  }

  async fill(): Promise<void> {
    const session = await this.#open();
    await fill(
      session,
      this.history,
      this.#options(() => false),
    );
    session.close();
    await this.array.destage(this.place.pool);
  }

  /** Writes and cold reads by both portals until `isOver`; every answer must be good, and right. */
  async load(isOver: () => boolean): Promise<void> {
    const sessions = await Promise.all([this.#open(0), this.#open(1)]);
    const workers = Array.from({ length: WORKERS }, (_, n) => runWorker(sessions[n % 2]!, this.history, this.#options(isOver)));
    const readers = Array.from({ length: READERS }, async (_, n) => {
      while (!isOver() && this.violations.length === 0) {
        await this.#read(sessions[n % 2]!, this.#random.between(0, this.history.sectors - READ_SECTORS));
        await sleep(THINK_MILLISECONDS);
      }
    });
    await Promise.all([...workers, ...readers]);
    for (const session of sessions) session.close();
    expect(this.violations, `seed ${SEED}`).toEqual([]);
  }

  async readAll(): Promise<void> {
    const session = await this.#open();
    let next = 0;
    const reader = async () => {
      while (next < this.history.sectors) {
        const sector = next;
        next += READ_SECTORS;
        await this.#read(session, sector);
      }
    };
    await Promise.all(Array.from({ length: 8 }, reader));
    session.close();
    expect(this.violations, `seed ${SEED}`).toEqual([]);
  }

  async #read(session: PipelinedSession, sector: number): Promise<void> {
    const askedAt = this.history.now();
    const answer = await session.execute(cdb16(0x88, sector, READ_SECTORS), {
      lun: this.place.lun,
      readBytes: READ_SECTORS * SECTOR_BYTES,
    });
    expect(`${answer.status} ${answer.sense}`, `read of sector ${sector}, seed ${SEED}`).toBe("0 ");
    this.violations.push(...this.history.check(answer.data, sector, askedAt));
  }

  async #open(portal = 0): Promise<PipelinedSession> {
    const session = await PipelinedSession.open({ port: this.array.portalPorts[portal]!, targetName: this.array.targetName });
    await session.testUnitReady(this.place.lun);
    return session;
  }

  #options(isOver: () => boolean): LoadOptions {
    return {
      random: this.#random,
      nextSequence: () => ++this.#sequence,
      counts: noCounts(),
      violations: this.violations,
      isOver,
      thinkMilliseconds: THINK_MILLISECONDS,
    };
  }
}

interface SeenEvent {
  readonly sequence: number;
  readonly type: string;
  readonly subject: string;
}

async function eventsAfter(array: RunningArray, sequence: number): Promise<SeenEvent[]> {
  const answer = await array.api(`/api/v1/events?limit=1024&after=${sequence}`);
  return ((await answer.json()) as { events: SeenEvent[] }).events;
}

/** The sum of a metric's series that have these labels; of those of drives, only that one's. */
async function metric(array: RunningArray, wanted: string, drive?: string): Promise<number> {
  const [name, given = ""] = wanted.replace("}", "").split("{");
  const labels = drive !== undefined && name === DRIVE_ERRORS ? `${given},drive="${drive}"` : given;
  const text = await (await array.api("/metrics")).text();
  let sum = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    if (labels.split(",").every((label) => line.includes(label))) sum += Number(line.slice(line.lastIndexOf(" ") + 1));
  }
  return sum;
}

async function setFaults(array: RunningArray, drive: string, rules: readonly FaultRule[]): Promise<void> {
  const path = `/api/v1/faults/drives/${drive}`;
  const answer =
    rules.length === 0
      ? await array.api(path, { method: "DELETE" })
      : await array.api(path, { method: "PUT", body: { seed: 1 + (SEED % 1000), rules } });
  expect(answer.status, await answer.text()).toBe(200);
}

async function runScenario(rig: FaultRig, scenario: FaultScenario): Promise<void> {
  const { array, place } = rig;
  const { drive = place.drive } = scenario;
  const told = `${array.apiUrl} ${drive}`;
  const since = (await eventsAfter(array, 0)).at(-1)!.sequence;
  const before = await Promise.all(scenario.metrics.map((name) => metric(array, name, drive)));
  if (scenario.pull === true) expect((await array.api(`/api/v1/drives/${drive}/pull`, { method: "POST" })).status).toBe(200);
  else await setFaults(array, drive, scenario.rules);
  const health = (await (await array.api("/healthz")).json()) as { warnings: string[] };
  expect(health.warnings.join("\n")).toContain(`drive ${drive} `);
  let over = false;
  const load = rig.load(() => over);
  const began = performance.now();
  const seen = { types: [] as string[], metrics: [] as boolean[] };
  const look = async (): Promise<boolean> => {
    const events = await eventsAfter(array, since);
    seen.types = events
      .filter(({ subject }) => subject === `drive ${drive}` || subject === `pool ${place.pool}`)
      .map(({ type }) => type);
    const now = await Promise.all(scenario.metrics.map((name) => metric(array, name, drive)));
    // Some rise for a moment only.
    seen.metrics = now.map((value, n) => value > before[n]! || seen.metrics[n] === true);
    const wanted = scenario.events.filter((type) => type !== "drive.predictive" || !predictiveAlready.has(told));
    return wanted.every((type) => seen.types.includes(type)) && !seen.metrics.includes(false);
  };
  try {
    await sleep(LOAD_MILLISECONDS_MIN);
    while (!(await look()) && performance.now() - began < LOAD_MILLISECONDS_MAX) await sleep(250);
    const { drives } = await array.pool(place.pool);
    // One that was suspect before stays so, whatever it is given next.
    const expected = predictiveAlready.has(told) ? "predictive" : driveStateAfter(scenario);
    expect(drives.find(({ name }) => name === drive)?.state).toBe(expected);
  } finally {
    over = true;
    // What hangs or waits for room goes on only now.
    if (scenario.pull !== true) await setFaults(array, drive, []);
    await load;
  }
  if (scenario.events.includes("drive.predictive") && seen.types.includes("drive.predictive")) predictiveAlready.add(told);
  const wanted = scenario.events.filter((type) => type !== "drive.predictive" || !predictiveAlready.has(told));
  expect(seen.types).toEqual(expect.arrayContaining(wanted));
  for (const type of scenario.noEvents) expect(seen.types).not.toContain(type);
  expect(seen.metrics, scenario.metrics.join(", ")).not.toContain(false);
  await array.destage(place.pool);
  await rig.readAll();
}

/** A drive is told of once. */
const predictiveAlready = new Set<string>();

describe("faults that are made good", () => {
  // One drive of one pool has them all: the other drives are sound, so that whatever it did is repaired from them.
  let rig: FaultRig;
  beforeAll(async () => {
    // As many errors as the drive is given here: each fault by itself leaves it in its place.
    rig = new FaultRig(await startArray({ env: { ...ENV, VARRAY_DRIVE_HEALTH_FAILED_ERRORS: "1000000" } }), SECTORS_MANY);
    await rig.fill();
  });
  afterAll(async () => {
    await rig.array.remove();
  });

  test.each(REPAIRED_FAULTS)("$name: hosts notice nothing", async (scenario) => {
    await runScenario(rig, scenario);
  });

  test("what one drive did wrong is all made good: after a restart everything is there", async () => {
    await rig.array.stop();
    await rig.array.restart();
    expect((await (await rig.array.api("/api/v1/faults/drives")).json()) as unknown).toEqual({ drives: [] });
    await rig.readAll();
  });

  test("read errors of the same stripes on two drives: MEDIUM ERROR or what was written, never anything else", async () => {
    const { array, history } = rig;
    const since = (await eventsAfter(array, 0)).at(-1)!.sequence;
    const lostBefore = await metric(array, "varray_lost_blocks_total");
    for (const drive of ["01", "02"]) await setFaults(array, drive, [{ fault: "readError", operations: ["read"] }]);
    const session = await PipelinedSession.open({ port: array.portalPorts[0]!, targetName: array.targetName });
    await session.testUnitReady(0);
    const told = new Map<string, number>();
    for (let sector = 0; sector < SECTORS_MANY; sector += 4096) {
      const answer = await session.execute(cdb16(0x88, sector, 8), { lun: 0, readBytes: 8 * SECTOR_BYTES });
      const what = `${answer.status} ${answer.sense}`;
      told.set(what, (told.get(what) ?? 0) + 1);
      if (answer.status === 0) expect(history.check(answer.data, sector, history.now())).toEqual([]);
    }
    session.close();
    expect([...told.keys()].sort()).toEqual(["0 ", "2 03/11/00"]);
    expect((await eventsAfter(array, since)).map(({ type }) => type)).toContain("block.lost");
    expect(await metric(array, "varray_lost_blocks_total")).toBeGreaterThan(lostBefore);
    for (const drive of ["01", "02"]) await setFaults(array, drive, []);
    await rig.readAll();
  });
});

describe("faults that end a drive's membership", () => {
  /** Two at a time, one to a pool: those that take longest together. */
  const byName = (name: string): FaultScenario => FATAL_FAULTS.find((scenario) => scenario.name === name)!;
  const PAIRS = [
    ["hang", "read errors, a hundred"],
    ["write error", "unreachable"],
    ["unknown outcome", "pulled"],
    ["torn write, told as unknown"],
  ];
  expect(PAIRS.flat().sort()).toEqual(FATAL_FAULTS.map(({ name }) => name).sort());

  test.each(PAIRS.map((names) => ({ names })))("$names: hosts notice nothing", async ({ names }) => {
    const array = await startArray({ env: ENV });
    try {
      const runs = names.map((name, n) => {
        const scenario = byName(name);
        return { scenario, rig: new FaultRig(array, scenario.cold === true ? SECTORS_MANY : SECTORS_FEW, [ON_A, ON_B][n]!) };
      });
      await Promise.all(runs.map(({ rig }) => rig.fill()));
      await Promise.all(runs.map(({ rig, scenario }) => runScenario(rig, scenario)));
      await array.kill9();
      await array.restart();
      await Promise.all(runs.map(({ rig }) => rig.readAll()));
    } finally {
      await array.remove();
    }
  });
});

describe("the thread of a pool's drives", () => {
  test("throws, again and again: hosts wait, nothing is lost, and no drive is held to have failed", async () => {
    const array = await startArray({ env: ENV });
    const rig = new FaultRig(array, SECTORS_FEW);
    try {
      await rig.fill();
      const since = (await eventsAfter(array, 0)).at(-1)!.sequence;
      let over = false;
      const load = rig.load(() => over);
      const counted = async (type: string) => (await eventsAfter(array, since)).filter((event) => event.type === type).length;
      try {
        for (let death = 1; death <= 3; death++) {
          await sleep(LOAD_MILLISECONDS_MIN);
          expect((await array.api("/api/v1/faults/drive-threads/A", { method: "POST" })).status).toBe(200);
          await expect.poll(() => counted("drives.threadBack"), { timeout: 30_000 }).toBe(death);
        }
        await sleep(LOAD_MILLISECONDS_MIN);
      } finally {
        over = true;
        await load;
      }
      expect(await counted("drives.threadLost")).toBe(3);
      const types = (await eventsAfter(array, since)).map(({ type }) => type);
      for (const type of [...FATAL_FAULTS.flatMap(({ events }) => events), "pool.failed", "block.lost"])
        expect(types).not.toContain(type);
      expect((await array.pool("A")).state).toBe("optimal");
      await array.destage("A");
      await rig.readAll();
      await array.kill9();
      await array.restart();
      await rig.readAll();
      // A thread that dies for ever is no way to serve: the process ends, and starts anew.
      for (let death = 1; death <= 4; death++) {
        await array.api("/api/v1/faults/drive-threads/A", { method: "POST" }).catch(() => undefined);
        await sleep(1500);
      }
      expect((await array.ended).status).toBe(1);
      await array.restart();
      await rig.readAll();
    } finally {
      await array.remove();
    }
  });
});

test("docs/faults.md says what was found here", () => {
  if (process.env.VARRAY_WRITE_DOCS === "1") writeFileSync(DOCUMENT, faultTable());
  expect(readFileSync(DOCUMENT, "utf8")).toBe(faultTable());
});
