/**
 * `npm run bench:report [-- FILE] [--healing FILE]`: makes docs/performance.md and its plots of a run's results; the newest run's
 * unless given. The results go along (docs/performance/results.json), so that the page can be made again. With `--healing` what
 * `npm run bench:healing -- --out FILE` has measured by itself is in the place of the run's own.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "../array-under-test.ts";
import type { HealingResults } from "../healing-results.ts";
import { RESULTS_FOLDER, RESULTS_VERSION, type Results } from "../results.ts";
import { type Fragment, pageOf } from "./page.ts";
import { plotsOf } from "./plots.ts";
import { renderSvg } from "./render-svg.ts";

const PAGE = join(ROOT, "docs/performance.md");
const FOLDER = join(ROOT, "docs/performance");
const KEPT = join(FOLDER, "results.json");

const { values, positionals } = parseArgs({ allowPositionals: true, options: { healing: { type: "string" } } });
const file = positionals[0] ?? newestResults() ?? KEPT;
let results = JSON.parse(readFileSync(file, "utf8")) as Results;
if (results.version !== RESULTS_VERSION) {
  throw new Error(`${file} has version ${results.version}, this program understands ${RESULTS_VERSION}`);
}
mkdirSync(FOLDER, { recursive: true });
if (values.healing !== undefined) {
  results = { ...results, healing: JSON.parse(readFileSync(values.healing, "utf8")) as HealingResults };
  writeFileSync(KEPT, `${JSON.stringify(results, undefined, 1)}\n`);
} else if (resolve(file) !== KEPT) copyFileSync(file, KEPT);
const plots = plotsOf(results);
for (const { name, spec } of plots) writeFileSync(join(FOLDER, `${name}.svg`), await renderSvg(spec));
writeFileSync(
  PAGE,
  pageOf(
    results,
    fragments(),
    plots.map(({ name }) => name),
  ),
);
process.stdout.write(`docs/performance.md and ${plots.length} plots, of ${file}\n`);

function newestResults(): string | undefined {
  if (!existsSync(RESULTS_FOLDER)) return undefined;
  const newest = readdirSync(RESULTS_FOLDER)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .at(-1);
  return newest === undefined ? undefined : join(RESULTS_FOLDER, newest);
}

/** Pages that people wrote, by their first heading. */
function fragments(): Fragment[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => ({ file: name, title: /^# (.+)$/m.exec(readFileSync(join(FOLDER, name), "utf8"))?.[1] ?? name }));
}
