/** The pairs: who was how fast, and what it took. */
import { copiedBytes, javaScriptUse, turnStages, writeAmplification } from "../counted-figures.ts";
import { type Measurement, medianOf, roleMedian } from "../measurement.ts";
import type { PairTarget } from "../options.ts";
import { OWNER_THREAD } from "../pair-verdicts.ts";
import type { PairRow } from "../parts/pairs.ts";
import { spread, sum } from "../statistics.ts";
import { fixed, percent, rate, table } from "./markdown.ts";

const TARGETS: readonly (readonly [PairTarget, string])[] = [
  ["stock", "stock tgt"],
  ["tuned", "tuned tgt"],
  ["owner", "owner"],
  ["other", "other director"],
  ["both", "both directors"],
];

export function ratesTable(rows: readonly PairRow[]): string {
  const shown = TARGETS.filter(([target]) => rows.some(({ targets }) => targets[target] !== undefined));
  const cells = rows.map((row) => [
    row.title,
    ...shown.map(([target]) => {
      const measurements = row.targets[target];
      if (measurements === undefined) return "–";
      const noise = spread(measurements.map((one) => one.iops));
      return `${rate(medianOf(measurements, (one) => one.iops))} ± ${percent(noise / 2)} (${rate(medianOf(measurements, (one) => one.p99Microseconds))})`;
    }),
  ]);
  return table(["IOPS (p99 µs)", ...shown.map(([, name]) => name)], cells);
}

export function latencyTable(rows: readonly PairRow[]): string {
  const picks: readonly ((one: Measurement) => number)[] = [
    (one) => one.p50Microseconds,
    (one) => one.p99Microseconds,
    (one) => one.p999Microseconds,
    (one) => one.maxMicroseconds,
  ];
  const cells = ownerRows(rows).map(([row, owner]) => [row.title, ...picks.map((pick) => rate(medianOf(owner, pick)))]);
  return table(["through the owner, µs", "p50", "p99", "p99.9", "longest"], cells);
}

export function threadsTable(rows: readonly PairRow[]): string {
  const roles = rolesOf(rows);
  const cells = ownerRows(rows).map(([row, owner]) => [
    row.title,
    fixed(
      medianOf(owner, (one) => one.cpuMicroseconds),
      1,
    ),
    ...roles.map((role) =>
      fixed(
        roleMedian(owner, role, (use) => use.cpuMicroseconds),
        1,
      ),
    ),
    ...(["stock", "tuned"] as const).map((target) =>
      fixed(
        medianOf(row.targets[target] ?? [], (one) => one.cpuMicroseconds),
        1,
      ),
    ),
  ]);
  return table(["CPU µs for each I/O", "all", ...roles, "stock tgt", "tuned tgt"], cells);
}

export function callsTable(rows: readonly PairRow[]): string {
  const all = (pick: "calls" | "callBytes" | "sleeps") => (one: Measurement) => sum(one.roles.map((role) => role[pick]));
  const cells = ownerRows(rows).map(([row, owner]) => [
    row.title,
    fixed(
      roleMedian(owner, OWNER_THREAD, (use) => use.calls),
      2,
    ),
    fixed(medianOf(owner, all("calls")), 2),
    fixed(medianOf(owner, all("sleeps")), 3),
    fixed(medianOf(owner, all("callBytes")) / row.spec.bytes, 2),
    fixed(medianOf(row.targets.stock ?? [], all("calls")), 2),
    fixed(medianOf(row.targets.tuned ?? [], all("calls")), 2),
  ]);
  const headings = [
    "for each I/O",
    "director's calls",
    "all calls",
    "sleeps",
    "bytes through calls / data",
    "stock tgt's calls",
    "tuned tgt's calls",
  ];
  return table(headings, cells);
}

export function javaScriptTable(rows: readonly PairRow[]): string {
  const cells = ownerRows(rows).map(([row]) => {
    const use = javaScriptUse(row.counted.owner ?? {}, OWNER_THREAD);
    return [
      row.title,
      rate(use.allocatedBytesPerCommand),
      percent(use.gcShare),
      fixed(use.gcRunsPerSecond, 1),
      fixed(use.gcPauseP99Seconds * 1000, 1),
      fixed(use.loopDelayP99Seconds * 1000, 1),
    ];
  });
  const headings = [
    "director 1A",
    "bytes allocated for each I/O",
    "GC, of its CPU",
    "collections for each CPU second",
    "GC pause p99, ms",
    "loop delay p99, ms",
  ];
  return table(headings, cells);
}

export function stagesTable(rows: readonly PairRow[]): string {
  const cells = ownerRows(rows).map(([row]) => {
    const stages = turnStages(row.counted.owner ?? {}, "1A");
    const times = [stages.receive, stages.storage, stages.journal, stages.answers].map((time) => fixed(time, 1));
    return [row.title, fixed(stages.commandsPerTurn, 1), ...times];
  });
  return table(
    ["µs of a turn for each command", "commands in a turn", "receive", "storage", "of it the journal", "answers"],
    cells,
  );
}

export function copiesTable(rows: readonly PairRow[]): string {
  const cells = (["owner", "other"] as const).flatMap((target) =>
    rows
      .filter(({ targets, counted }) => targets[target] !== undefined && counted[target] !== undefined)
      .map((row) => {
        const { socketToFrame, channel, journal, frameToStaging } = copiedBytes(row.counted[target]!);
        const figures = [socketToFrame, channel, journal, frameToStaging].map((copies) => fixed(copies, 2));
        return [`${row.title}, ${target === "owner" ? "owner" : "other director"}`, ...figures];
      }),
  );
  return table(["copies of each byte written", "socket → frame", "channel", "journal (the kernel's)", "frame → staging"], cells);
}

export function amplificationTable(
  rows: readonly {
    readonly title: string;
    readonly counted: Readonly<Record<string, number>>;
    readonly bytes: number;
    readonly measurements: readonly Measurement[];
  }[],
): string {
  const cells = rows.map(({ title, counted, bytes, measurements }) => {
    const { journal, strips, metadata } = writeAmplification(counted);
    const disk = medianOf(measurements, (one) => one.diskWriteBytes) / bytes;
    return [title, fixed(journal, 2), fixed(strips, 2), fixed(metadata, 3), fixed(disk, 2)];
  });
  return table(["for each byte of hosts", "journal", "strips, with parity and tags", "map", "the disk, all in all"], cells);
}

function ownerRows(rows: readonly PairRow[]): [PairRow, Measurement[]][] {
  return rows.flatMap((row): [PairRow, Measurement[]][] => (row.targets.owner === undefined ? [] : [[row, row.targets.owner]]));
}

/** Named threads that use anything worth a column. */
function rolesOf(rows: readonly PairRow[]): string[] {
  const roles = new Set(ownerRows(rows).flatMap(([, owner]) => owner.flatMap((one) => one.roles.map(({ role }) => role))));
  const most = (role: string) =>
    Math.max(
      ...ownerRows(rows)
        .map(([, owner]) => roleMedian(owner, role, (use) => use.cpuMicroseconds))
        .filter((cpu) => !Number.isNaN(cpu)),
    );
  return [...roles].filter((role) => most(role) >= 0.1).sort((a, b) => most(b) - most(a));
}
