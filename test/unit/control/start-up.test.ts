import { describe, expect, test } from "vitest";
import type { ArrayDocument } from "../../../src/control/contract.ts";
import { naaOf, newArrayId, serialOf } from "../../../src/control/identity.ts";
import { ADMIN, type ControlArray, controlArray } from "../../support/control-array.ts";
import { type Durable, nothingStored } from "../../support/fake-director.ts";

async function withArray<T>(
  wishes: Parameters<typeof controlArray>[0],
  use: (array: ControlArray) => Promise<T> | T,
): Promise<T> {
  const array = await controlArray(wishes);
  try {
    return await use(array);
  } finally {
    await array.close();
  }
}

const twoEmpty = (): [Durable, Durable] => [nothingStored(), nothingStored()];

describe("start-up, first start", () => {
  test("stores the document before it makes a volume, makes the volumes, routes, and opens the portals last", () =>
    withArray({}, ({ directors }) => {
      expect(directors[0]!.kinds()).toEqual(["storeArrayDocument", "createVolume", "storeArrayDocument", "route", "openPortal"]);
      expect(directors[1]!.kinds()).toEqual(["storeArrayDocument", "createVolume", "storeArrayDocument", "route", "openPortal"]);
      const first = directors[0]!.requests.find((request) => request.kind === "storeArrayDocument");
      expect(first).toMatchObject({ document: { version: 1, nextVolume: 3, pendingVolumes: [{ volume: 1 }, { volume: 2 }] } });
      expect(directors[1]!.durable.array).toMatchObject({
        version: 2,
        luns: [
          { lun: 0, volume: 1 },
          { lun: 1, volume: 2 },
        ],
      });
      expect(directors[1]!.durable.array).not.toHaveProperty("pendingVolumes");
      expect(directors[1]!.routing!.volumes).toEqual([
        { volume: 1, pool: 0, owner: 0, access: "active", logicalBlockBytes: 512 },
        { volume: 2, pool: 1, owner: 1, access: "active", logicalBlockBytes: 512 },
      ]);
    }));

  test("that was cut off after the first volume is finished by the next, with the same identities", async () => {
    const durable = twoEmpty();
    const prepare: NonNullable<Parameters<typeof controlArray>[0]>["prepare"] = (directors) =>
      directors[1]!.refuse.set("createVolume", { code: "failed", message: "the power went" });
    await expect(controlArray({ durable, prepare })).rejects.toThrow("the power went");
    expect(durable[0].volumes).toHaveLength(1);
    const naa = durable[0].volumes[0]!.naa;
    await withArray({ durable }, ({ directors, plane }) => {
      expect(durable[0].volumes.map((volume) => volume.naa)).toEqual([naa]);
      expect(durable[1].volumes).toHaveLength(1);
      expect(directors[0]!.kinds()).not.toContain("createVolume");
      expect(plane.serving().array.document.nextVolume).toBe(3);
    });
  });

  test("is not taken for one when a pool failed or has volumes, and the document is missing", async () => {
    const prepare: NonNullable<Parameters<typeof controlArray>[0]>["prepare"] = (directors) => {
      directors[0]!.poolChanges = { state: "failed", reason: "3 drives missing" };
    };
    const failed = controlArray({ prepare });
    await expect(failed).rejects.toThrow(/no first start.*3 drives missing\): see to what each pool says$/);
    const missing: typeof prepare = (directors) => {
      const drives = [{ name: "00", state: "missing", capacityBytes: 0, zonesUsed: 0, zoneCount: 0 }] as const;
      directors[0]!.poolChanges = { state: "failed", reason: "drives are lost", drives };
    };
    await expect(controlArray({ prepare: missing })).rejects.toThrow(/drives are lost\): bring the missing drives back$/);
    const durable = twoEmpty();
    await withArray({ durable }, () => {});
    durable[0].array = undefined;
    durable[1].array = undefined;
    await expect(controlArray({ durable })).rejects.toThrow(/no first start/);
  });
});

describe("start-up, restart", () => {
  test("changes nothing on the drives when all pools have the newest document", async () => {
    const durable = twoEmpty();
    const before = await withArray({ durable }, ({ plane }) => plane.serving().array.document);
    await withArray({ durable }, ({ directors, plane }) => {
      expect(directors[0]!.kinds()).toEqual(["route", "openPortal"]);
      expect(plane.serving().array.document).toEqual(before);
      expect([...plane.serving().array.volumes.keys()]).toEqual([1, 2]);
    });
  });

  test("takes the newest document and stores it on pools that are behind", async () => {
    const durable = twoEmpty();
    await withArray({ durable }, () => {});
    const old: ArrayDocument = { ...durable[1].array!, version: 1, luns: [] };
    durable[1].array = old;
    await withArray({ durable }, ({ plane }) => {
      expect(plane.serving().array.document.luns).toHaveLength(2);
      expect(durable[1].array).toEqual(durable[0].array);
      expect(durable[1].array!.version).toBeGreaterThan(2);
    });
  });

  test("refuses pools of two arrays, and a document of another format", async () => {
    const durable = twoEmpty();
    await withArray({ durable }, () => {});
    const mixed: [Durable, Durable] = [durable[0], { ...durable[1], array: { ...durable[1].array!, arrayId: "f".repeat(32) } }];
    await expect(controlArray({ durable: mixed })).rejects.toThrow(/different arrays/);
    durable[1].array = { ...durable[1].array!, formatVersion: 99 };
    await expect(controlArray({ durable })).rejects.toThrow(/format version 99/);
  });

  test("reports a LUN whose pool is not there, and starts", async () => {
    const durable = twoEmpty();
    await withArray({ durable }, () => {});
    durable[1].volumes = [];
    const prepare: NonNullable<Parameters<typeof controlArray>[0]>["prepare"] = (directors) => {
      directors[1]!.poolChanges = { state: "failed", reason: "journal is missing" };
    };
    await withArray({ durable, prepare }, async ({ events, app }) => {
      expect(events.list({ severity: "warning" }).map(({ type }) => type)).toContain("lun.volumeMissing");
      const health = await app.inject("/healthz");
      expect(health.statusCode).toBe(503);
      expect(health.json().reasons).toContain("pool B failed: journal is missing");
      const payload = { name: "v", pool: "A", sizeBytes: 2 ** 30 };
      const created = await app.inject({ method: "POST", url: "/api/v1/volumes", headers: ADMIN, payload });
      expect([created.statusCode, created.json().error.code]).toEqual([409, "poolFailed"]);
    });
  });

  test("ends with the director's reason when a director dies before it has opened", async () => {
    await expect(controlArray({ prepare: (directors) => directors[1]!.die() })).rejects.toThrow(/director 1B has ended/);
  });
});

describe("start-up, portals", () => {
  const beyond = { VARRAY_PORTALS_1B_HOST: "0.0.0.0" };

  test("beyond loopback stay closed without the allow-list, open with it, and the switch back is refused", () =>
    withArray({ env: beyond }, async ({ directors, app, events }) => {
      expect(directors.map(({ listening }) => listening)).toEqual([true, false]);
      expect(events.list({})).toContainEqual(expect.objectContaining({ type: "portal.closed", subject: "portal 1B" }));
      const opened = () => events.list({}).flatMap(({ type, message }) => (type === "portal.opened" ? [message] : []));
      expect(opened()).toEqual(["portal 1A is open at 127.0.0.1:3260: it is on loopback"]);
      expect((await app.inject("/healthz")).statusCode).toBe(503);
      const on = await app.inject({
        method: "PUT",
        url: "/api/v1/host-access",
        headers: ADMIN,
        payload: { allowListOnly: true },
      });
      expect(on.statusCode).toBe(200);
      expect(opened()[1]).toMatch(/^portal 1B is open at 0\.0\.0\.0:3261: the allow-list is on/);
      expect(directors.map(({ listening }) => listening)).toEqual([true, true]);
      expect((await app.inject("/healthz")).statusCode).toBe(200);
      const off = await app.inject({
        method: "PUT",
        url: "/api/v1/host-access",
        headers: ADMIN,
        payload: { allowListOnly: false },
      });
      expect(off.statusCode).toBe(409);
      expect(off.json().error.code).toBe("portalExposed");
    }));

  test("beyond loopback open with VARRAY_OPEN=1", () =>
    withArray({ env: { ...beyond, VARRAY_OPEN: "1" } }, ({ directors }) => {
      expect(directors.map(({ listening }) => listening)).toEqual([true, true]);
    }));

  test("that can't be bound stop the start with the reason", async () => {
    const prepare: NonNullable<Parameters<typeof controlArray>[0]>["prepare"] = (directors) =>
      directors[0]!.refuse.set("openPortal", { code: "failed", message: "127.0.0.1:3260 is in use" });
    await expect(controlArray({ prepare })).rejects.toThrow("127.0.0.1:3260 is in use");
  });
});

describe("identities", () => {
  test("are 32 hexadecimal digits of NAA type 6 and a 20-character serial, different for every volume and array", () => {
    const ids = [newArrayId(), newArrayId()];
    const all = ids.flatMap((id) => [1, 2, 0xffff_ffff].map((volume) => [naaOf(id, volume), serialOf(id, volume)]));
    for (const [naa, serial] of all) {
      expect(naa).toMatch(/^6025641[0-9a-f]{25}$/);
      expect(serial).toMatch(/^[0-9A-F]{20}$/);
    }
    expect(new Set(all.flat()).size).toBe(12);
  });
});
