import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

type Packages = Readonly<Record<string, string>>;
const manifest = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Packages; devDependencies: Packages };
const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
  packages: Record<string, { version?: string; resolved?: string; optionalDependencies?: Packages; engines?: { node?: string } }>;
};
const rows = [...readFileSync("docs/dependencies.md", "utf8").matchAll(/^\| `([^`]+)` \| (\S+) \| (.+) \|$/gm)];

describe("docs/dependencies.md", () => {
  test("names every dependency with its version and a reason, and no other (npm run docs writes it)", () => {
    const documented = Object.fromEntries(rows.map(([, name, range]) => [name, range]));
    expect(documented).toEqual({ ...manifest.dependencies, ...manifest.devDependencies });
    for (const [, name, , reason] of rows) expect(reason!.length, name).toBeGreaterThan(20);
  });
});

describe("package-lock.json", () => {
  test("names no registry", () => {
    expect(Object.values(lock.packages).filter(({ resolved }) => resolved !== undefined)).toEqual([]);
  });

  test("has an entry for every platform's optional packages: npm 11 refuses a clean install without", () => {
    const missing = Object.entries(lock.packages).flatMap(([at, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          lock.packages[`node_modules/${name}`] === undefined && lock.packages[`${at}/node_modules/${name}`] === undefined,
      ),
    );
    expect(missing).toEqual([]);
  });

  test("holds cookie where Node 20 can run it: npm 10 refuses a clean install that breaks the override", () => {
    expect(lock.packages["node_modules/cookie"]?.version).toMatch(/^1\./);
  });
});
