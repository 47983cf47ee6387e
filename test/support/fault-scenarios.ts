/**
 * Every fault that a drive can be given, what the array is to make of it, and the table of that (docs/faults.md).
 *
 * What stands in the table is what test/conformance/drive-faults.test.ts asserts, under load through a real initiator.
 */
import type { FaultRule } from "../../drivers/drive/drive-faults.ts";

export interface FaultScenario {
  readonly name: string;
  /** What is set on one drive of a RAID-5 3+1; for a pull: nothing. */
  readonly rules: readonly FaultRule[];
  readonly pull?: boolean;
  /** 02 unless given. */
  readonly drive?: string;
  /** What the host is told: nothing, as redundancy or patience makes it good. */
  readonly hosts: "nothing";
  /** What becomes of the fault. */
  readonly outcome: string;
  /** Only reads that miss the cache meet it: more is written than memory holds. */
  readonly cold?: boolean;
  /** Types of events that come, each at least once. */
  readonly events: readonly string[];
  /** And that must not come. */
  readonly noEvents: readonly string[];
  /** Metrics that rise, with labels as /metrics shows them. */
  readonly metrics: readonly string[];
  /** Whether the drive is out afterwards. */
  readonly driveIsOut: boolean;
}

const OUT = ["drive.failed", "drive.missing"];
const REPAIRED = "varray_repaired_blocks_total";
const errors = (kind: string) => `varray_drive_errors_total{kind="${kind}"}`;

const repaired = (name: string, rule: FaultRule, metrics: readonly string[], outcome: string): FaultScenario => ({
  ...{ name, rules: [rule], hosts: "nothing", outcome, events: ["drive.predictive"], noEvents: [...OUT, "block.lost"] },
  ...{ metrics: [REPAIRED, ...metrics], driveIsOut: false },
});
const ended = (
  name: string,
  rule: FaultRule,
  state: "drive.failed" | "drive.missing",
  metric: string,
  outcome: string,
): FaultScenario => ({
  ...{ name, rules: [rule], hosts: "nothing", outcome, events: [state], noEvents: ["block.lost", "pool.failed"] },
  ...{ metrics: [metric], driveIsOut: true },
});

const REBUILT = "rebuilt from the stripe, written anew elsewhere";

/** Those that leave the drive in its place; all of them fit into one life of a pool. */
export const REPAIRED_FAULTS: readonly FaultScenario[] = [
  repaired("read error", { fault: "readError", operations: ["read"], everyNth: 3 }, [errors("unrecoveredRead")], REBUILT),
  repaired("bit flip, in what is read", { fault: "bitFlip", everyNth: 2 }, [], `${REBUILT}: the checksum shows it`),
  repaired(
    "bit flip, in what is stored",
    { fault: "bitFlip", on: "write", everyNth: 2 },
    [],
    `${REBUILT}: the checksum shows it`,
  ),
  repaired(
    "lost write",
    { fault: "lostWrite", operations: ["write"], everyNth: 4 },
    [errors("notFound")],
    `${REBUILT}: a strip that must be there is never zeros`,
  ),
  repaired(
    "torn write, told as done",
    { fault: "tornWrite", bytes: 5000, everyNth: 4 },
    [errors("notFound")],
    `${REBUILT}: checksum, or the strip is not there`,
  ),
  repaired(
    "misdirected write",
    { fault: "misdirectedWrite", everyNth: 4 },
    [errors("notFound")],
    `${REBUILT}, both the place that it missed and the one that it hit: each block says where it belongs`,
  ),
  repaired("reverted key: strips", { fault: "revertedKey", operations: ["read"], everyNth: 4 }, [errors("notFound")], REBUILT),
  {
    ...{
      name: "delay",
      drive: "03",
      rules: [{ fault: "delay", milliseconds: 150, jitterMilliseconds: 100, operations: ["read", "write"] }],
    },
    ...{ hosts: "nothing", outcome: "waited for; told of when its peers are quicker", events: ["drive.predictive"] },
    ...{ noEvents: [...OUT, "block.lost"], metrics: [], driveIsOut: false },
  },
  {
    ...{ name: "no space", rules: [{ fault: "noSpace" }], hosts: "nothing", events: ["drive.noSpace"] },
    ...{
      outcome:
        "tried again every 5 s until there is room; hosts are held back once cache and journal are full, and told 7/27/07 when that lasts 10 s",
    },
    ...{ noEvents: [...OUT, "block.lost"], metrics: [errors("noSpace")], driveIsOut: false },
  },
];

/** Those that end the drive's membership. */
export const FATAL_FAULTS: readonly FaultScenario[] = [
  {
    ...ended(
      "read errors, a hundred",
      { fault: "readError", operations: ["read"], everyNth: 2 },
      "drive.failed",
      errors("unrecoveredRead"),
      "made good, until there are `driveHealth.failedErrors` of them: out",
    ),
    cold: true,
  },
  ended(
    "write error",
    { fault: "writeError", skip: 20 },
    "drive.failed",
    errors("writeFailed"),
    "out, on record before anything that it missed is acknowledged",
  ),
  ended(
    "unknown outcome",
    { fault: "unknownOutcome", skip: 20 },
    "drive.failed",
    errors("unknown"),
    "out, likewise: what it has is not known",
  ),
  ended(
    "torn write, told as unknown",
    { fault: "tornWrite", bytes: 5000, report: "unknown", skip: 10 },
    "drive.failed",
    errors("unknown"),
    "out, likewise",
  ),
  ended("unreachable", { fault: "unreachable" }, "drive.missing", errors("unreachable"), "out, likewise"),
  {
    ...ended(
      "pulled",
      { fault: "unreachable" },
      "drive.missing",
      'varray_events_total{type="drive.missing"}',
      "out, likewise; found within seconds without any I/O",
    ),
    ...{ rules: [], pull: true },
  },
  ended(
    "hang",
    { fault: "hang" },
    "drive.failed",
    'varray_events_total{type="drive.failed"}',
    "out after the deadline of 20 s; reads that wait for it take that long once",
  ),
];

/** What the suites in the last column show. */
const BEYOND_A_DRIVE: readonly (readonly string[])[] = [
  [
    ...["the thread of a pool's drives dies", "nothing: they wait", "started again; what was asked is asked again"],
    ...["`drives.threadLost`, `drives.threadBack`", "`drive-faults.test.ts`"],
  ],
  [
    ...["for the fourth time within a minute", "connections end", "the process ends with status 1; its restart recovers"],
    ...["–", "`drive-faults.test.ts`"],
  ],
  [
    "the thread is not back within 10 s",
    "2/04/0C for TEST UNIT READY, READ, WRITE; every port group unavailable",
    "the pool is opened anew once the drives can be reached",
    "`drives.threadLost`, `pool.unreachable`, `drives.threadBack`, `pool.reopened`",
    "`unreachable.test.ts`",
  ],
  [
    ...["a director is cut off from its drive threads", "nothing: they notice a delay", "its partner brings on what it asks"],
    ...["`director.cutOff`, `director.reachesDrives`", "`two-paths.test.ts`"],
  ],
  [
    "both are",
    "after 20 s 2/04/0C, as above",
    "the pool is opened anew once they reach them; an opening that fails is tried again, later each time",
    "`director.cutOff`, `pool.unreachable`, `director.reachesDrives`, `pool.reopened`",
    "`unreachable.test.ts`",
  ],
  [
    "the journal's disk is full",
    "BUSY once, then writes wait, and after 10 s 7/27/07; reads go on",
    "the pool is opened anew, and takes writes when there is room",
    "`journal.noSpace`, `pool.reopened`, `journal.hasRoom`",
    "`journal-full.test.ts`",
  ],
];

/** What the drive is once the scenario's events have been told. */
export function driveStateAfter({ driveIsOut, events }: FaultScenario): "online" | "predictive" | "missing" | "failed" {
  if (driveIsOut) return events[0] === "drive.missing" ? "missing" : "failed";
  return events.includes("drive.predictive") ? "predictive" : "online";
}

export function faultTable(): string {
  const rows = [...REPAIRED_FAULTS, ...FATAL_FAULTS].map((scenario) => {
    const { name, rules, hosts, outcome, events, metrics } = scenario;
    const how = rules.map((rule) => `\`${ruleText(rule)}\``).join(" ") || "`varray drives pull`";
    const state = driveStateAfter(scenario);
    return `| ${[name, how, hosts, outcome, state, events.map((type) => `\`${type}\``).join(", "), metrics.map((metric) => `\`${metric}\``).join(", ") || "latency histograms"].join(" | ")} |`;
  });
  return [
    "# What becomes of a drive's faults",
    "",
    "*Written by `test/conformance/drive-faults.test.ts`, which sets each of these faults on one drive of a RAID-5 3+1 while hosts read and write through",
    "iSCSI, and asserts what stands here: `VARRAY_WRITE_DOCS=1 npx vitest run test/conformance/drive-faults.test.ts` writes it anew.*",
    "",
    "In each of them every read of the load returned what had been written, and so did a read of everything afterwards, and after a restart.",
    "",
    "| fault | as set | what hosts are told | what becomes of it | the drive | events | metrics that rise |",
    "|---|---|---|---|---|---|---|",
    ...rows,
    "| read errors of the same stripes on two drives | `readError,operations=read` on both | MEDIUM ERROR, 3/11/00, for reads of what is neither on its drive nor to be rebuilt; the rest is served | told of, never made up; a rewrite makes it good | predictive | `block.lost` | `varray_lost_blocks_total` |",
    "",
    "`drive.predictive` comes at ten errors within the half life (`driveHealth`); fewer are only counted, in `varray_drive_recent_errors`.",
    "",
    "## What is no single drive's fault",
    "",
    "Shown under load by the suite that is named (BUSY by `test/unit/volume/journal-no-space.test.ts`): nothing acknowledged is lost, no drive is held to have failed.",
    "",
    "| fault | what hosts are told | what becomes of it | events | suite |",
    "|---|---|---|---|---|",
    ...BEYOND_A_DRIVE.map((row) => `| ${row.join(" | ")} |`),
    "",
  ].join("\n");
}

function ruleText({ fault, ...fields }: FaultRule): string {
  const told = Object.entries(fields).map(([name, value]) => `${name}=${Array.isArray(value) ? value.join("+") : value}`);
  return [fault, ...told].join(",");
}
