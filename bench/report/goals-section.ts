/** Every goal beside its figure. */
import type { Verdict } from "../goals.ts";
import { pairVerdicts } from "../pair-verdicts.ts";
import type { Results } from "../results.ts";
import { durableVerdicts, endlessVerdict, healingVerdicts, memoryVerdict, missVerdicts, sustainedVerdicts } from "../verdicts.ts";
import { fixed, rate, table } from "./markdown.ts";

export function goalsSection(results: Results): string {
  const rows = verdictsOf(results).map(([test, { name, value, goal, bound, isMet }]) => {
    const figure = value >= 1000 ? rate(value) : fixed(value, 2);
    return [test, name, `${bound} ${goal >= 1000 ? rate(goal) : Number(goal.toFixed(1))}`, figure, isMet ? "met" : "**missed**"];
  });
  const met = rows.filter(([, , , , outcome]) => outcome === "met").length;
  const headings = ["test", "figure", "goal", "measured", ""];
  return `${met} of ${rows.length} met.\n\n${table(headings, rows, ["left", "left", "left", "right", "left"])}`;
}

function verdictsOf(results: Results): [string, Verdict][] {
  const { pairs = [], durable, endless, memory, misses, healing, sustained } = results;
  const list: [string, Verdict][] = pairs.flatMap((row) =>
    pairVerdicts(row).map((verdict): [string, Verdict] => [row.title, verdict]),
  );
  for (const verdict of durable === undefined ? [] : durableVerdicts(durable)) list.push(["4K FUA writes, depth 32", verdict]);
  for (const row of endless?.rows ?? [])
    list.push([`${row.spec.bytes / 1024}K sequential write without end`, endlessVerdict(endless!, row)]);
  for (const verdict of misses === undefined ? [] : missVerdicts(misses)) list.push(["read misses", verdict]);
  for (const verdict of healing === undefined ? [] : healingVerdicts(healing)) list.push(["healing", verdict]);
  for (const verdict of sustained === undefined ? [] : sustainedVerdicts(sustained))
    list.push(["4K random overwrite, ten minutes", verdict]);
  list.push(["memory of the process", memoryVerdict(memory)]);
  return list;
}
