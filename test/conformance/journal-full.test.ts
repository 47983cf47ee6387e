/**
 * The disk below a journal is full, under load on both portals: hosts wait, then are told 7/27/07 for writes, and read on; once there
 * is room the pool takes writes again, without a restart. Every sector is a linearizable register all the time, and after a kill.
 */
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { canMount, SmallDisk } from "../support/small-disk.ts";
import { TwoPathLoad } from "../support/two-paths/two-path-load.ts";
import { UnitProbe } from "../support/unit-probe.ts";

const SEED = Number(process.env.VARRAY_FAILOVER_SEED ?? Math.floor(Math.random() * 2 ** 31));
const WAIT = { timeout: 60_000, interval: 100 };
const MEBIBYTE = 2 ** 20;
const JOURNAL = 32 * MEBIBYTE;
const PROBED_SECTOR = 100_000;
const NO_ROOM = "07/27/07";
const LOAD_MILLISECONDS = 1500;

let array: RunningArray | undefined;
let disk: SmallDisk | undefined;
let load: TwoPathLoad | undefined;
let probes: UnitProbe[] = [];
afterEach(async () => {
  load?.close();
  for (const probe of probes) probe.close();
  await array?.kill9();
  disk?.remove();
  await array?.remove();
});

async function events(type: string): Promise<{ severity: string; message: string }[]> {
  const { events: all } = (await (await array!.api("/api/v1/events?limit=1000")).json()) as {
    events: { type: string; severity: string; message: string }[];
  };
  return all.filter((event) => event.type === type);
}

async function judged(): Promise<void> {
  const { violations, figures } = await load!.stopAndJudge();
  process.stdout.write(
    `journal full: ${figures.operations} operations, ${figures.repeated} repeated, longest ${Math.round(figures.longestMilliseconds)} ms\n`,
  );
  expect(violations, `seed ${SEED}\n${array!.log.slice(-3000)}`).toEqual([]);
}

describe.skipIf(!canMount())("a journal whose disk is full", () => {
  test("hosts wait, are told, and are served again when there is room; nothing is lost", {
    timeout: 4 * WAIT.timeout,
  }, async () => {
    array = await startArray({ env: { VARRAY_JOURNAL_BYTES: `${JOURNAL}` } });
    expect((await array.stop()).status).toBe(0);
    // The journals with holes, so that what is written to them for the first time wants room.
    disk = SmallDisk.under(join(array.dataFolder, "journals"), 4 * JOURNAL);
    await array.restart();
    disk.fill(8 * MEBIBYTE);
    load = new TwoPathLoad({
      ports: array.portalPorts,
      targetName: array.targetName,
      luns: [0],
      sectors: 512,
      fillSectors: 65_536,
      hosts: 2,
      workersPerHost: 2,
      seed: SEED,
      operationMilliseconds: 2 * WAIT.timeout,
      tryAgain: /^07\/27\/07/,
    });
    await load.open();
    probes = await Promise.all(array.portalPorts.map((port) => UnitProbe.open(port, array!.targetName)));
    load.start();
    await expect.poll(async () => (await events("journal.noSpace")).length, WAIT).toBeGreaterThanOrEqual(2);
    for (const probe of probes) {
      await expect.poll(() => probe.ready(), WAIT).toBe("good");
      expect(await probe.write(PROBED_SECTOR)).toBe(NO_ROOM);
      expect(await probe.read(0)).toBe("good");
      expect(await probe.groups()).toEqual({ 1: "optimized", 2: "nonOptimized" });
    }
    expect((await events("journal.noSpace"))[0]!.severity).toBe("critical");
    expect(await events("pool.failed")).toEqual([]);
    expect((await array.pool("A")).state).toBe("optimal");
    disk.empty();
    await expect.poll(() => events("journal.hasRoom"), WAIT).toHaveLength(1);
    for (const probe of probes) await expect.poll(() => probe.write(PROBED_SECTOR), WAIT).toBe("good");
    await new Promise((resolve) => setTimeout(resolve, LOAD_MILLISECONDS));
    await judged();
    await array.kill9();
    await array.restart();
    await expect.poll(() => load!.allPathsUp, WAIT).toBe(true);
    await judged();
  });
});
