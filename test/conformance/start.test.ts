import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { prepareArray, type RunningArray, startArray } from "../support/array.ts";
import { hasTools, runTool } from "../support/tools.ts";

const STOP_MILLISECONDS_MAX = 5000;

const arrays: RunningArray[] = [];
function keep(array: RunningArray): RunningArray {
  arrays.push(array);
  return array;
}
afterEach(async () => {
  for (const array of arrays.splice(0)) await array.remove();
});

describe("start and stop of the array", () => {
  test("serves on its ports, says so, stops on SIGTERM with status 0 in time, and starts again", async () => {
    const array = keep(await startArray());
    expect((await array.api("/healthz")).status).toBe(200);
    expect(array.log).toContain(array.portals[0]);
    expect(array.log).toContain(array.portals[1]);
    expect(array.log).toContain("LUN 1");
    const first = await array.stop();
    expect([first.status, first.signal]).toEqual([0, null]);
    expect(first.milliseconds).toBeLessThan(STOP_MILLISECONDS_MAX);
    await array.restart();
    expect((await array.api("/healthz")).status).toBe(200);
    expect((await array.stop()).status).toBe(0);
  });

  test("starts again after kill -9, on the same drives", async () => {
    const array = keep(await startArray());
    await array.kill9();
    await array.restart();
    expect(array.log).not.toContain("degraded");
    expect((await array.stop()).status).toBe(0);
  });

  test("starts after kill -9 at any moment of the first start", async () => {
    const array = keep(await prepareArray());
    for (const milliseconds of [100, 200, 300, 400, 600, 900]) {
      array.spawn();
      await new Promise((resolve) => {
        setTimeout(resolve, milliseconds);
      });
      await array.kill9();
    }
    await array.restart();
    expect(array.log).toContain("LUN 0");
    expect(array.log).toContain("LUN 1");
    expect(array.log).not.toContain("degraded");
  });

  test("refuses a data folder that another process holds, with status 3", async () => {
    const first = keep(await startArray());
    const second = keep(await prepareArray({ dataFolder: first.dataFolder }));
    second.spawn();
    const { status } = await second.ended;
    expect(status).toBe(3);
    expect(second.log).toContain(first.dataFolder);
    expect(second.log).toContain("VARRAY_DATA");
    expect((await first.api("/healthz")).status).toBe(200);
  });

  test("refuses a bad configuration with status 2, naming the key and what is allowed", async () => {
    const array = keep(await prepareArray({ env: { VARRAY_MEMORY_FRAMES: "lots" } }));
    array.spawn();
    expect((await array.ended).status).toBe(2);
    expect(array.log).toContain("VARRAY_MEMORY_FRAMES");
    expect(array.log).toContain("lots");
    expect(readdirSync(array.dataFolder)).toEqual([]);
  });

  test("refuses an unknown format with status 4", async () => {
    const array = keep(await prepareArray());
    writeFileSync(join(array.dataFolder, "format"), '{"formatVersion": 2, "drives": {}}');
    array.spawn();
    expect((await array.ended).status).toBe(4);
    expect(array.log).toContain("format 2");
  });

  test("ends with a message and a status that is not 0 when a port is taken", async () => {
    const first = keep(await startArray());
    const second = keep(await prepareArray({ env: { VARRAY_API_PORT: new URL(first.apiUrl).port } }));
    second.spawn();
    expect((await second.ended).status).toBe(1);
    expect(second.log).toContain("VARRAY_API_PORT");
  });

  test("starts degraded when a drive's folder is gone, and does not make a new one in its place", async () => {
    const array = keep(await startArray());
    await array.stop();
    rmSync(join(array.dataFolder, "drives", "02"), { recursive: true });
    await array.restart();
    expect(array.log).toContain("degraded");
    await array.stop();
    await array.restart();
    expect(array.log).toContain("degraded");
  });

  test("takes four directors by configuration", async () => {
    const array = keep(await startArray({ engines: 2 }));
    for (const portal of array.portals) expect(array.log).toContain(portal);
    expect((await array.stop()).status).toBe(0);
  });

  test.skipIf(!hasTools("iscsi-ls"))("shows both LUNs at both portals to iscsi-ls", async () => {
    const array = keep(await startArray());
    for (const portal of array.portals) {
      const { status, output } = runTool("iscsi-ls", ["-s", `iscsi://${portal}`]);
      expect(status).toBe(0);
      for (const other of array.portals) expect(output).toContain(`Portal:${other}`);
      expect(output.match(/Lun:0 /g)?.length).toBeGreaterThanOrEqual(1);
      expect(output.match(/Lun:1 /g)?.length).toBeGreaterThanOrEqual(1);
    }
  });
});
