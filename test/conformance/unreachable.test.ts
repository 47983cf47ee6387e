/**
 * Drives that can't be reached, of a whole array under load on both portals: their thread does not come back for long, or neither
 * director has a way to it. Hosts are told 2/04/0C and see every path unavailable; nobody takes a drive for failed; the pool
 * comes back by itself, and every sector is a linearizable register all the time.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { TwoPathLoad } from "../support/two-paths/two-path-load.ts";
import { UnitProbe } from "../support/unit-probe.ts";

const SEED = Number(process.env.VARRAY_FAILOVER_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Of everything that is waited for here. */
const WAIT = { timeout: 60_000, interval: 100 };
/** A request has 20 s, so that is how long it takes until a director finds that nothing brings its requests on. */
const CUT_OFF_SECONDS = 26;
const UNAVAILABLE = "02/04/0c";
/** Beyond the sectors that are registers. */
const PROBED_SECTOR = 300_000;

let array: RunningArray;
let load: TwoPathLoad;
let probes: UnitProbe[] = [];
beforeEach(async () => {
  array = await startArray();
  load = new TwoPathLoad({
    ports: array.portalPorts,
    targetName: array.targetName,
    luns: [0, 1],
    sectors: 512,
    fillSectors: 65_536,
    hosts: 2,
    workersPerHost: 2,
    seed: SEED,
    operationMilliseconds: 2 * WAIT.timeout,
  });
  await load.open();
  probes = await Promise.all(array.portalPorts.map((port) => UnitProbe.open(port, array.targetName)));
  load.start();
});
afterEach(async () => {
  load.close();
  for (const probe of probes) probe.close();
  await array.remove();
});

interface EventSeen {
  readonly type: string;
  readonly severity: string;
  readonly subject: string;
}

async function command(path: string, body?: object): Promise<void> {
  const response = await array.api(path, { method: "POST", ...(body === undefined ? {} : { body }) });
  expect(response.status, await response.text()).toBe(200);
}

async function events(subject: string): Promise<string[]> {
  const { events: all } = (await (await array.api("/api/v1/events?limit=1000")).json()) as { events: EventSeen[] };
  return all.filter((event) => event.subject === subject).map(({ type, severity }) => `${severity} ${type}`);
}

async function poolAccess(): Promise<string | undefined> {
  const metrics = await (await array.api("/metrics")).text();
  return /^varray_pool_access\{pool="A",access="(\w+)"\} 1$/m.exec(metrics)?.[1];
}

/** What hosts are told while nothing reaches the drives of pool A, at both portals. */
async function expectUnavailable(): Promise<void> {
  for (const probe of probes) {
    await expect.poll(() => probe.ready(), WAIT).toBe(UNAVAILABLE);
    expect(await probe.read(0)).toBe(UNAVAILABLE);
    expect(await probe.write(PROBED_SECTOR)).toBe(UNAVAILABLE);
    expect(await probe.groups()).toEqual({ 1: "unavailable", 2: "unavailable" });
  }
  expect(await poolAccess()).toBe("unavailable");
  expect((await array.pool("A")).state).toBe("failed");
}

async function expectServed(): Promise<void> {
  for (const probe of probes) {
    await expect.poll(() => probe.ready(), WAIT).toBe("good");
    expect(await probe.read(0)).toBe("good");
    expect(await probe.write(PROBED_SECTOR)).toBe("good");
    expect(await probe.groups()).toEqual({ 1: "optimized", 2: "nonOptimized" });
  }
  expect(await poolAccess()).toBe("active");
  const { state, drives } = await array.pool("A");
  expect([state, drives.map((drive) => drive.state).filter((one) => one !== "online" && one !== "spare")]).toEqual([
    "optimal",
    [],
  ]);
}

async function expectNothingWrong(): Promise<void> {
  const { violations, figures } = await load.stopAndJudge();
  process.stdout.write(
    `unreachable: ${figures.operations} operations, ${figures.repeated} repeated, longest ${Math.round(figures.longestMilliseconds)} ms\n`,
  );
  expect(violations, `seed ${SEED}\n${array.log.slice(-3000)}`).toEqual([]);
  for (const drive of (await array.pool("A")).drives)
    expect(await events(`drive ${drive.name}`), array.log.slice(-6000)).toEqual([]);
}

describe("drives that can't be reached", () => {
  test("by either director: told of, opened again as often as it takes once they can be reached, and nothing is lost", {
    timeout: 4 * WAIT.timeout,
  }, async () => {
    for (const director of ["1A", "1B"])
      await command(`/api/v1/faults/directors/${director}`, { kind: "cutOff", seconds: CUT_OFF_SECONDS });
    await expectUnavailable();
    for (const director of ["1A", "1B"]) expect(await events(`director ${director}`)).toContain("warning director.cutOff");
    expect(await events("pool A")).toContain("critical pool.unreachable");
    // The path comes back before the journal does: what is not there at the first try may be at the next.
    const journal = join(array.dataFolder, "journals", "A");
    renameSync(journal, `${journal}.aside`);
    await expect.poll(() => events("pool A"), WAIT).toContain("critical pool.reopened");
    await expectUnavailable();
    renameSync(`${journal}.aside`, journal);
    await expectServed();
    expect(await events("pool A")).toContain("info pool.reopened");
    for (const director of ["1A", "1B"]) expect(await events(`director ${director}`)).toContain("info director.reachesDrives");
    await expectNothingWrong();
  });

  test("by either director, and the pool's owner is killed: the one that is started again is its partner's way to them", {
    timeout: 4 * WAIT.timeout,
  }, async () => {
    for (const director of ["1A", "1B"])
      await command(`/api/v1/faults/directors/${director}`, { kind: "cutOff", seconds: CUT_OFF_SECONDS });
    await command("/api/v1/faults/directors/1A", { kind: "kill" });
    await expect.poll(() => events("director 1A"), WAIT).toContain("info director.returned");
    probes[0]!.close();
    const reopened = async (): Promise<boolean> => {
      probes[0] = await UnitProbe.open(array.portalPorts[0]!, array.targetName);
      return true;
    };
    await expect.poll(() => reopened().catch(() => false), WAIT).toBe(true);
    await expect.poll(() => probes[1]!.groups(), WAIT).toEqual({ 1: "optimized", 2: "nonOptimized" });
    await expectServed();
    await expectNothingWrong();
  });

  test("as their thread does not come back in time: likewise, once it is there", { timeout: 4 * WAIT.timeout }, async () => {
    // Its new incarnation waits at this drive's database, as at a disk that does not answer.
    const current = join(array.dataFolder, "drives", "00", "meta", "CURRENT");
    const content = readFileSync(current);
    const pipe = `${current}.pipe`;
    execFileSync("mkfifo", [pipe]);
    renameSync(pipe, current);
    await command("/api/v1/faults/drive-threads/A");
    await expectUnavailable();
    expect(await events("pool A")).toEqual(expect.arrayContaining(["critical drives.threadLost", "critical pool.unreachable"]));
    writeFileSync(current, content);
    await expectServed();
    expect(await events("pool A")).toEqual(expect.arrayContaining(["info drives.threadBack", "info pool.reopened"]));
    await expectNothingWrong();
  });
});
