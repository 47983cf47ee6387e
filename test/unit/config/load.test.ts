import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { zoneBytesFor } from "../../../src/config/assemble.ts";
import { ConfigError } from "../../../src/config/config-error.ts";
import { configurationDocument } from "../../../src/config/document.ts";
import { OTHER_VARIABLES, variableName } from "../../../src/config/environment.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { leavesOf, SETTINGS_NODE } from "../../../src/config/schema-node.ts";

const MiB = 2 ** 20;
const GiB = 2 ** 30;
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "varray-config-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function yamlFile(text: string): NodeJS.ProcessEnv {
  const file = path.join(folder, "varray.yaml");
  writeFileSync(file, text);
  return { VARRAY_CONFIG: file };
}

function problemsOf(env: NodeJS.ProcessEnv) {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  throw new Error("the configuration was accepted");
}

describe("configuration, defaults", () => {
  test("are one engine, two portals, two pools of RAID-5 3+1 and a volume in each", () => {
    const config = loadConfig({});
    expect(config.directors.map(({ name, portal }) => [name, portal.advertise, portal.groupTag])).toEqual([
      ["1A", "127.0.0.1:3260", 1],
      ["1B", "127.0.0.1:3261", 2],
    ]);
    expect(config.pools).toEqual([
      {
        name: "A",
        index: 0,
        raid: { level: 5, dataDrives: 3, copies: 1 },
        drives: ["00", "01", "02", "03"],
        spares: ["08"],
        healing: { rebuildSharePercent: 30, missingSeconds: 10, copyBack: true, scrubSharePercent: 10, scrubIntervalHours: 168 },
        owner: 0,
        reachedBy: [0, 1],
        driveHealth: expect.objectContaining({ predictiveErrors: 10, failedErrors: 100 }),
      },
      {
        name: "B",
        index: 1,
        raid: { level: 5, dataDrives: 3, copies: 1 },
        drives: ["04", "05", "06", "07"],
        spares: ["09"],
        healing: { rebuildSharePercent: 30, missingSeconds: 10, copyBack: true, scrubSharePercent: 10, scrubIntervalHours: 168 },
        owner: 1,
        reachedBy: [0, 1],
        driveHealth: expect.objectContaining({ predictiveErrors: 10, failedErrors: 100 }),
      },
    ]);
    expect(config.initialVolumes).toEqual([
      { name: "volume-0", pool: "A", sizeBytes: 16 * GiB, lun: 0 },
      { name: "volume-1", pool: "B", sizeBytes: 16 * GiB, lun: 1 },
    ]);
    expect(config.memory.frameBytes).toBe(512 * MiB);
    expect(config.journal.bytes).toBe(2048 * MiB);
    expect(config.drive).toEqual({ capacityBytes: 16 * GiB, stripBlocks: 8, zoneBytes: 128 * MiB });
    expect(config.dataFolder).toBe(path.resolve("varray-data"));
    expect(config.logicalBlockBytes).toBe(512);
  });

  test("are frozen all the way down", () => {
    const config = loadConfig({});
    expect(Object.isFrozen(config.iscsi) && Object.isFrozen(config.pools[0]!.drives)).toBe(true);
  });

  test("are what the example file says", () => {
    expect(loadConfig({ VARRAY_CONFIG: "varray.example.yaml" })).toEqual(loadConfig({}));
  });

  test("an empty list is none", () => {
    expect(loadConfig({ VARRAY_POOLS_A_SPARES: "," }).pools.map(({ spares }) => spares)).toEqual([[], ["08"]]);
  });

  test("follow the number of engines", () => {
    const config = loadConfig({ VARRAY_ENGINES: "4" });
    expect(config.directors.map(({ name }) => name)).toEqual(["1A", "1B", "2A", "2B", "3A", "3B", "4A", "4B"]);
    expect(config.directors[7]!.portal.port).toBe(3267);
    expect(config.pools[7]!.drives).toEqual(["28", "29", "30", "31"]);
    expect(config.pools[6]!.reachedBy).toEqual([6, 7]);
  });

  test("behind a port mapping advertise where it publishes, and are open only where that is loopback", () => {
    const env = { VARRAY_PORTALS_1A_HOST: "0.0.0.0", VARRAY_PORTALS_1B_HOST: "0.0.0.0" };
    const local = loadConfig({ ...env, VARRAY_PUBLISHED: "127.0.0.1" });
    expect([local.open, local.directors.map(({ portal }) => portal.advertise)]).toEqual([
      true,
      ["127.0.0.1:3260", "127.0.0.1:3261"],
    ]);
    const wide = loadConfig({ ...env, VARRAY_PUBLISHED: "192.0.2.7" });
    expect([wide.open, wide.directors[1]!.portal.advertise]).toEqual([false, "192.0.2.7:3261"]);
    expect(loadConfig({ ...env, VARRAY_PUBLISHED: "0.0.0.0" })).toMatchObject({
      open: false,
      directors: [{ portal: { advertise: "" } }, {}],
    });
  });

  test("advertise nothing fixed behind a wildcard address", () => {
    expect(loadConfig({ VARRAY_PORTALS_1A_HOST: "0.0.0.0" }).directors[0]!.portal.advertise).toBe("");
    expect(loadConfig({ VARRAY_PORTALS_1A_HOST: "::1" }).directors[0]!.portal.advertise).toBe("[::1]:3260");
  });
});

describe("configuration, where settings come from", () => {
  test("a variable wins over the file, the file over the default", () => {
    const env = yamlFile("memory: {frames: 128MiB}\njournal: {bytes: 64MiB}\n");
    const config = loadConfig({ ...env, VARRAY_JOURNAL_BYTES: "32MiB" });
    expect(config.memory.frameBytes).toBe(128 * MiB);
    expect(config.journal.bytes).toBe(32 * MiB);
  });

  test("pools in the file replace the default pools; variables change single settings", () => {
    const config = loadConfig({ ...yamlFile("pools: {Z: {dataDrives: 2}}\n"), VARRAY_POOLS_Z_OWNER: "1B" });
    expect(config.pools).toMatchObject([{ name: "Z", drives: ["00", "01", "02"], owner: 1 }]);
    expect(config.initialVolumes).toMatchObject([{ lun: 0, pool: "Z" }]);
    expect(loadConfig({ VARRAY_POOLS_B_DRIVES: "x1,x2,x3" }).pools[1]).toMatchObject({
      raid: { dataDrives: 2 },
      drives: ["x1", "x2", "x3"],
    });
  });

  test.each([
    ["raidLevel: 6", { level: 6, dataDrives: 4, copies: 1 }, 6],
    ["raidLevel: 6, drives: [a, b, c, d]", { level: 6, dataDrives: 2, copies: 1 }, 4],
    ["raidLevel: 1", { level: 1, dataDrives: 1, copies: 2 }, 2],
    ["raidLevel: 1, copies: 3", { level: 1, dataDrives: 1, copies: 3 }, 3],
    ["raidLevel: 1, drives: [a, b, c]", { level: 1, dataDrives: 1, copies: 3 }, 3],
    ["raidLevel: 10", { level: 10, dataDrives: 2, copies: 2 }, 4],
    ["raidLevel: 10, dataDrives: 8", { level: 10, dataDrives: 8, copies: 2 }, 16],
    ["drives: [a, b, c]", { level: 5, dataDrives: 2, copies: 1 }, 3],
    ["dataDrives: 15", { level: 5, dataDrives: 15, copies: 1 }, 16],
  ])("a pool with %s is one of %o", (settings, raid, driveCount) => {
    const [pool] = loadConfig(yamlFile(`pools: {A: {${settings}}}\n`)).pools;
    expect(pool!.raid).toEqual(raid);
    expect(pool!.drives).toHaveLength(driveCount);
  });

  test("drive names keep their zeros in YAML", () => {
    expect(loadConfig(yamlFile("pools: {A: {drives: [00, 07, 0x1]}}\n")).pools[0]!.drives).toEqual(["00", "07", "0x1"]);
  });

  test("an empty variable counts as not set, and an empty file as no settings", () => {
    expect(loadConfig({ ...yamlFile("# nothing\n"), VARRAY_API_PORT: "" })).toEqual(loadConfig({}));
    expect(loadConfig(yamlFile("api:\n"))).toEqual(loadConfig({}));
    expect(loadConfig({ ...yamlFile("api:\n"), VARRAY_API_PORT: "81" }).api.port).toBe(81);
  });

  test("every setting has one variable of its own, made by one rule", () => {
    const names = [...leavesOf(SETTINGS_NODE)].map(({ path: at }) => variableName(at));
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => OTHER_VARIABLES.some((other) => other === name))).toEqual([]);
    expect(variableName(["memory", "frames"])).toBe("VARRAY_MEMORY_FRAMES");
    expect(variableName(["portals", "1A", "port"])).toBe("VARRAY_PORTALS_1A_PORT");
    expect(variableName(["pools", "A", "dataDrives"])).toBe("VARRAY_POOLS_A_DATA_DRIVES");
    expect(variableName(["iscsi", "maxRecvDataSegmentBytes"])).toBe("VARRAY_ISCSI_MAX_RECV_DATA_SEGMENT_BYTES");
  });

  test("every whole-number setting takes from its variable what the file takes", () => {
    const numbers = [...leavesOf(SETTINGS_NODE)].filter(
      ({ node, path: at }) => node.type === "integer" && !at.includes("<name>"),
    );
    const outcome = (env: NodeJS.ProcessEnv) => {
      try {
        return loadConfig(env);
      } catch (error) {
        return (error as ConfigError).problems.map(({ found, allowed }) => [found, allowed]);
      }
    };
    fc.assert(
      fc.property(fc.constantFrom(...numbers), fc.nat({ max: 2 ** 31 - 1 }), ({ path: at }, value) => {
        const yaml = at.reduceRight<string>((inner, key) => (inner === "" ? `${key}: ${value}` : `${key}: {${inner}}`), "");
        expect(outcome({ [variableName(at)]: String(value) })).toEqual(outcome(yamlFile(yaml)));
      }),
      { numRuns: 60 },
    );
  });
});

describe("configuration, errors", () => {
  test("name the key, what was found and what is allowed, all at once", () => {
    const problems = problemsOf({
      ...yamlFile("memory: {framess: 1GiB}\nporrtals: {}\nlog: {level: loud}\n"),
      VARRAY_JOURNAL_BYTES: "1GB",
      VARRAY_ENGINE: "2",
      VARRAY_PORTALS_1A_PORT: "70000",
    });
    expect(problems.map(({ key }) => key.replace(/ in .*/, "")).sort()).toEqual([
      "VARRAY_ENGINE",
      "VARRAY_JOURNAL_BYTES",
      "VARRAY_PORTALS_1A_PORT",
      "log.level",
      "memory.framess",
      "porrtals",
    ]);
    const text = new ConfigError(problems).message;
    expect(text).toContain("did you mean VARRAY_ENGINES?");
    expect(text).toContain('did you mean "frames"?');
    expect(text).toContain('did you mean "portals"?');
    expect(text).toContain('found "1GB"');
    expect(text).toContain("debug or info or warn or error");
    expect(text).toContain("a whole number from 1 to 65535");
  });

  test("never show a secret", () => {
    const text = new ConfigError(problemsOf({ VARRAY_API_TOKEN: "hunter2" })).message;
    expect(text).toContain("VARRAY_API_TOKEN");
    expect(text).not.toContain("hunter2");
  });

  test.each<[string, NodeJS.ProcessEnv, string]>([
    ["two portals on one port", { VARRAY_PORTALS_1B_PORT: "3260" }, "portals.1B.port"],
    ["the API on a portal's port", { VARRAY_API_PORT: "3261" }, "api.port"],
    ["a wildcard address over a port in use", { VARRAY_API_PORT: "3261", VARRAY_API_HOST: "0.0.0.0" }, "api.port"],
    ["a portal of a director that does not exist", { VARRAY_PORTALS_2A_PORT: "4000" }, "portals.2A"],
    ["an owner that does not exist", { VARRAY_POOLS_A_OWNER: "2A" }, "pools.A.owner"],
    ["drives that do not fit the RAID", { VARRAY_POOLS_A_DATA_DRIVES: "4", VARRAY_POOLS_A_DRIVES: "a,b,c" }, "pools.A.drives"],
    ["a drive in two pools", { VARRAY_POOLS_A_DRIVES: "a,b,c", VARRAY_POOLS_B_DRIVES: "d,e,A" }, "pools.B.drives"],
    ["a drive twice in a pool", { VARRAY_POOLS_A_DRIVES: "a,b,a" }, "pools.A.drives"],
    [
      "a spare that is a drive of another pool",
      { VARRAY_POOLS_A_SPARES: "05", VARRAY_POOLS_B_DRIVES: "04,05,06,07" },
      "pools.B.drives",
    ],
    ["a spare of two pools", { VARRAY_POOLS_A_SPARES: "s1", VARRAY_POOLS_B_SPARES: "S1" }, "pools.B.spares"],
    ["a drive name that is a path", { VARRAY_POOLS_A_DRIVES: "../x,b,c" }, "VARRAY_POOLS_A_DRIVES"],
    ["one data drive", { VARRAY_POOLS_A_DATA_DRIVES: "1" }, "VARRAY_POOLS_A_DATA_DRIVES"],
    ["sixteen data drives", { VARRAY_POOLS_A_DATA_DRIVES: "16" }, "VARRAY_POOLS_A_DATA_DRIVES"],
    ["three copies of RAID-5", { VARRAY_POOLS_A_COPIES: "3" }, "pools.A.copies"],
    ["fifteen data drives of RAID-6", { VARRAY_POOLS_A_RAID_LEVEL: "6", VARRAY_POOLS_A_DATA_DRIVES: "15" }, "pools.A.dataDrives"],
    ["RAID-1 of four drives", { VARRAY_POOLS_A_RAID_LEVEL: "1", VARRAY_POOLS_A_DRIVES: "a,b,c,d" }, "pools.A.drives"],
    ["RAID-10 of an odd number", { VARRAY_POOLS_A_RAID_LEVEL: "10", VARRAY_POOLS_A_DRIVES: "a,b,c,d,e" }, "pools.A.drives"],
    ["a RAID level that there is not", { VARRAY_POOLS_A_RAID_LEVEL: "4" }, "VARRAY_POOLS_A_RAID_LEVEL"],
    ["a zone that is no power of two", { VARRAY_DRIVE_ZONE: "100MiB" }, "drive.zone"],
    ["a pool of more than 16 TiB", { VARRAY_DRIVE_CAPACITY: "6TiB" }, "drive.capacity"],
    ["frames below 64 MiB", { VARRAY_MEMORY_FRAMES: "32MiB" }, "VARRAY_MEMORY_FRAMES"],
    ["frames that are no whole MiB", { VARRAY_MEMORY_FRAMES: "67108865" }, "VARRAY_MEMORY_FRAMES"],
    ["more memory than one memory holds", { VARRAY_MEMORY_FRAMES: "3968MiB", VARRAY_ENGINES: "4" }, "memory.frames"],
    ["a first burst over the burst", { VARRAY_ISCSI_FIRST_BURST_BYTES: "2MiB" }, "iscsi.firstBurstBytes"],
    ["an idle timeout below the ping", { VARRAY_ISCSI_IDLE_TIMEOUT_SECONDS: "30" }, "iscsi.idleTimeoutSeconds"],
    ["an unknown pool for a volume", { VARRAY_INITIAL_VOLUMES_0_POOL: "Q" }, "initialVolumes.0.pool"],
    [
      "one volume name twice",
      { VARRAY_INITIAL_VOLUMES_0_NAME: "v", VARRAY_INITIAL_VOLUMES_1_NAME: "v" },
      "initialVolumes.1.name",
    ],
    ["a LUN beyond 1023", { VARRAY_INITIAL_VOLUMES_1024_SIZE: "1GiB" }, "initialVolumes.1024"],
    [
      "more first volumes than one document holds",
      Object.fromEntries(Array.from({ length: 257 }, (_, lun) => [`VARRAY_INITIAL_VOLUMES_${lun}_SIZE`, "1GiB"])),
      "initialVolumes",
    ],
    ["a target that is no iSCSI name", { VARRAY_TARGET: "array" }, "VARRAY_TARGET"],
  ])("refuses %s", (_, env, key) => {
    const problems = problemsOf(env);
    expect(problems.map((problem) => problem.key).join("\n")).toContain(key);
  });

  test.each([
    ["a file that is not there", "/nonexistent/varray.yaml"],
    ["a folder", tmpdir()],
  ])("refuses %s", (_, file) => expect(problemsOf({ VARRAY_CONFIG: file })[0]!.key).toContain(file));

  test.each([
    ["broken YAML", "a: [1, 2"],
    ["a key twice", "open: true\nopen: false\n"],
    ["a list at the top", "- 1\n- 2\n"],
    ["a text at the top", "hello\n"],
    ["__proto__", "__proto__: {open: true}\n"],
    ["a group where a value belongs", "target: {a: b}\n"],
    ["a value where a group belongs", "memory: 512MiB\n"],
    [
      "a bomb of aliases",
      `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefgh"].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${"abcdefgh"[i]}`)}]`).join("\n")}\n`,
    ],
  ])("refuses %s", (_, text) => expect(problemsOf(yamlFile(text)).length).toBeGreaterThan(0));

  test("come for any text in any setting, and nothing else is thrown", () => {
    const names = [...leavesOf(SETTINGS_NODE)].map(({ path: at }) => variableName(at).replace("<NAME>", "1"));
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.string(), (name, text) => {
        try {
          loadConfig({ [name]: text });
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
        }
      }),
    );
  });
});

describe("configuration, zones", () => {
  test.each([
    [16 * GiB, 128 * MiB, 128 * MiB],
    [GiB, 128 * MiB, 8 * MiB],
    [64 * MiB, 128 * MiB, 4 * MiB],
    [1024 * GiB, 128 * MiB, 128 * MiB],
    [1025 * GiB, 128 * MiB, 256 * MiB],
    [1024 * GiB, 4 * MiB, 128 * MiB],
    [8192 * GiB, 128 * MiB, GiB],
    [300 * MiB, 128 * MiB, 4 * MiB],
  ])("a drive of %d bytes with zones up to %d has zones of %d", (capacity, configured, zone) =>
    expect(zoneBytesFor(capacity, configured)).toBe(zone),
  );
});

describe("docs/configuration.md", () => {
  test("is what the schema says (npm run docs writes it)", () => {
    expect(readFileSync("docs/configuration.md", "utf8")).toBe(configurationDocument());
  });
});
