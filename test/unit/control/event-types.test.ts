/** docs/operations.md says what each event means: every type that the code raises, and no other. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "../../..");
const DOTTED = /"([a-z][A-Za-z]*\.[a-z][A-Za-z]*)"/g;
/** `type: …` to the end of the line, and the second parameter of what makes events. */
const RAISED = /\btype: [^\n]*|(?:\beventNow|\brecord|\bevent|#event|#raise|\bpoolEvent)\(\s*[^,;]*,\s*"[A-Za-z.]+"/g;

function raisedTypes(): Set<string> {
  const types = new Set<string>();
  for (const folder of ["src", "directors"]) {
    for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const source = readFileSync(join(root, folder, file), "utf8");
      for (const [place] of source.matchAll(RAISED)) {
        for (const [, type] of place.matchAll(DOTTED)) types.add(type!);
        if (place.includes("drive.$" + "{")) for (const state of ["missing", "failed", "foreign"]) types.add(`drive.${state}`);
      }
    }
  }
  return types;
}

describe("event types", () => {
  test("are told of in docs/operations.md, each of them and no other", () => {
    const rows = readFileSync(join(root, "docs/operations.md"), "utf8").matchAll(/^\| (`[A-Za-z.]+`(?:, `[A-Za-z.]+`)*) \|/gm);
    const told = [...rows].flatMap(([, types]) => [...types!.matchAll(/`([A-Za-z.]+)`/g)].map(([, type]) => type!));
    expect(told.length).toBeGreaterThan(25);
    expect(told.toSorted()).toEqual([...raisedTypes()].toSorted());
  });
});
