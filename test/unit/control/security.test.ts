import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isLoopback } from "../../../src/config/host-address.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { adminToken, roleCheck } from "../../../src/control/api/api-token.ts";
import { RateLimit } from "../../../src/control/api/rate-limit.ts";
import { EventLog } from "../../../src/control/event-log.ts";
import { portalRefusal } from "../../../src/control/portal-policy.ts";
import { VERSION } from "../../../src/control/version.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "varray-token-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("API token", () => {
  test("is made once, with mode 0600, and found again", () => {
    const data = path.join(folder, "data");
    const made = adminToken(data, undefined);
    expect(made.file).toBe(path.join(data, "api-token"));
    expect(statSync(made.file!).mode & 0o777).toBe(0o600);
    expect(made.token.length).toBeGreaterThanOrEqual(43);
    expect(adminToken(data, undefined)).toEqual(made);
    chmodSync(made.file!, 0o644);
    expect(adminToken(data, undefined)).toEqual(made);
    expect(statSync(made.file!).mode & 0o777).toBe(0o600);
    expect(readFileSync(made.file!, "utf8").trim()).toBe(made.token);
  });

  test("that is configured leaves no file; a file without a token is refused by name", () => {
    const data = path.join(folder, "other");
    expect(adminToken(data, "configured-token-0123")).toEqual({ token: "configured-token-0123", file: undefined });
    const broken = path.join(folder, "broken");
    const { file } = adminToken(broken, undefined);
    writeFileSync(file!, "x\n");
    expect(() => adminToken(broken, undefined)).toThrow(file!);
  });

  test.each([
    [undefined, "nobody"],
    ["Bearer admin-admin-admin", "admin"],
    ["bearer   admin-admin-admin ", "admin"],
    ["Bearer reader-reader-reader", "reader"],
    ["Bearer admin-admin-admi", "unknownToken"],
    ["Bearer admin-admin-adminn", "unknownToken"],
    ["Bearer", "unknownToken"],
    ["Bearer ", "unknownToken"],
    ["admin-admin-admin", "unknownToken"],
    ["Basic admin-admin-admin", "unknownToken"],
  ])("%j is %s", (header, role) => expect(roleCheck("admin-admin-admin", "reader-reader-reader")(header)).toBe(role));
});

describe("rate limit", () => {
  test("lets a burst of twice the rate go, then the rate, for each address alone", () => {
    const rate = new RateLimit(10);
    const passed = (address: string, at: number, count: number) =>
      Array.from({ length: count }, () => rate.take(address, at)).filter((wait) => wait === 0).length;
    expect(passed("a", 0, 50)).toBe(20);
    expect(passed("b", 0, 5)).toBe(5);
    expect(passed("a", 1000, 50)).toBe(10);
    expect(passed("a", 100_000, 50)).toBe(20);
    expect(rate.take("a", 100_000)).toBe(1);
  });

  test("keeps a bounded number of addresses", () => {
    const rate = new RateLimit(1);
    for (let index = 0; index < 5000; index++) rate.take(`address ${index}`, index);
    expect((rate as unknown as { buckets: Map<string, unknown> }).buckets.size).toBeLessThanOrEqual(1024);
  });
});

describe("event log", () => {
  const event = { time: "2026-11-21T00:00:00Z", severity: "info", subject: "s", message: "m" } as const;

  test("keeps the last 1024 events with rising numbers, and cuts long texts", () => {
    const log = new EventLog();
    for (let index = 0; index < 3000; index++) log.add({ ...event, type: "t", message: "x".repeat(5000) });
    const kept = log.list({});
    expect([kept.length, kept[0]!.sequence, kept.at(-1)!.sequence]).toEqual([1024, 1977, 3000]);
    expect(kept[0]!.message.length).toBeLessThanOrEqual(1025);
    expect(log.list({ after: 2990, limit: 3 }).map(({ sequence }) => sequence)).toEqual([2998, 2999, 3000]);
  });

  test("gives everything to a reader whose number is from before a restart", () => {
    const log = new EventLog();
    log.add({ ...event, type: "t" });
    expect([log.list({ after: 1 }).length, log.list({ after: 2 }).length, log.list({ after: 500 }).length]).toEqual([0, 1, 1]);
  });

  test("counts a bounded number of types by name and the rest as other", () => {
    const log = new EventLog();
    for (let index = 0; index < 1000; index++) log.add({ ...event, type: `t${index}` });
    const counts = log.counts();
    expect(counts.length).toBeLessThanOrEqual(129);
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(1000);
  });
});

describe("portal policy", () => {
  const config = (host: string, open = "") => loadConfig({ VARRAY_PORTALS_1A_HOST: host, VARRAY_OPEN: open });
  test.each([
    ["127.0.0.1", "", false, true],
    ["127.9.9.9", "", false, true],
    ["::1", "", false, true],
    ["localhost", "", false, true],
    ["0.0.0.0", "", false, false],
    ["192.0.2.1", "", false, false],
    ["127.0.0.1.example", "", false, false],
    ["0.0.0.0", "", true, true],
    ["0.0.0.0", "1", false, true],
  ])("a portal on %s with open=%j and allow-list %s may open: %s", (host, open, allowListOnly, may) => {
    const loaded = config(host, open);
    expect(portalRefusal(loaded, loaded.directors[0]!, { allowListOnly, hosts: [] }) === undefined).toBe(may);
  });
  test("CHAP on every host lets a portal open, on some it does not", () => {
    const loaded = config("0.0.0.0");
    const host = { name: "a", initiatorName: "iqn.2026-11.example:a" };
    const secured = { ...host, chap: { user: "a", secret: "x".repeat(12) } };
    const refusal = (hosts: (typeof host)[]) => portalRefusal(loaded, loaded.directors[0]!, { allowListOnly: false, hosts });
    expect(refusal([secured])).toBeUndefined();
    expect(refusal([secured, host])).toContain("allow-list");
  });
  test("loopback is 127.0.0.0/8, ::1 and localhost", () => {
    expect(["127.0.0.1", "::1", "localhost", "10.0.0.1", "127.0.0.1.evil"].map(isLoopback)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });
});

describe("version", () => {
  test("is package.json's", () => expect(VERSION).toBe(JSON.parse(readFileSync("package.json", "utf8")).version));
});
