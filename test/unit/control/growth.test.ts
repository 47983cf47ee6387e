import { serialize } from "node:v8";
import { afterEach, describe, expect, test } from "vitest";
import { type Access, admit } from "../../../directors/front-end/iscsi/login/access.ts";
import type { DirectorStatus, FoundVolume, HostDocument } from "../../../src/control/contract.ts";
import { volumeView, volumeViews } from "../../../src/control/views.ts";
import { ADMIN, type ControlArray, controlArray, type Wishes } from "../../support/control-array.ts";
import { nothingStored } from "../../support/fake-director.ts";

const open: ControlArray[] = [];
async function array(wishes: Wishes = {}): Promise<ControlArray> {
  const one = await controlArray(wishes);
  open.push(one);
  return one;
}
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

function volume(number: number, pool: number): FoundVolume {
  return {
    volume: number,
    name: `v${number}`,
    sizeBytes: 2 ** 30,
    logicalBlockBytes: 512,
    naa: "6".padEnd(32, "0"),
    serial: `${number}`,
    writeCacheEnabled: true,
    createdAt: "2026-01-01T00:00:00Z",
    pool,
  };
}

/** An array of `count` volumes beside its first two, `luns` of them mapped from LUN 2 on. */
async function arrayOf(count: number, luns: number): Promise<ControlArray> {
  const first = await array();
  const durable = first.directors.map((director) => director.durable);
  for (let n = 0; n < count; n++) durable[n % 2]!.volumes.push(volume(n + 3, n % 2));
  const mapped = Array.from({ length: luns }, (_, n) => ({ lun: n + 2, volume: n + 3 }));
  for (const one of durable) one.mapped = new Map(Array.from({ length: count }, (_, n) => [n + 3, (n + 3) * 4096]));
  for (const one of durable) one.array = { ...one.array!, nextVolume: count + 3, luns: [...one.array!.luns, ...mapped] };
  return array({ durable });
}

/** The list, and how many of its elements were looked at. */
function counted<T extends object>(list: readonly T[]): { list: readonly T[]; looks: () => number } {
  let looks = 0;
  const proxy = new Proxy(list, {
    get: (target, name, receiver) => {
      if (typeof name === "string" && /^\d+$/.test(name)) looks += 1;
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  return { list: proxy, looks: () => looks };
}

describe("growth of the control plane with volumes", () => {
  test("a list of a thousand looks at each once, and shows each as it is shown by itself", async () => {
    const one = await arrayOf(1000, 100);
    const { array: state } = one.plane.serving();
    const statuses: DirectorStatus[] = await one.plane.statusOrThrow();
    let walks = 0;
    const watched = statuses.map((status) => ({
      ...status,
      pools: status.pools.map((pool) => ({
        ...pool,
        get usage() {
          walks += 1;
          return pool.usage;
        },
      })),
    }));
    const views = volumeViews(state, watched);
    expect(views).toHaveLength(1002);
    expect(walks).toBe(2);
    for (const at of [0, 2, 101, 1001]) {
      expect(views[at]).toEqual(volumeView(state, state.volumes.get(views[at]!.volume)!, statuses));
    }
    expect(views[2]).toMatchObject({ volume: 3, luns: [2], mappedBytes: 3 * 4096 });
    expect(views[1001]).toMatchObject({ volume: 1002, luns: [] });
  });

  test("a director's status has three numbers for a volume, and no document", async () => {
    const one = await arrayOf(1000, 0);
    for (const { pools } of await one.plane.statusOrThrow()) {
      const bytes = serialize(pools).byteLength;
      expect(bytes).toBeLessThan(500 * (4 + 8 + 1) * 1.1 + 2500);
    }
  });

  test("a change tells the directors of the volumes that hosts can reach, not of all", async () => {
    const one = await arrayOf(1000, 4);
    const create = { name: "more", pool: "A", sizeBytes: 2 ** 30 };
    const answer = await one.app.inject({ method: "POST", url: "/api/v1/volumes", headers: ADMIN, payload: create });
    expect(answer.statusCode).toBe(201);
    for (const director of one.directors) {
      expect(director.routing!.volumes.map(({ volume: number }) => number).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
    }
  });

  test("each of 1,024 volumes can be a LUN, and there is no more of either", async () => {
    const one = await arrayOf(1022, 1021);
    const call = async (url: string, payload: object) =>
      one.app.inject({ method: "POST", url, headers: ADMIN, payload }).then((answer) => ({
        status: answer.statusCode,
        body: answer.json() as { error?: { code: string }; lun?: number },
      }));
    expect(await call("/api/v1/luns", { volume: 1024 })).toMatchObject({ status: 201, body: { lun: 1023 } });
    expect(await call("/api/v1/luns", { volume: 1, lun: 1024 })).toMatchObject({
      status: 422,
      body: { error: { code: "lunOutOfRange" } },
    });
    expect(await call("/api/v1/volumes", { name: "more", pool: "A", sizeBytes: 2 ** 30 })).toMatchObject({
      status: 409,
      body: { error: { code: "tooManyVolumes" } },
    });
    expect(one.directors[0]!.routing!.volumes).toHaveLength(1024);
    const unmapped = await one.app.inject({ method: "DELETE", url: "/api/v1/luns/1023", headers: ADMIN });
    expect(unmapped.statusCode).toBe(200);
    expect(one.directors[0]!.routing!.volumes).toHaveLength(1023);
  });
});

describe("growth with hosts", () => {
  const host = (n: number): HostDocument => ({
    name: `host-${n}`.padEnd(63, "x"),
    initiatorName: `iqn.2026-11.io.varray:host-${n}`.padEnd(210, "y"),
    chap: { user: "u".repeat(64), secret: "s".repeat(16) },
  });

  test("more than a drive takes as one document are refused before any drive is asked, and the array goes on", async () => {
    const durable = [nothingStored(), nothingStored()];
    const first = await array({ durable });
    const hosts = Array.from({ length: 600 }, (_, n) => host(n));
    for (const one of durable) one.array = { ...one.array!, hosts };
    await first.close();
    open.length = 0;
    const one = await array({ durable });
    let refused: { status: number; body: { error?: { code: string } } } | undefined;
    for (let n = 600; n < 1024 && refused === undefined; n++) {
      const before = one.directors[0]!.requests.length;
      const { name, initiatorName } = host(n);
      const payload = { name, initiatorName, chap: host(n).chap };
      const answer = await one.app.inject({ method: "POST", url: "/api/v1/hosts", headers: ADMIN, payload });
      if (answer.statusCode < 300) continue;
      refused = { status: answer.statusCode, body: answer.json() as { error?: { code: string } } };
      expect(one.directors[0]!.requests.length).toBe(before);
    }
    expect(refused).toMatchObject({ status: 409, body: { error: { code: "tooMuchConfiguration" } } });
    for (const director of one.directors) {
      expect(JSON.stringify(director.durable.array).length).toBeLessThanOrEqual(256 * 1024 - 4);
    }
    const removed = await one.app.inject({ method: "DELETE", url: `/api/v1/hosts/${host(3).name}`, headers: ADMIN });
    expect(removed.statusCode).toBe(200);
  });

  test("the list is gone through once, however many log in", () => {
    const { list, looks } = counted(Array.from({ length: 1000 }, (_, n) => host(n)));
    const access: Access = { targetName: "t", hosts: list, allowListOnly: true, luns: [] };
    for (let n = 0; n < 256; n++) {
      expect(admit(access, host(n * 3).initiatorName.toUpperCase(), false).admitted).toBe(true);
      expect(admit(access, `iqn.2026-11.io.varray:stranger-${n}`, false).admitted).toBe(false);
    }
    expect(looks()).toBe(1000);
  });
});
