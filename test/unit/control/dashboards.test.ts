/** What Prometheus and Grafana are told to ask for is what /metrics exports. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type ControlArray, controlArray } from "../../support/control-array.ts";

interface Query {
  readonly where: string;
  readonly expr: string;
}

interface Panel {
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string }[];
}

const dashboard = JSON.parse(readFileSync("deploy/grafana/dashboards/varray-overview.json", "utf8")) as { panels: Panel[] };
const alerts = parse(readFileSync("deploy/prometheus-alerts.yml", "utf8")) as {
  groups: { rules: { alert: string; expr: string }[] }[];
};
const queries: Query[] = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: `panel "${title}"`, expr }))),
  ...alerts.groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ where: `alert ${alert}`, expr }))),
];

let array: ControlArray;
let samples: { name: string; labels: string; value: number }[] = [];
beforeAll(async () => {
  array = await controlArray();
  array.events.add({ time: "", severity: "info", type: "array.started", subject: "array", message: "" });
  const text = (await array.app.inject("/metrics")).body;
  samples = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({
      name: /^[a-zA-Z_:][\w:]*/.exec(line)![0],
      labels: /\{(.*)\}/.exec(line)?.[1] ?? "",
      value: Number(line.slice(line.lastIndexOf(" ") + 1)),
    }));
});
afterAll(() => array.close());

describe("dashboard and alerts", () => {
  test("ask for something", () => {
    expect(queries.length).toBeGreaterThan(40);
  });

  test.each(queries)("$where asks for metrics and labels that are exported: $expr", ({ expr }) => {
    const selectors = [...expr.matchAll(/\b((?:varray|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)];
    if (!expr.startsWith("up{")) expect(selectors.length).toBeGreaterThan(0);
    for (const [, name, matchers = ""] of selectors) {
      const found = samples.filter((sample) => sample.name === name);
      expect(found.length, `${name} is not exported`).toBeGreaterThan(0);
      for (const [matcher, , label, operator, value] of matchers.matchAll(/((\w+)(=~|=)"([^"]*)")/g)) {
        const values = operator === "=~" ? value!.split("|") : [value!];
        for (const one of values) {
          expect(
            found.some(({ labels }) => labels.includes(`${label}="${one}"`)),
            `${name}{${matcher}} matches nothing`,
          ).toBe(true);
        }
      }
      for (const [, list] of expr.matchAll(/\bby \(([^)]*)\)/g)) {
        for (const label of list!.split(",").map((one) => one.trim())) {
          const known = samples.some(({ name: other, labels }) => expr.includes(other) && labels.includes(`${label}="`));
          expect(known, `nothing in it has the label ${label}`).toBe(true);
        }
      }
    }
  });

  test("no alert of a state fires on an array that is well, its spares standing by", () => {
    const ofStates = alerts.groups
      .flatMap(({ rules }) => rules)
      .flatMap(({ alert, expr }) => {
        const [, name, states] = /^(\w+)\{state=~?"([^"]+)"\} == 1$/.exec(expr) ?? [];
        return name === undefined ? [] : [{ alert, name, states: states!.split("|") }];
      });
    expect(ofStates.map(({ alert }) => alert)).toEqual(
      expect.arrayContaining(["VarrayPoolFailed", "VarrayPoolReadOnly", "VarrayPoolDegraded", "VarrayDriveNotOnline"]),
    );
    expect(samples.some(({ labels, value }) => labels.includes('state="spare"') && value === 1)).toBe(true);
    for (const { alert, name, states } of ofStates) {
      const firing = samples.filter(
        (sample) =>
          sample.name === name && sample.value === 1 && states.some((state) => sample.labels.includes(`state="${state}"`)),
      );
      expect(firing, alert).toEqual([]);
    }
  });

  test("every panel names the provisioned data source, and none covers another", () => {
    const sources = parse(readFileSync("deploy/grafana/provisioning/datasources/varray.yml", "utf8")) as {
      datasources: { uid: string }[];
    };
    const cells = new Map<string, string>();
    for (const { title, type, datasource, gridPos } of dashboard.panels) {
      if (type !== "row") expect(datasource?.uid, title).toBe(sources.datasources[0]!.uid);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(cells.get(`${x},${y}`), `${title} covers a panel`).toBeUndefined();
          cells.set(`${x},${y}`, title);
        }
      }
    }
  });
});
