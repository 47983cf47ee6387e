/** What people do to drives: routes, their checks, what the operator sees of it, and the audit trail. */
import { afterEach, describe, expect, test } from "vitest";
import { runCli } from "../../../src/control/cli/run.ts";
import type { DriveAnswer, DriveCommand, FaultyDrive } from "../../../src/control/contract.ts";
import { ADMIN, type ControlArray, controlArray } from "../../support/control-array.ts";

const open: ControlArray[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

/** An array whose main keeps faults as the real one does, for drive 02 alone. */
async function array() {
  const commands: DriveCommand[] = [];
  let faulty: FaultyDrive[] = [];
  let pulled = false;
  const answer = (command: DriveCommand): DriveAnswer => {
    if (command.kind === "faults") return { ok: true, value: faulty };
    if (command.kind === "throw") return { ok: true, value: undefined };
    if (command.drive !== "02") return { ok: false, code: "notFound", message: `there is no drive "${command.drive}"` };
    if (command.kind === "setFaults") {
      faulty =
        (command.faults?.rules.length ?? 0) === 0
          ? []
          : [{ drive: "02", pool: 0, rules: command.faults!.rules.map((rule) => ({ rule, matched: 3, hits: 1 })) }];
    } else pulled = command.kind === "pull";
    return { ok: true, value: undefined };
  };
  const one = await controlArray({
    toMain: (message, drives) => {
      if (message.kind !== "driveCommand") return;
      commands.push(message.command);
      const given = answer(message.command);
      const faultRules = faulty[0]?.rules.length ?? 0;
      drives.setConditions(pulled || faultRules > 0 ? [{ drive: "02", pool: 0, pulled, faultRules }] : []);
      setImmediate(() => drives.answered(message.id, given));
    },
  });
  open.push(one);
  const call = async (method: "GET" | "PUT" | "POST" | "DELETE", url: string, payload?: object) => {
    const reply = await one.app.inject({
      method,
      url: `/api/v1/${url}`,
      headers: ADMIN,
      ...(payload === undefined ? {} : { payload }),
    });
    return { status: reply.statusCode, body: reply.json() };
  };
  return { one, call, commands };
}

describe("faults on command", () => {
  test("are set, shown with their hits, warned of, counted, audited, and taken away", async () => {
    const { one, call, commands } = await array();
    const rules = [
      { fault: "bitFlip", on: "write", zone: 3, firstStrip: 1, stripCount: 4, everyNth: 2 },
      { fault: "delay", milliseconds: 20, operations: ["read", "write"] },
    ];
    expect(await call("PUT", "faults/drives/02", { seed: 7, rules })).toEqual({ status: 200, body: { done: true } });
    expect(commands[0]).toEqual({ kind: "setFaults", drive: "02", faults: { seed: 7, rules } });
    const shown = rules.map((rule) => ({ ...rule, matched: 3, hits: 1 }));
    expect((await call("GET", "faults/drives")).body).toEqual({ drives: [{ drive: "02", pool: "A", rules: shown }] });
    const health = (await one.app.inject("/healthz")).json();
    expect(health).toMatchObject({ ready: true, warnings: ["drive 02 has 2 fault(s) on command: varray faults clear 02"] });
    expect((await one.app.inject("/metrics")).body).toContain('varray_drive_faults{pool="A",drive="02"} 2');
    expect((await call("DELETE", "faults/drives/02")).status).toBe(200);
    expect((await call("GET", "faults/drives")).body).toEqual({ drives: [] });
    expect((await one.app.inject("/healthz")).json().warnings).toEqual([]);
    expect((await one.app.inject("/metrics")).body).not.toContain("varray_drive_faults{");
    const types = one.events
      .list({})
      .map(({ type, subject, message }) => `${type} ${subject} ${message.includes("by the admin's token")}`);
    expect(types).toEqual(expect.arrayContaining(["drive.faultsSet drive 02 true", "drive.faultsCleared drive 02 true"]));
  });

  test("of all drives are taken away at once", async () => {
    const { call } = await array();
    await call("PUT", "faults/drives/02", { rules: [{ fault: "hang" }] });
    expect((await call("DELETE", "faults/drives")).status).toBe(200);
    expect((await call("GET", "faults/drives")).body).toEqual({ drives: [] });
  });

  test.each([
    [{}, 400, undefined],
    [{ rules: [] }, 400, "rules"],
    [{ rules: new Array(33).fill({ fault: "hang" }) }, 400, "rules"],
    [{ rules: [{ fault: "explode" }] }, 400, "rules.0.fault"],
    [{ rules: [{ fault: "readError", zones: 1 }] }, 400, "zones"],
    [{ rules: [{ fault: "readError", zone: -1 }] }, 400, "rules.0.zone"],
    [{ rules: [{ fault: "readError", zone: 1.5 }] }, 400, "rules.0.zone"],
    [{ rules: [{ fault: "readError", zone: "1" }] }, 400, "rules.0.zone"],
    [{ rules: [{ fault: "readError", stripCount: 2 }] }, 400, "rules.0.stripCount"],
    [{ rules: [{ fault: "readError", byteCount: 2 }] }, 400, "rules.0.byteCount"],
    [{ rules: [{ fault: "readError", milliseconds: 2 }] }, 400, "rules.0.milliseconds"],
    [{ rules: [{ fault: "hang" }, { fault: "delay" }] }, 400, "rules.1.milliseconds"],
    [{ rules: [{ fault: "delay", milliseconds: 60_001 }] }, 400, "rules.0.milliseconds"],
    [{ rules: [{ fault: "hang", probability: 1.1 }] }, 400, "rules.0.probability"],
    [{ rules: [{ fault: "hang", hitsMax: 0 }] }, 400, "rules.0.hitsMax"],
    [{ rules: [{ fault: "hang", operations: ["smash"] }] }, 400, "rules.0.operations.0"],
    [{ rules: [{ fault: "lostWrite", keyPrefix: "a", zone: 1 }] }, 400, "rules.0.keyPrefix"],
    [{ rules: [{ fault: "lostWrite", keyPrefix: "\u0000" }] }, 400, "rules.0.keyPrefix"],
    [{ rules: [{ fault: "bitFlip", bit: 8 }] }, 400, "rules.0.bit"],
    [{ seed: 0, rules: [{ fault: "hang" }] }, 400, "seed"],
  ])("that make no sense are refused, and reach no drive: %j", async (body, status, field) => {
    const { call, commands } = await array();
    const reply = await call("PUT", "faults/drives/02", body);
    expect([reply.status, reply.body.error.field]).toEqual([status, field]);
    expect(commands).toEqual([]);
  });

  test("of a drive that is not there, or by a name that can be none, are refused", async () => {
    const { one, call } = await array();
    const faults = { rules: [{ fault: "hang" }] };
    expect((await call("PUT", "faults/drives/77", faults)).status).toBe(404);
    expect((await call("PUT", "faults/drives/..%2f02", faults)).status).toBe(400);
    expect((await one.app.inject({ method: "PUT", url: "/api/v1/faults/drives/02", payload: faults })).statusCode).toBe(401);
  });
});

describe("pull and insert", () => {
  test("reach the drive, warn while it is out, and are audited", async () => {
    const { one, call, commands } = await array();
    expect((await call("POST", "drives/02/pull")).status).toBe(200);
    expect((await one.app.inject("/healthz")).json().warnings).toEqual([
      "drive 02 is pulled, on command: varray drives insert 02",
    ]);
    expect((await one.app.inject("/metrics")).body).toContain('varray_drive_pulled{pool="A",drive="02"} 1');
    expect((await call("POST", "drives/02/insert")).status).toBe(200);
    expect((await one.app.inject("/healthz")).json().warnings).toEqual([]);
    expect(commands).toEqual([
      { kind: "pull", drive: "02" },
      { kind: "insert", drive: "02" },
    ]);
    const types = one.events.list({}).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(["drive.pulled", "drive.inserted"]));
    expect((await call("POST", "drives/77/pull")).status).toBe(404);
  });
});

describe("the thread of a pool's drives", () => {
  test("is told to throw, on record; that of no pool is not", async () => {
    const { one, call, commands } = await array();
    expect((await call("POST", "faults/drive-threads/A")).status).toBe(200);
    expect(commands).toEqual([{ kind: "throw", pool: 0 }]);
    expect(one.events.list({}).map(({ type }) => type)).toContain("drives.faultCommanded");
    expect((await call("POST", "faults/drive-threads/Z")).status).toBe(404);
    expect((await call("POST", "faults/drive-threads/a")).status).toBe(400);
  });
});

describe("varray", () => {
  test("sets, lists and clears faults, pulls and inserts", async () => {
    const { one, commands } = await array();
    const api = await one.app.listen({ port: 0, host: "127.0.0.1" });
    const cli = async (...args: string[]) => {
      let out = "";
      const take = (text: string) => {
        out += text;
      };
      const env = { VARRAY_API: api, VARRAY_TOKEN: ADMIN.authorization.slice("Bearer ".length) };
      const status = await runCli(args, { env, out: take, err: take });
      return { status, out };
    };
    const rules = ["hang,operations=read+write,hitsMax=3", "unknownOutcome,done=false", "lostWrite,keyPrefix=map/1"];
    expect(await cli("faults", "set", "02", ...rules, "--seed", "9")).toEqual({
      status: 0,
      out: "drive 02 has 3 fault(s) now\n",
    });
    expect(commands.at(-1)).toMatchObject({
      faults: {
        seed: 9,
        rules: [
          { fault: "hang", operations: ["read", "write"], hitsMax: 3 },
          { fault: "unknownOutcome", done: false },
          { fault: "lostWrite", keyPrefix: "map/1" },
        ],
      },
    });
    expect((await cli("faults")).out).toMatch(/02 +A +hang +operations=read\+write,hitsMax=3 +1\/3/);
    expect(await cli("faults", "clear", "02")).toEqual({ status: 0, out: "drive 02 has no faults any more\n" });
    expect(await cli("faults", "clear")).toEqual({ status: 0, out: "no drive has faults any more\n" });
    expect(await cli("drives", "pull", "02")).toEqual({ status: 0, out: "drive 02 is pulled\n" });
    expect(await cli("drives", "insert", "02")).toEqual({ status: 0, out: "drive 02 is inserted\n" });
    expect(await cli("faults", "drive-thread", "A")).toEqual({ status: 0, out: "the thread of pool A's drives throws\n" });
    expect((await cli("drives")).out).toMatch(/07 +B +online/);
    expect((await cli("faults", "set", "02", "hang,soon")).status).toBe(2);
    expect((await cli("faults", "set", "02", "hang,soon=1")).status).toBe(1);
  });
});
