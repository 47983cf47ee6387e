/**
 * libiscsi's iscsi-test-cu against a started array, family by family, each LUN once, with both portals as its two URLs.
 *
 * LUN 0 is asked at its owner's portal, LUN 1 at the other director's, so that every command also crosses the channel. What
 * does not pass is in expected-skips.tsv with its reason; a test that is missing there, or there too many, fails its family.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { runToolBeside } from "../support/run-tool.ts";
import { hasTools } from "../support/tools.ts";

const SCRIPT = fileURLToPath(new URL("tools/libiscsi-families.sh", import.meta.url));
const EXPECTED = new URL("expected-skips.tsv", import.meta.url);

/** Of commands that the array has: nothing here may fail or be left out without a reason. */
const COMMAND_FAMILIES = [
  ...["Inquiry", "Mandatory", "ModeSense6", "NoMedia", "Prefetch10", "Prefetch16", "ReadCapacity10", "ReadCapacity16"],
  ...["Read6", "Read10", "Read12", "Read16", "ReportSupportedOpcodes", "Reserve6", "StartStopUnit", "TestUnitReady", "Unmap"],
  ...["PrinReadKeys", "PrinServiceactionRange", "PrinReportCapabilities", "Verify10", "Verify12", "Verify16"],
  ...["Write10", "Write12", "Write16", "WriteSame10", "WriteSame16", "WriteVerify10", "WriteVerify12", "WriteVerify16"],
  ...["GetLBAStatus", "iSCSIcmdsn", "iSCSIdatasn", "iSCSIResiduals", "iSCSITMF", "MultipathIO"],
];
/** Of commands that it has not: refused in the right words, and the array lives on. */
const OTHER_FAMILIES = [
  ...["CompareAndWrite", "ExtendedCopy", "OrWrite", "PreventAllow", "ProutRegister", "ProutReserve", "ProutClear"],
  ...["ProutPreempt", "ReadDefectData10", "ReadDefectData12", "ReadOnly", "ReceiveCopyResults", "Sanitize", "WriteAtomic16"],
];
const FAMILIES = [...COMMAND_FAMILIES, ...OTHER_FAMILIES];
const FAMILY_SECONDS_MAX = 90;

/** "SKIP family.test: what the tool says", without those that passed. */
type Verdicts = readonly string[];

function expectedOf(family: string): Verdicts {
  return rows(readFileSync(EXPECTED, "utf8"))
    .filter(([, name]) => name!.startsWith(`${family}.`))
    .map(([result, name, detail]) => verdict(result!, name!, detail!));
}

/** What a FAIL says changes with the tool's line numbers; why a test is skipped is the point. */
function verdict(result: string, name: string, detail: string): string {
  return result === "SKIP" ? `SKIP ${name}: ${detail}` : `${result} ${name}`;
}

function rows(text: string): string[][] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split("\t"));
}

describe.skipIf(!hasTools("iscsi-test-cu"))("iscsi-test-cu", () => {
  let array: RunningArray;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "varray-conformance-"));
    array = await startArray();
  });
  afterAll(async () => {
    await array?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  describe.each([
    { lun: 0, way: "at its owner's portal" },
    { lun: 1, way: "through the channel" },
  ])("LUN $lun, $way", ({ lun }) => {
    test.each(FAMILIES)(
      "%s",
      async (family) => {
        const results = join(folder, `${family}-${lun}.tsv`);
        const options = ["-o", results, "-l", join(folder, `${family}-${lun}`), "-f", family, "-t", "60", "-T", "15"];
        const { output } = await runToolBeside("bash", [SCRIPT, ...options, array.lunUrl(lun, 0), array.lunUrl(lun, 1)], {
          timeoutMilliseconds: FAMILY_SECONDS_MAX * 1000,
        });
        const ran = rows(readFileSync(results, "utf8"));
        const odd = ran
          .filter(([result]) => result !== "PASS")
          .map(([result, of, name, , detail]) => verdict(result!, `${of}.${name}`, detail!));
        expect(odd.sort(), output).toEqual([...expectedOf(family)].sort());
        expect(ran.length, output).toBeGreaterThan(0);
      },
      (FAMILY_SECONDS_MAX + 10) * 1000,
    );
  });

  test("has no families that no test here runs", async () => {
    const { output } = await runToolBeside("iscsi-test-cu", ["--list"]);
    const listed = [...output.matchAll(/^ALL\.(\w+)$/gm)].map((match) => match[1]!);
    expect(listed.filter((family) => !FAMILIES.includes(family))).toEqual([]);
  });

  test("the array is unharmed", async () => {
    expect((await array.api("/healthz")).status).toBe(200);
    expect((await array.stop()).status).toBe(0);
  });
});

describe("expected-skips.tsv", () => {
  test("names each test once, with what the tool says of a skip and with a reason", () => {
    const all = rows(readFileSync(EXPECTED, "utf8"));
    expect(new Set(all.map(([, name]) => name)).size).toBe(all.length);
    for (const [result, name, detail, why] of all) {
      expect(["SKIP", "FAIL"]).toContain(result);
      expect(FAMILIES).toContain(name!.split(".")[0]);
      if (result === "SKIP") expect(detail).not.toBe("");
      expect(why?.length).toBeGreaterThan(10);
    }
  });

  test("a failure is expected of COMPARE AND WRITE, and of the test that asks for another block than it means", () => {
    const failures = rows(readFileSync(EXPECTED, "utf8")).filter(([result]) => result === "FAIL");
    expect(failures.map(([, name]) => name)).toEqual(["MultipathIO.CompareAndWriteAsync", "GetLBAStatus.UnmapSingle"]);
  });
});
