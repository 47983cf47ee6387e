/** What the power-loss test says of its runs: one by one, and as the table of docs/testing.md. */
import type { PowerLossFinding } from "./durable-history.ts";
import type { LifeReport } from "./power-rig.ts";

export function printLife(report: LifeReport): string {
  const { life, writes, promises, syncs, zonesMade, zonesRemoved, images, edges, uncertain, openings, findings } = report;
  const found = findings.length === 0 ? "nothing lost" : `${findings.length} IMAGES WITH FINDINGS: ${JSON.stringify(findings)}`;
  return (
    `life ${life}: ${writes} writes, ${promises} promises, ${syncs} syncs, ${zonesMade} zones made and ${zonesRemoved} removed; ` +
    `${images} images, ${edges} at a sync's edge, ${uncertain} with something to lose, ${openings.degraded} ` +
    `opened without a drive, ${openings.array} as a whole array; ${report.milliseconds} ms; ${found}`
  );
}

/** Of images of a first start. */
export interface BirthReport {
  readonly images: number;
  readonly findings: number;
}

const KINDS: readonly PowerLossFinding["kind"][] = ["lost", "stale", "foreign", "torn", "mix", "refused"];

/** In Markdown. */
export function powerTable(
  lives: readonly LifeReport[],
  births: readonly BirthReport[],
  { seed, seconds }: { seed: number; seconds: number },
): string {
  const sum = (value: (life: LifeReport) => number): number => lives.reduce((all, life) => all + value(life), 0);
  // An image counts once for each kind of what was found in it.
  const withFinding = (kind: PowerLossFinding["kind"]): number =>
    sum(({ findings }) => findings.filter((image) => image.findings.some((finding) => finding.kind === kind)).length);
  const line = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  const columns: readonly (readonly [string, number])[] = [
    ["runs of the array", lives.length],
    ["writes", sum(({ writes }) => writes)],
    ["promises", sum(({ promises }) => promises)],
    ["syncs", sum(({ syncs }) => syncs)],
    ["zones made, removed", sum(({ zonesMade, zonesRemoved }) => zonesMade + zonesRemoved)],
    ["images", sum(({ images }) => images)],
    ["at a sync's edge", sum(({ edges }) => edges)],
    ["with something to lose", sum(({ uncertain }) => uncertain)],
    ["opened without a drive", sum(({ openings }) => openings.degraded)],
    ["as a whole array", sum(({ openings }) => openings.array)],
    ...KINDS.map((kind) => [kind, withFinding(kind)] as const),
  ];
  const born = births.map(({ images, findings }) => `First start: ${images} images, ${findings} of them did not start.`);
  return [
    `Seed ${seed}, ${(seconds / 60).toFixed(1)} minutes:`,
    "",
    line(columns.map(([head]) => head)),
    `|${"---|".repeat(columns.length)}`,
    line(columns.map(([, value]) => value)),
    "",
    ...born,
    "",
  ].join("\n");
}
