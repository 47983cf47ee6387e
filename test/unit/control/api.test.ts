import { Compile } from "typebox/compile";
import { afterEach, describe, expect, test } from "vitest";
import { ErrorBody } from "../../../src/control/api/schemas.ts";
import { ADMIN, type ControlArray, controlArray, READ_TOKEN } from "../../support/control-array.ts";

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
  const answer = await app.inject({ method, url, headers: ADMIN, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, body: answer.json() };
}

describe("API, reading", () => {
  test("shows system, directors, ports, pools, drives, volumes, LUNs, hosts and sessions without a token", async () => {
    const one = await array();
    const get = async (path: string) => (await one.app.inject(`/api/v1/${path}`)).json();
    expect(await get("system")).toMatchObject({
      targetName: "iqn.2026-11.io.varray:array",
      ready: true,
      directors: ["1A", "1B"],
      volumeCount: 2,
    });
    expect(await get("directors")).toMatchObject({ directors: [{ name: "1A", answering: true, pools: ["A"] }, { name: "1B" }] });
    expect(await get("ports")).toMatchObject({
      ports: [{ director: "1A", advertise: "127.0.0.1:3260", open: true, groupTag: 1 }, {}],
    });
    expect(await get("pools")).toMatchObject({
      pools: [{ name: "A", owner: "1A", raid: "RAID-5 3+1", fillPercent: 25, provisionedBytes: 16 * GiB }, {}],
    });
    expect(await get("pools/B")).toMatchObject({ name: "B", owner: "1B" });
    expect((await get("drives")).drives.map((drive: { name: string }) => drive.name)).toEqual([
      "00",
      "01",
      "02",
      "03",
      "08",
      "04",
      "05",
      "06",
      "07",
      "09",
    ]);
    expect(await get("volumes")).toMatchObject({
      volumes: [{ name: "volume-0", luns: [0], owner: "1A", pool: "A" }, { luns: [1] }],
    });
    expect(await get("volumes/volume-1")).toEqual(await get("volumes/2"));
    expect(await get("luns")).toEqual({
      luns: [
        { lun: 0, volume: 1, name: "volume-0", pool: "A", owner: "1A" },
        { lun: 1, volume: 2, name: "volume-1", pool: "B", owner: "1B" },
      ],
    });
    expect(await get("hosts")).toEqual({ allowListOnly: false, hosts: [] });
    expect(await get("sessions")).toEqual({ sessions: [] });
  });

  test("answers 503 while the array starts, and healthz says why", async () => {
    const one = await array({ start: false });
    const system = await one.app.inject("/api/v1/system");
    expect([system.statusCode, system.json().error.code]).toEqual([503, "starting"]);
    const health = await one.app.inject("/healthz");
    expect([health.statusCode, health.json()]).toMatchObject([
      503,
      { live: true, ready: false, reasons: [expect.stringContaining("starting")] },
    ]);
    expect((await one.app.inject("/healthz/live")).statusCode).toBe(200);
    expect((await one.app.inject("/metrics")).statusCode).toBe(200);
  });

  test.each([
    ["/api/v1/events?severity=bad", "severity must be info or warning or critical"],
    ["/api/v1/events?limit=x", "limit must be a whole number"],
  ])("%s: %s", async (url, message) => {
    const one = await array();
    const answer = await one.app.inject(url);
    expect([answer.statusCode, answer.json().error.message]).toEqual([400, message]);
  });

  test("a pool that is nearly full is a warning", async () => {
    const one = await array();
    one.directors[0]!.poolChanges = { usableBytes: 1000, liveBytes: 900, dirtyBytes: 60 };
    expect((await one.app.inject("/healthz")).json().warnings).toEqual([expect.stringContaining("pool A is 96 % full")]);
  });

  test("a degraded pool is a warning and not unready; a dead director is 503", async () => {
    const one = await array();
    const drive = (name: string, state: "online" | "failed") => ({
      name,
      state,
      capacityBytes: 2 ** 34,
      zonesUsed: 2,
      zoneCount: 128,
    });
    const drives = [
      drive("00", "online"),
      drive("08", "online"),
      drive("02", "online"),
      drive("03", "online"),
      drive("01", "failed"),
    ];
    one.directors[0]!.poolChanges = { drives };
    expect((await one.app.inject("/healthz")).json().warnings).toEqual([
      "pool A has no spare left: replace what is out (drive 01 is failed)",
    ]);
    one.directors[0]!.poolChanges = { state: "degraded", reason: "drive 02 is missing" };
    const degraded = await one.app.inject("/healthz");
    expect([degraded.statusCode, degraded.json().warnings]).toEqual([200, ["pool A is degraded: drive 02 is missing"]]);
    one.directors[1]!.die();
    await expect.poll(async () => (await one.app.inject("/healthz")).statusCode).toBe(503);
    const pools = await one.app.inject("/api/v1/pools");
    expect([pools.statusCode, pools.json().error]).toMatchObject([503, { code: "gone", message: expect.stringContaining("1B") }]);
    expect((await one.app.inject("/api/v1/directors")).json().directors[1]).toMatchObject({ answering: false });
  });

  test("has an OpenAPI document with every route and a schema for every answer", async () => {
    const one = await array();
    const document = (await one.app.inject("/openapi.json")).json();
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths).sort()).toMatchInlineSnapshot(`
      [
        "/api/v1/directors",
        "/api/v1/directors/{director}/restart",
        "/api/v1/drives",
        "/api/v1/drives/{drive}/insert",
        "/api/v1/drives/{drive}/pull",
        "/api/v1/drives/{drive}/replace",
        "/api/v1/events",
        "/api/v1/events/stream",
        "/api/v1/faults/directors/{director}",
        "/api/v1/faults/drive-threads/{pool}",
        "/api/v1/faults/drives",
        "/api/v1/faults/drives/{drive}",
        "/api/v1/host-access",
        "/api/v1/hosts",
        "/api/v1/hosts/{host}",
        "/api/v1/luns",
        "/api/v1/luns/{lun}",
        "/api/v1/pools",
        "/api/v1/pools/{pool}",
        "/api/v1/pools/{pool}/destage",
        "/api/v1/pools/{pool}/healing",
        "/api/v1/pools/{pool}/move",
        "/api/v1/pools/{pool}/rebuild",
        "/api/v1/pools/{pool}/scrub",
        "/api/v1/ports",
        "/api/v1/sessions",
        "/api/v1/system",
        "/api/v1/volumes",
        "/api/v1/volumes/{volume}",
        "/healthz",
        "/healthz/live",
        "/metrics",
      ]
    `);
    for (const [path, methods] of Object.entries<Record<string, { responses: Record<string, object> }>>(document.paths)) {
      for (const [method, { responses }] of Object.entries(methods)) {
        if (path.endsWith("/stream")) continue;
        const good = Object.entries(responses).find(([status]) => status.startsWith("2"));
        expect(good?.[1], `${method} ${path}`).toHaveProperty("content");
      }
    }
    expect((await one.app.inject("/openapi.yaml")).body).toContain("/api/v1/volumes");
  });
});

describe("API, volumes", () => {
  test("are created with a number of their own, mapped, grown, unmapped and deleted", async () => {
    const one = await array();
    const created = await call(one, "POST", "/api/v1/volumes", { name: "data", pool: "B", sizeBytes: GiB, lun: 7 });
    expect(created).toMatchObject({ status: 201, body: { volume: 3, name: "data", owner: "1B", luns: [7], sizeBytes: GiB } });
    expect(one.directors[1]!.kinds().slice(-5)).toEqual([
      "storeArrayDocument",
      "createVolume",
      "route",
      "storeArrayDocument",
      "route",
    ]);
    expect(await call(one, "PATCH", "/api/v1/volumes/data", { sizeBytes: 2 * GiB })).toMatchObject({
      status: 200,
      body: { sizeBytes: 2 * GiB },
    });
    expect(await call(one, "DELETE", "/api/v1/volumes/data")).toMatchObject({
      status: 409,
      body: { error: { code: "volumeMapped" } },
    });
    expect(one.directors[1]!.durable.volumes).toHaveLength(2);
    expect(await call(one, "DELETE", "/api/v1/luns/7")).toMatchObject({ status: 200 });
    expect(await call(one, "DELETE", "/api/v1/volumes/data")).toMatchObject({ status: 200 });
    expect(one.directors[1]!.durable.volumes).toHaveLength(1);
    expect(await call(one, "GET", "/api/v1/volumes/data")).toMatchObject({
      status: 404,
      body: { error: { code: "noSuchVolume" } },
    });
  });

  test("deleted by force lose their LUN first, then the routing, then their data", async () => {
    const one = await array();
    const before = one.directors[0]!.requests.length;
    expect(await call(one, "DELETE", "/api/v1/volumes/volume-0?force=true")).toMatchObject({ status: 200 });
    const steps = one.directors[0]!.requests.slice(before).map(({ kind }) => kind);
    expect(steps).toEqual(["storeArrayDocument", "route", "deleteVolume"]);
    expect(one.directors[0]!.durable.array!.luns).toEqual([{ lun: 1, volume: 2 }]);
  });

  test("never get a number twice, also when a creation failed", async () => {
    const one = await array();
    one.directors[0]!.refuse.set("createVolume", { code: "failed", message: "the pool failed" });
    expect(await call(one, "POST", "/api/v1/volumes", { name: "x", pool: "A", sizeBytes: GiB })).toMatchObject({ status: 500 });
    one.directors[0]!.refuse.clear();
    expect(await call(one, "POST", "/api/v1/volumes", { name: "x", pool: "A", sizeBytes: GiB })).toMatchObject({
      body: { volume: 4 },
    });
    expect(await call(one, "DELETE", "/api/v1/volumes/x")).toMatchObject({ status: 200 });
    expect(await call(one, "POST", "/api/v1/volumes", { name: "x", pool: "A", sizeBytes: GiB })).toMatchObject({
      body: { volume: 5 },
    });
  });

  test("created at the same time get numbers and LUNs of their own", async () => {
    const one = await array();
    const made = await Promise.all(
      [..."abcdefgh"].map((name) => call(one, "POST", "/api/v1/volumes", { name, pool: name < "e" ? "A" : "B", sizeBytes: GiB })),
    );
    expect(new Set(made.map(({ body }) => body.volume)).size).toBe(8);
    const mapped = await Promise.all([..."abcdefgh"].map((volume) => call(one, "POST", "/api/v1/luns", { volume })));
    expect(mapped.map(({ body }) => body.lun).sort()).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("a document that one director can't store is taken back on the other, under a newer version", async () => {
    const one = await array();
    one.directors[1]!.refuse.set("storeArrayDocument", { code: "failed", message: "drive 04 failed" });
    const before = one.plane.serving().array.document;
    expect(await call(one, "POST", "/api/v1/luns", { volume: "volume-0", lun: 9 })).toMatchObject({ status: 409 });
    expect(await call(one, "DELETE", "/api/v1/luns/0")).toMatchObject({
      status: 500,
      body: { error: { message: "drive 04 failed" } },
    });
    expect(one.plane.serving().array.document.luns).toEqual(before.luns);
    expect(one.directors[0]!.durable.array).toMatchObject({ luns: before.luns, version: before.version + 2 });
    expect(one.events.list({ severity: "critical" }).map(({ type }) => type)).toEqual(["array.documentUncertain"]);
    one.directors[1]!.refuse.clear();
    expect(await call(one, "DELETE", "/api/v1/luns/0")).toMatchObject({ status: 200 });
    expect(one.directors[1]!.durable.array!.version).toBe(before.version + 3);
  });
});

describe("API, hosts", () => {
  const host = {
    name: "db1",
    initiatorName: "iqn.1993-08.org.debian:01:abc",
    chap: { user: "db1", secret: "correct-horse-battery" },
  };

  test("go to the directors with their secret, which no answer and no log line shows", async () => {
    const one = await array();
    const added = await one.app.inject({ method: "POST", url: "/api/v1/hosts", headers: ADMIN, payload: host });
    expect(added.statusCode).toBe(201);
    expect(added.json()).toEqual({ name: "db1", initiatorName: host.initiatorName, chapUser: "db1" });
    expect(one.directors[0]!.routing!.array.hosts).toEqual([host]);
    const listed = await one.app.inject("/api/v1/hosts");
    expect(listed.json().hosts).toEqual([{ name: "db1", initiatorName: host.initiatorName, chapUser: "db1" }]);
    const shown = [added.body, listed.body, (await one.app.inject("/metrics")).body, ...one.logLines].join("\n");
    expect(shown).not.toContain(host.chap.secret);
    expect(await call(one, "POST", "/api/v1/hosts", host)).toMatchObject({
      status: 409,
      body: { error: { code: "nameInUse", field: "name" } },
    });
    expect(await call(one, "POST", "/api/v1/hosts", { ...host, name: "db2" })).toMatchObject({
      status: 409,
      body: { error: { code: "initiatorInUse" } },
    });
    expect(await call(one, "PATCH", "/api/v1/hosts/db1", { chap: null })).toMatchObject({ status: 200 });
    expect(one.directors[1]!.routing!.array.hosts).toEqual([{ name: "db1", initiatorName: host.initiatorName }]);
    expect(await call(one, "DELETE", "/api/v1/hosts/db1")).toMatchObject({ status: 200 });
    expect(await call(one, "DELETE", "/api/v1/hosts/db1")).toMatchObject({ status: 404 });
  });

  test("refuses a secret that is too short, and does not repeat it", async () => {
    const one = await array();
    const answer = await one.app.inject({
      method: "POST",
      url: "/api/v1/hosts",
      headers: ADMIN,
      payload: { ...host, chap: { user: "u", secret: "short" } },
    });
    expect([answer.statusCode, answer.json().error.field]).toEqual([400, "chap.secret"]);
    expect(answer.body).not.toContain('"short"');
  });
});

describe("API, destage and events", () => {
  test("destages at the pool's owner", async () => {
    const one = await array();
    expect(await call(one, "POST", "/api/v1/pools/B/destage")).toEqual({ status: 200, body: { done: true } });
    expect(one.directors[1]!.kinds().at(-1)).toBe("destagePool");
    expect(one.directors[0]!.kinds()).not.toContain("destagePool");
    expect(await call(one, "POST", "/api/v1/pools/Q/destage")).toMatchObject({ status: 404 });
  });

  test("a director's refusal keeps its meaning", async () => {
    const one = await array();
    for (const [code, status] of [
      ["conflict", 409],
      ["notFound", 404],
      ["spaceExhausted", 507],
      ["failed", 500],
    ] as const) {
      one.directors[0]!.refuse.set("destagePool", { code, message: `because ${code}` });
      expect(await call(one, "POST", "/api/v1/pools/A/destage")).toEqual({
        status,
        body: { error: { code, message: `because ${code}` } },
      });
    }
  });

  test("lists events after a number, by severity, and counts them", async () => {
    const one = await array();
    one.directors[0]!.raise("drive.missing", "critical");
    one.directors[1]!.raise("session.login");
    await expect.poll(() => one.events.list({}).length).toBe(4); // two portals have opened
    const all = (await one.app.inject("/api/v1/events?after=2")).json().events;
    expect(all.map((event: { type: string }) => event.type).sort()).toEqual(["drive.missing", "session.login"]);
    const critical = (await one.app.inject("/api/v1/events?severity=critical")).json().events;
    expect(critical).toHaveLength(1);
    expect((await one.app.inject("/api/v1/events?after=4")).json().events).toEqual([]);
    expect((await one.app.inject("/metrics")).body).toContain('varray_events_total{type="drive.missing",severity="critical"} 1');
  });
});

describe("API, bad input (bad-input.md, REST)", () => {
  const volume = { name: "v", pool: "A", sizeBytes: GiB };
  const post = (one: ControlArray, payload: string | object, headers: Record<string, string> = {}) =>
    one.app.inject({ method: "POST", url: "/api/v1/volumes", headers: { ...ADMIN, ...headers }, payload });

  async function expectError(answer: { statusCode: number; body: string; json(): unknown }, status: number, code?: string) {
    expect([answer.statusCode, answer.body]).toEqual([status, answer.body]);
    expect(Compile(ErrorBody).Check(answer.json()), answer.body).toBe(true);
    expect(answer.body).not.toMatch(/\.(ts|js|mjs):\d|node_modules|at .*\(/);
    if (code !== undefined) expect((answer.json() as { error: { code: string } }).error.code).toBe(code);
  }

  test("every route that changes state: no token 401, a wrong one 401, the reader's 403", async () => {
    const one = await array({ env: { VARRAY_API_READ_TOKEN: READ_TOKEN } });
    const document = (await one.app.inject("/openapi.json")).json() as { paths: Record<string, Record<string, unknown>> };
    const changing = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== "get" && method !== "head")
        .map(
          (method) =>
            [
              method.toUpperCase() as Method,
              path.replace("{volume}", "1").replace("{lun}", "1").replace("{pool}", "A").replace("{host}", "h"),
            ] as const,
        ),
    );
    expect(changing.length).toBeGreaterThanOrEqual(10);
    for (const [method, url] of changing) {
      await expectError(await one.app.inject({ method, url }), 401, "noToken");
      for (const authorization of ["Bearer wrong", "Bearer ", "Basic YTpi", `Bearer ${READ_TOKEN}x`, ""]) {
        const answer = await one.app.inject({ method, url, headers: { authorization } });
        await expectError(answer, 401);
        expect(answer.headers["www-authenticate"]).toContain("Bearer");
      }
      await expectError(
        await one.app.inject({ method, url, headers: { authorization: `Bearer ${READ_TOKEN}` } }),
        403,
        "readOnly",
      );
    }
    expect(one.directors[0]!.kinds().at(-1)).toBe("openPortal");
  });

  test("reading needs one of the tokens once a read token is set; health and metrics never do", async () => {
    const one = await array({ env: { VARRAY_API_READ_TOKEN: READ_TOKEN } });
    await expectError(await one.app.inject("/api/v1/hosts"), 401, "noToken");
    expect((await one.app.inject({ url: "/api/v1/hosts", headers: { authorization: `Bearer ${READ_TOKEN}` } })).statusCode).toBe(
      200,
    );
    expect((await one.app.inject({ url: "/api/v1/hosts", headers: ADMIN })).statusCode).toBe(200);
    for (const url of ["/healthz", "/metrics", "/openapi.json"]) expect((await one.app.inject(url)).statusCode).toBe(200);
  });

  test("a body over 1 MiB 413", async () => {
    await expectError(await post(await array(), { ...volume, name: "x".repeat(1024 * 1024) }), 413, "bodyTooLarge");
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"])(
    "not JSON (%s) 415",
    async (type) => expectError(await post(await array(), "name=v", { "content-type": type }), 415, "notJson"),
  );

  test.each([
    ["broken", '{"name":'],
    ["empty", ""],
    ["__proto__", '{"name":"v","pool":"A","sizeBytes":1073741824,"__proto__":{"x":1}}'],
    ["constructor.prototype", '{"name":"v","pool":"A","sizeBytes":1073741824,"constructor":{"prototype":{"x":1}}}'],
    ["an array", "[]"],
    ["null", "null"],
    ["a number", "7"],
    ["an unknown field", '{"name":"v","pool":"A","sizeBytes":1073741824,"thick":true}'],
    ["a missing field", '{"name":"v","pool":"A"}'],
    ["a size of the wrong type", '{"name":"v","pool":"A","sizeBytes":"1GiB"}'],
    ["a size that is no whole number", '{"name":"v","pool":"A","sizeBytes":1073741824.5}'],
    ["a name of the wrong type", '{"name":7,"pool":"A","sizeBytes":1073741824}'],
    ["deeply nested", `${"[".repeat(5000)}${"]".repeat(5000)}`],
  ])("JSON that is %s 400", async (_, body) =>
    expectError(await post(await array(), body, { "content-type": "application/json" }), 400),
  );

  test.each(["-1", "-9007199254740992", "0", "9007199254740992", "1e400", "1e20", "4097", "1073741825", "17592186048512"])(
    "a size of %s 422",
    async (size) => {
      const one = await array();
      const body = `{"name":"v","pool":"A","sizeBytes":${size}}`;
      await expectError(await post(one, body, { "content-type": "application/json" }), 422);
      const grown = await one.app.inject({
        method: "PATCH",
        url: "/api/v1/volumes/1",
        headers: { ...ADMIN, "content-type": "application/json" },
        payload: `{"sizeBytes":${size}}`,
      });
      await expectError(grown, 422);
    },
  );

  test.each(["../etc/passwd", "a/b", "a\0b", "a\nb", "a\r\nb", "", " ", ".", "-x", "7", "ü", "x".repeat(64), "a b", "__proto__"])(
    "the volume name %j 400",
    async (name) => expectError(await post(await array(), { ...volume, name }), 400),
  );

  test.each(["..%2f..%2fetc%2fpasswd", "a%00b", "a%0ab", "a%0d%0ab", "%", "%zz", "x".repeat(300), "%2e%2e"])(
    "the path /api/v1/volumes/%s 400, 404 or 414, never more",
    async (name) => {
      const answer = await (await array()).app.inject({ url: `/api/v1/volumes/${name}`, headers: ADMIN });
      expect([400, 404, 414]).toContain(answer.statusCode);
      await expectError(answer, answer.statusCode);
    },
  );

  test("conflicts 409: a name, a LUN and a mapping that exist; shrinking", async () => {
    const one = await array();
    await expectError(await post(one, { ...volume, name: "volume-0" }), 409, "nameInUse");
    await expectError(await post(one, { ...volume, lun: 1 }), 409, "lunInUse");
    const lun = (payload: object) => one.app.inject({ method: "POST", url: "/api/v1/luns", headers: ADMIN, payload });
    await expectError(await lun({ volume: 1 }), 409, "volumeMapped");
    await expectError(await lun({ volume: 1, lun: 0 }), 409, "lunInUse");
    await expectError(await lun({ volume: 1, lun: 1024 }), 422, "lunOutOfRange");
    await expectError(await lun({ volume: 1, lun: -1 }), 422, "lunOutOfRange");
    await expectError(await lun({ volume: 99 }), 404, "noSuchVolume");
    const shrink = await one.app.inject({
      method: "PATCH",
      url: "/api/v1/volumes/1",
      headers: ADMIN,
      payload: { sizeBytes: GiB },
    });
    await expectError(shrink, 409, "shrinkRefused");
  });

  test("too many requests 429 with the seconds to wait", async () => {
    const one = await array({ env: { VARRAY_API_REQUESTS_PER_SECOND_MAX: "5" } });
    const answers = await Promise.all(Array.from({ length: 30 }, () => one.app.inject("/healthz/live")));
    const refused = answers.filter(({ statusCode }) => statusCode === 429);
    expect(refused.length).toBeGreaterThanOrEqual(15);
    await expectError(refused[0]!, 429, "tooManyRequests");
    expect(Number(refused[0]!.headers["retry-after"])).toBeGreaterThanOrEqual(1);
  });

  test.each([
    "evil.example",
    "evil.example:8080",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.0.0.1",
    "0.0.0.0:8080",
  ])("the Host %s 403", async (host) =>
    expectError(await (await array()).app.inject({ url: "/healthz", headers: { host } }), 403, "hostNotAllowed"),
  );

  test.each([
    "localhost",
    "localhost:8080",
    "127.0.0.1:8080",
    "127.1.2.3",
    "[::1]:8080",
    "LOCALHOST",
    "array.example",
    "ARRAY.example:99",
  ])("the Host %s is answered", async (host) => {
    const one = await array({ env: { VARRAY_API_ALLOWED_HOSTS: "array.example" } });
    expect((await one.app.inject({ url: "/healthz", headers: { host } })).statusCode).toBe(200);
  });

  test.each(["http://evil.example", "null", "http://127.0.0.1.evil.example", "file://", "garbage"])(
    "the Origin %s 403",
    async (origin) =>
      expectError(await (await array()).app.inject({ url: "/healthz", headers: { origin } }), 403, "originNotAllowed"),
  );

  test("an Origin of our own is answered, and no answer allows another", async () => {
    const answer = await (await array()).app.inject({ url: "/healthz", headers: { origin: "http://localhost:3000" } });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
  });

  test("an unexpected failure 500 without a word about it; the log has it", async () => {
    const one = await array();
    one.plane.status.read = () => Promise.reject(new Error("secret detail at /some/path.ts:1"));
    one.plane.status.readFresh = one.plane.status.read;
    const answer = await one.app.inject("/api/v1/pools");
    await expectError(answer, 500, "internal");
    expect(answer.body).not.toContain("secret detail");
    expect(one.logLines.join()).toContain("secret detail");
  });

  test("an unknown route 404 with where to look", async () => {
    const answer = await (await array()).app.inject("/api/v1/snapshots");
    await expectError(answer, 404, "noSuchRoute");
  });
});
