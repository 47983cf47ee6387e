/** The control plane's thread as main starts it (from the build), and the CLI against its socket. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Config, driveNames } from "../../../src/config/config.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { runCli } from "../../../src/control/cli/run.ts";
import type { ControlToMain, Ownership } from "../../../src/control/contract.ts";
import { FakeDirector } from "../../support/fake-director.ts";

const DIST = new URL("../../../dist/", import.meta.url);
type GlobalMemoryModule = typeof import("../../../drivers/shared-memory/global-memory.ts");

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "varray-control-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function start(env: NodeJS.ProcessEnv = {}, open = true) {
  const port = await freePort();
  const config = loadConfig({ VARRAY_API_PORT: String(port), VARRAY_LOG_LEVEL: "error", VARRAY_DATA: folder, ...env });
  const directors = config.directors.map((_, index) => new FakeDirector(config, index));
  const { createGlobalMemory } = (await import(
    new URL("drivers/shared-memory/global-memory.js", DIST).href
  )) as GlobalMemoryModule;
  const { transfer } = createGlobalMemory(shapeOf(config));
  const ports = directors.map((director) => director.port);
  const ownership: Ownership = {
    version: 1,
    pools: config.pools.map(({ owner }) => ({ owner, access: "active" })),
    directors: config.directors.map(() => "active"),
    failovers: 0,
    takeoverSeconds: 0,
  };
  const worker = new Worker(new URL("src/control/control.worker.js", DIST), {
    workerData: { memory: transfer, config, directors: ports, ownership },
    transferList: ports,
  });
  const messages: ControlToMain[] = [];
  worker.on("message", (message: ControlToMain) => messages.push(message));
  if (open) for (const director of directors) director.open();
  const message = async <K extends ControlToMain["kind"]>(kind: K) => {
    await expect.poll(() => messages.map((one) => one.kind), { timeout: 10_000 }).toContain(kind);
    return messages.find((one) => one.kind === kind) as Extract<ControlToMain, { kind: K }>;
  };
  return { worker, directors, port, message, config };
}

function shapeOf(config: Config) {
  return {
    directorCount: config.directors.length,
    poolCount: config.pools.length,
    driveCount: config.pools.flatMap(driveNames).length,
    poolReachedBy: config.pools.map(({ reachedBy }) => reachedBy),
    frameCount: 256,
    stagingBytesPerPool: 65_536,
    mailboxBytes: 65_536,
  };
}

describe("control thread", () => {
  test("starts, tells the banner's summary, serves the API and the CLI, and stops", async () => {
    const { worker, directors, port, message, config } = await start();
    try {
      const { summary } = await message("ready");
      expect(summary).toMatchObject({
        targetName: config.targetName,
        firstStart: true,
        apiUrl: `http://127.0.0.1:${port}`,
        tokenFile: path.join(folder, "api-token"),
        portals: [{ director: "1A", advertise: "127.0.0.1:3260", open: true }, { director: "1B" }],
        luns: [
          { lun: 0, volume: "volume-0", owner: "1A" },
          { lun: 1, volume: "volume-1", owner: "1B" },
        ],
      });
      expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
      expect(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()).toContain("varray_scsi_commands_total{");
      worker.postMessage({
        kind: "event",
        event: { time: "now", severity: "warning", type: "main.test", subject: "main", message: "hello" },
      });
      await cliAgainst(port, directors);
      worker.postMessage({ kind: "stop" });
      await message("stopped");
      await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
    } finally {
      await worker.terminate();
      for (const director of directors) director.die();
    }
  }, 30_000);

  test("says fatal with the variable to change when its port is taken", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as AddressInfo;
    const { worker, directors, message } = await start({ VARRAY_API_PORT: String(port) });
    try {
      expect((await message("fatal")).message).toMatch(
        new RegExp(`127.0.0.1:${port} \\(VARRAY_API_HOST, VARRAY_API_PORT\\).*EADDRINUSE`),
      );
    } finally {
      await worker.terminate();
      for (const director of directors) director.die();
      await new Promise((resolve) => taken.close(resolve));
    }
  }, 30_000);

  test("answers healthz with 503 while directors open their pools, and stops then too", async () => {
    const { worker, directors, port, message } = await start({}, false);
    try {
      const status = () =>
        fetch(`http://127.0.0.1:${port}/healthz`).then(
          (answer) => answer.status,
          () => 0,
        );
      await expect.poll(status, { timeout: 10_000 }).toBe(503);
      worker.postMessage({ kind: "stop" });
      await message("stopped");
    } finally {
      await worker.terminate();
      for (const director of directors) director.die();
    }
  }, 30_000);
});

async function cliAgainst(port: number, directors: readonly FakeDirector[]): Promise<void> {
  const cli = async (...args: string[]) => {
    let [out, err] = ["", ""];
    const env = { VARRAY_API: `127.0.0.1:${port}`, VARRAY_DATA: folder };
    const status = await runCli(args, {
      env,
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
    });
    return { status, out, err };
  };
  const good = async (...args: string[]) => {
    const result = await cli(...args);
    expect(result, args.join(" ")).toMatchObject({ status: 0, err: "" });
    return result.out;
  };
  expect(await good("status")).toContain("array is ready");
  expect(await good("status")).toMatch(/pool A {5}16 GiB provisioned of 40 GiB usable \(40 %\), 10 GiB used/);
  expect(await good("pools")).toMatch(/^POOL {2}STATE.*\nA {5}optimal {2}1A/);
  expect(await good("drives")).toMatch(/07 {5}B {5}online/);
  expect(await good("volumes")).toMatch(/1 {2}volume-0 {2}A {5}1A {5}0 {4}16 GiB/);
  expect(await good("volumes", "create", "data", "--pool", "B", "--size", "1.5GiB", "--lun", "5")).toContain("1.5 GiB");
  expect(await good("volumes", "grow", "data", "2GiB")).toContain("2 GiB");
  expect(await good("volumes", "grow", "data", "64GiB")).toMatch(/\nwarning: the volumes of pool B are 80 GiB together/);
  expect(await good("pools")).toContain("80 GiB (200 %)");
  expect(JSON.parse(await good("--json", "luns"))).toMatchObject({ luns: [{}, {}, { lun: 5, name: "data" }] });
  expect(await cli("volumes", "delete", "data")).toMatchObject({ status: 1, err: expect.stringContaining("force") });
  expect(await good("luns", "unmap", "5")).toContain("unmapped");
  expect(await good("luns", "map", "data")).toMatch(/2 {2}data/);
  expect(await good("volumes", "delete", "data", "--force")).toContain("deleted");
  expect(await good("destage")).toBe("pool A: everything is on the drives\npool B: everything is on the drives\n");
  expect(directors[0]!.kinds()).toContain("destagePool");
  const secretFile = path.join(folder, "api-token"); // any file with 12 characters or more
  expect(
    await good("hosts", "add", "h1", "iqn.1993-08.org.debian:01:x", "--chap-user", "u", "--chap-secret-file", secretFile),
  ).toContain("h1");
  expect(directors[1]!.routing!.array.hosts[0]!.chap).toEqual({ user: "u", secret: readFileSync(secretFile, "utf8").trim() });
  expect(await good("hosts", "chap", "h1", "--none")).toContain("needs no secret");
  expect(await good("hosts", "allow-list", "on")).toContain("on");
  expect(await good("hosts")).toMatch(/allow-list is on.*\nHOST.*\nh1/);
  expect(await good("hosts", "remove", "h1")).toContain("removed");
  expect(await good("events", "--severity", "warning")).toContain("main.test");
  directors[1]!.raise("drive.missing", "critical");
  await expect.poll(() => good("events", "--severity", "critical")).toMatch(/drive.missing +test: drive.missing happened/);
  expect(await good("sessions")).toContain("INITIATOR");
  expect(await good("directors")).toMatch(/1B +1 {2}active/);
  expect(await good("ports")).toMatch(/1B {8}127\.0\.0\.1:3261/);
  expect(await good("metrics", "varray_pool_state")).toMatch(/^# HELP varray_pool_state/);
  // Exit statuses: refused, used wrongly, not reached.
  expect(await cli("volumes", "create", "x", "--pool", "Q", "--size", "1GiB")).toMatchObject({
    status: 1,
    err: expect.stringContaining('no pool "Q"'),
  });
  expect(await cli("--token", "wrong", "luns", "unmap", "0")).toMatchObject({
    status: 1,
    err: expect.stringContaining("--token"),
  });
  expect(await cli("volumes", "create", "x", "--pool", "A", "--size", "1GB")).toMatchObject({
    status: 2,
    err: expect.stringContaining("KiB"),
  });
  expect(await cli("volumes", "create", "x")).toMatchObject({ status: 2 });
  expect(await cli("snapshots")).toMatchObject({ status: 2 });
  expect(await cli("volumes", "resize", "data")).toMatchObject({
    status: 2,
    err: expect.stringContaining("unknown command 'volumes resize'; there are list, create, grow, delete"),
  });
  expect(await cli("hosts", "--json")).toMatchObject({ status: 0 });
  expect(await cli("--api", `127.0.0.1:${await freePort()}`, "pools")).toMatchObject({
    status: 3,
    err: expect.stringContaining("ECONNREFUSED"),
  });
  expect((await cli("--help")).status).toBe(0);
}
