/**
 * Every PDU of a conformance run at each portal, captured and looked at by an independent dissector (tshark): none is
 * malformed, and with header digests on each carries one that is right. Data digests: test/unit/front-end/good-path.test.ts.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { type DigestProxy, openDigestProxy } from "../support/digest-proxy.ts";
import { runToolBeside } from "../support/run-tool.ts";
import { hasTools } from "../support/tools.ts";

const PDULINT = fileURLToPath(new URL("tools/pdulint.sh", import.meta.url));
const FAMILIES = fileURLToPath(new URL("tools/libiscsi-families.sh", import.meta.url));
/** Reads, writes by immediate data and by R2T, residuals, task management, CHECK CONDITIONs; some 12000 PDUs. */
const FAMILY_OPTIONS = ["Inquiry", "ModeSense6", "Read10", "Write10", "iSCSI*"].flatMap((family) => ["-f", family]);
const CAPTURE_SECONDS_MAX = 80;
/** One LUN at both portals: at the second its answers have crossed the channel. */
const LUN = 0;
const PDUS_MIN = 2000;

function mayCapture(): boolean {
  return (
    hasTools("tshark", "dumpcap", "iscsi-test-cu") &&
    spawnSync("dumpcap", ["-D"], { encoding: "utf8" }).stdout?.includes("lo") === true
  );
}

describe.skipIf(!mayCapture())("every PDU on the wire", () => {
  let array: RunningArray;
  const proxies: DigestProxy[] = [];

  beforeAll(async () => {
    array = await startArray();
    for (const port of array.portalPorts) proxies.push(await openDigestProxy(port));
  });
  afterAll(async () => {
    for (const proxy of proxies) proxy.close();
    await array?.remove();
  });

  describe.each([
    { portal: 0, name: "1A" },
    { portal: 1, name: "1B" },
  ])("at portal $name", ({ portal }) => {
    test.each([{ digests: false }, { digests: true }])(
      "is well formed, header digests $digests",
      async ({ digests }) => {
        const url = digests ? `iscsi://127.0.0.1:${proxies[portal]!.port}/${array.targetName}/${LUN}` : array.lunUrl(LUN, portal);
        const run = ["bash", FAMILIES, ...FAMILY_OPTIONS, url];
        const { status, output } = await runToolBeside(
          "bash",
          [PDULINT, `${array.portalPorts[portal]}`, `${CAPTURE_SECONDS_MAX}`, "--", ...run],
          {
            timeoutMilliseconds: 2 * CAPTURE_SECONDS_MAX * 1000,
            env: { MIN_PDUS: `${PDUS_MIN}`, MIN_DIGESTS: `${digests ? PDUS_MIN : 0}` },
          },
        );
        expect(output).toContain("command rc 0");
        expect(output).toContain(", 0 PDU problems");
        expect(status, output).toBe(0);
        if (digests) expect(proxies[portal]!.changed()).toBeGreaterThan(5);
        else expect(output).toMatch(/^0 header digests$/m);
      },
      (2 * CAPTURE_SECONDS_MAX + 10) * 1000,
    );
  });
});
