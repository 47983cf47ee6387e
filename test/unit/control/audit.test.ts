/** Who changed what, from where: each change is an event; and the warnings that go with changes. */
import { afterEach, describe, expect, test } from "vitest";
import { ADMIN, type ControlArray, controlArray, READ_TOKEN } from "../../support/control-array.ts";
import { nothingStored } from "../../support/fake-director.ts";

const GiB = 2 ** 30;
const open: ControlArray[] = [];
async function array(wishes: Parameters<typeof controlArray>[0] = {}): Promise<ControlArray> {
  const one = await controlArray(wishes);
  open.push(one);
  return one;
}
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

type Method = "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
async function call({ app }: ControlArray, method: Method, url: string, payload?: object) {
  const answer = await app.inject({
    method,
    url: `/api/v1/${url}`,
    headers: ADMIN,
    remoteAddress: "192.0.2.7",
    ...(payload === undefined ? {} : { payload }),
  });
  return { status: answer.statusCode, body: answer.json() };
}

/** What was told since the array had started. */
function told({ events }: ControlArray): string[] {
  return events
    .list({ after: 2 })
    .map(({ severity, type, subject, message }) => `${severity} ${type} ${subject}: ${message.replace(BY, "")}`);
}
const BY = " (by the admin's token, from 192.0.2.7)";

describe("audit trail", () => {
  test("has every change of volumes and LUNs, with who and from where", async () => {
    const one = await array();
    await call(one, "POST", "volumes", { name: "data", pool: "B", sizeBytes: GiB, lun: 7 });
    await call(one, "PATCH", "volumes/data", { sizeBytes: 2 * GiB });
    await call(one, "PATCH", "volumes/data", { sizeBytes: 2 * GiB }); // nothing changes
    await call(one, "DELETE", "luns/7");
    await call(one, "DELETE", "volumes/data");
    await call(one, "DELETE", "volumes/volume-0?force=true");
    await call(one, "POST", "pools/B/destage");
    expect(told(one)).toEqual([
      "info volume.created volume data: volume data (number 3, 1073741824 bytes) was created in pool B",
      "info lun.mapped LUN 7: volume data was mapped to LUN 7",
      "info volume.grown volume data: volume data was grown from 1073741824 to 2147483648 bytes",
      "info lun.unmapped LUN 7: LUN 7 was taken away from volume data",
      "warning volume.deleted volume data: volume data (number 3, 2147483648 bytes, pool B) was deleted with its data",
      "info lun.unmapped LUN 0: LUN 0 was taken away from volume volume-0",
      "critical volume.deleted volume volume-0: volume volume-0 (number 1, 17179869184 bytes, pool A) was deleted with its data, with force: it was LUN 0",
      "info pool.destageCommanded pool B: a destage of all that is dirty in pool B was commanded",
    ]);
    expect(one.events.list({ after: 2 }).every(({ message }) => message.endsWith(BY))).toBe(true);
    expect((await one.app.inject("/metrics")).body).toContain('varray_events_total{type="volume.deleted",severity="critical"} 1');
  });

  test("has every change of hosts, and no secret", async () => {
    const one = await array();
    const secrets = ["correct-horse-battery", "another-secret-of-it"];
    const host = { name: "db1", initiatorName: "iqn.1993-08.org.debian:01:abc", chap: { user: "u1", secret: secrets[0] } };
    await call(one, "POST", "hosts", host);
    await call(one, "PATCH", "hosts/db1", { chap: { user: "u2", secret: secrets[1] } });
    await call(one, "PATCH", "hosts/db1", { chap: null });
    for (const allowListOnly of [true, true, false]) await call(one, "PUT", "host-access", { allowListOnly });
    await call(one, "DELETE", "hosts/db1");
    expect(told(one)).toEqual([
      "info host.added host db1: host db1 (iqn.1993-08.org.debian:01:abc) was added, with a CHAP secret of user u1",
      "info host.changed host db1: host db1 has a new CHAP secret, of user u2",
      "warning host.changed host db1: the CHAP secret of host db1 was taken away",
      "info allowList.switched hosts: the allow-list was switched on: only known hosts log in",
      "warning allowList.switched hosts: the allow-list was switched off: hosts that are not known may log in",
      "info host.removed host db1: host db1 (iqn.1993-08.org.debian:01:abc) was removed",
    ]);
    for (const secret of secrets) expect(JSON.stringify(one.events.list({}))).not.toContain(secret);
  });

  test("has what a director did not do, and nothing of what was refused before", async () => {
    const one = await array({ env: { VARRAY_API_READ_TOKEN: READ_TOKEN } });
    await call(one, "DELETE", "volumes/volume-0"); // mapped
    await call(one, "POST", "volumes", { name: "x", pool: "Q", sizeBytes: GiB });
    await one.app.inject({ method: "DELETE", url: "/api/v1/luns/0", headers: { authorization: `Bearer ${READ_TOKEN}` } });
    expect(told(one)).toEqual([]);
    one.directors[0]!.refuse.set("deleteVolume", { code: "failed", message: "drive 02 failed" });
    await call(one, "DELETE", "volumes/volume-0?force=true");
    expect(told(one)).toEqual([
      "info lun.unmapped LUN 0: LUN 0 was taken away from volume volume-0",
      "warning change.failed array: DELETE /api/v1/volumes/volume-0?force=true failed: drive 02 failed",
    ]);
  });
});

describe("thin overcommit", () => {
  test("is allowed; the answer and an event warn, and system shows provisioned against usable", async () => {
    const one = await array();
    const fits = await call(one, "POST", "volumes", { name: "fits", pool: "A", sizeBytes: 24 * GiB });
    expect(fits.body).not.toHaveProperty("warnings"); // 16 + 24 GiB of 40
    const over = await call(one, "POST", "volumes", { name: "over", pool: "A", sizeBytes: GiB });
    expect(over).toMatchObject({
      status: 201,
      body: { warnings: [expect.stringMatching(/pool A are 41 GiB together, and the pool holds 40 GiB/)] },
    });
    const grown = await call(one, "PATCH", "volumes/over", { sizeBytes: 2 * GiB });
    expect(grown.body.warnings).toEqual([expect.stringContaining("42 GiB together")]);
    const events = one.events.list({ severity: "warning" });
    expect(events.map(({ type, subject }) => [type, subject])).toEqual([
      ["pool.overcommitted", "pool A"],
      ["pool.overcommitted", "pool A"],
    ]);
    expect((await call(one, "GET", "system")).body.capacity).toEqual([
      { pool: "A", usableBytes: 40 * GiB, liveBytes: 10 * GiB, provisionedBytes: 42 * GiB },
      { pool: "B", usableBytes: 40 * GiB, liveBytes: 10 * GiB, provisionedBytes: 16 * GiB },
    ]);
  });

  test("a change that was made is answered as made, also when the director does not say how full it is", async () => {
    const one = await array();
    one.directors[0]!.refuse.set("status", { code: "failed", message: "no status" });
    const { status, body } = await call(one, "POST", "volumes", { name: "x", pool: "A", sizeBytes: 64 * GiB });
    expect([status, body.name]).toEqual([201, "x"]);
  });

  test("is told at each start", async () => {
    const durable = [nothingStored(), nothingStored()];
    await array({ durable });
    const small = await array({
      durable,
      prepare: (directors) => {
        directors[1]!.poolChanges = { usableBytes: GiB };
      },
    });
    expect(small.events.list({ severity: "warning" })).toMatchObject([{ type: "pool.overcommitted", subject: "pool B" }]);
  });
});

describe("API, what is wrong with a name", () => {
  test.each([
    ["POST", "volumes", { name: "7up", pool: "A", sizeBytes: GiB }, /^name must be a letter, then/],
    ["POST", "volumes", { name: "up", pool: "a", sizeBytes: GiB }, /^pool must be a pool's name/],
    ["POST", "hosts", { name: "h 1", initiatorName: "iqn.1993-08.org.debian:01:x" }, /^name must be a letter or digit/],
    ["POST", "hosts", { name: "h1", initiatorName: "IQN.x" }, /^initiatorName must be an iSCSI name/],
    ["DELETE", "volumes/-x", undefined, /^volume must be a volume's name or number/],
  ] as const)("%s %s is said in people's words", async (method, url, payload, words) => {
    const { status, body } = await call(await array(), method, url, payload);
    expect(status).toBe(400);
    expect(body.error.message).toMatch(words);
    expect(body.error.message).not.toMatch(/pattern|\^/);
  });
});
