/** The plots of growth.md, as Vega-Lite specifications: one line for each quantity, over what grows. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderSvg } from "../../dist/bench/report/render-svg.js";

const x = (field, title) => ({ field, title, scale: { type: "log", base: 2 } });

/** Of each part: what grows, and the curves, each with its own axis. */
const PLOTS = {
  volumes: {
    x: x("volumes", "volumes"),
    curves: [
      ["list, ms", (p) => p.listMilliseconds],
      ["make one, ms", (p) => p.createMilliseconds],
      ["start after a kill, s", (p) => p.killedStartMilliseconds / 1000],
      ["memory, MiB", (p) => p.memoryMebibytes],
      ["CPU for a read, µs", (p) => p.cpuMicrosecondsPerRead],
      ["CPU at rest, %", (p) => p.idleCpu * 100],
    ],
  },
  sessions: {
    x: x("sessions", "sessions"),
    curves: [
      ["login of all, ms", (p) => p.loginSeconds * 1000],
      ["memory, MiB", (p) => p.memoryMebibytes],
      ["CPU for a read, µs", (p) => p.cpuMicrosecondsPerRead],
      ["CPU at rest, %", (p) => p.idleCpu * 100],
    ],
  },
  drives: {
    x: x("drives", "drives"),
    curves: [
      ["first start, s", (p) => p.firstStartMilliseconds / 1000],
      ["start after a kill, s", (p) => p.killedStartMilliseconds / 1000],
      ["memory, MiB", (p) => p.memoryMebibytes],
      ["CPU at rest, %", (p) => p.idleCpu * 100],
    ],
  },
  map: {
    x: x("mappedGibibytes", "GiB mapped"),
    curves: [
      ["map opened, ms", (p) => p.loadMilliseconds],
      ["drives opened, ms", (p) => p.openDrivesMilliseconds],
      ["a page, µs", (p) => p.pageLoadMicroseconds],
      ["memory, MiB", (p) => p.mapMebibytes],
    ],
  },
};

/** `growth-<part>.svg` in the folder, for the parts that the results have. */
export async function writePlots(folder, results) {
  for (const [part, { x: axis, curves }] of Object.entries(PLOTS)) {
    if (results[part] === undefined) continue;
    const { field, title, scale } = axis;
    const values = curves.flatMap(([curve, of]) => results[part].map((p) => ({ [field]: p[field], curve, value: of(p) })));
    const spec = {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json",
      background: "white",
      config: { font: "sans-serif" },
      data: { values },
      facet: { field: "curve", type: "nominal", sort: curves.map(([curve]) => curve), title: null },
      columns: 3,
      resolve: { scale: { y: "independent" } },
      spec: {
        width: 180,
        height: 110,
        mark: { type: "line", point: true },
        encoding: {
          x: { field, type: "quantitative", title, scale, axis: { values: results[part].map((p) => p[field]) } },
          y: { field: "value", type: "quantitative", title: null, scale: { zero: true } },
        },
      },
    };
    writeFileSync(join(folder, `growth-${part}.svg`), await renderSvg(spec));
  }
}
