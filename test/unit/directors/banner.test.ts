import { describe, expect, test } from "vitest";
import { bannerOf } from "../../../directors/banner.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { ArraySummary } from "../../../src/control/contract.ts";

const config = loadConfig({ VARRAY_DATA: "/data" });
const summary: ArraySummary = {
  arrayId: "0123",
  targetName: config.targetName,
  firstStart: true,
  apiUrl: "http://127.0.0.1:8080",
  tokenFile: "/data/api-token",
  portals: [
    { director: "1A", address: "127.0.0.1:3260", advertise: "127.0.0.1:3260", open: true },
    { director: "1B", address: "0.0.0.0:3261", advertise: "10.0.0.5:3261", open: false, reason: "set VARRAY_OPEN=1" },
  ],
  pools: [{ name: "A", state: "degraded", driveCount: 4 }],
  luns: [{ lun: 0, volume: "volume-0", sizeBytes: 16 * 2 ** 30, pool: "A", owner: "1A" }],
};

describe("banner", () => {
  const text = bannerOf({ version: "0.1.0", config, summary, node: "20.20.2" });

  test.each([
    "varray 0.1.0 serves, but not all of it is ready (Node 20.20.2): portal 1B is closed.\n",
    "/data",
    "portal 1A  127.0.0.1:3260\n",
    "portal 1B  closed: set VARRAY_OPEN=1",
    "pool A     RAID-5 3+1, drives 00 01 02 03, spare 08, degraded",
    "LUN 0      volume-0, 16 GiB thin, pool A, owner 1A",
    "http://127.0.0.1:8080",
    "/data/api-token",
  ])("says %j", (part) => {
    expect(text).toContain(part);
  });

  test("is ready when every portal is open and no pool failed", () => {
    const portals = summary.portals.map((portal) => ({ ...portal, open: true }));
    const ready = bannerOf({ version: "0.1.0", config, summary: { ...summary, portals }, node: "20.20.2" });
    expect(ready.split("\n")[0]).toBe("varray 0.1.0 is ready (Node 20.20.2).");
    const pools = [{ name: "A", state: "failed" as const, driveCount: 4 }];
    const failed = bannerOf({ version: "0.1.0", config, summary: { ...summary, portals, pools }, node: "20.20.2" });
    expect(failed.split("\n")[0]).toContain("not all of it is ready (Node 20.20.2): pool A failed.");
  });

  test("names loopback to try where a wildcard address is bound", () => {
    const portals = [{ director: "1A", address: "0.0.0.0:3260", advertise: "", open: true }];
    const wildcard = bannerOf({ version: "0.1.0", config, summary: { ...summary, portals }, node: "20.20.2" });
    expect(wildcard).toContain("portal 1A  0.0.0.0:3260\n");
    expect(wildcard).toContain("iscsi-ls -s iscsi://127.0.0.1:3260\n");
  });

  test("ends in three commands to try, at a portal that is open", () => {
    expect(text.split("Try:\n")[1]!.trimEnd().split("\n")).toEqual([
      "  iscsi-ls -s iscsi://127.0.0.1:3260",
      `  qemu-img info iscsi://127.0.0.1:3260/${config.targetName}/0`,
      "  curl http://127.0.0.1:8080/metrics",
    ]);
  });
});
