import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { CrashFiles } from "../../../support/powerloss/crash-files.ts";
import { drawPolicy, type ImagePolicy, writeImage } from "../../../support/powerloss/crash-image.ts";
import type { FileEvent } from "../../../support/powerloss/system-calls.ts";
import { Random } from "../../../support/random.ts";

const NOTHING: ImagePolicy = { name: "nothing", pages: 0, files: 0, folders: 0, torn: 0 };
const EVERYTHING: ImagePolicy = { name: "everything", pages: 1, files: 1, folders: 1, torn: 0 };
const DRAWS = 300;

let folder = "";
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function filesAfter(events: readonly FileEvent[]): CrashFiles {
  const files = new CrashFiles();
  for (const event of events) files.apply(event);
  return files;
}

/** Contents of the file "f" (or another) in one image; undefined: it is not there. */
function drawn(files: CrashFiles, policy: ImagePolicy, seed = 1, path = "f"): string | undefined {
  folder = mkdtempSync(join(tmpdir(), "varray-crash-files-"));
  writeImage(files, join(folder, "image"), new Random(seed), policy);
  const file = join(folder, "image", path);
  const content = existsSync(file) ? readFileSync(file, "latin1") : undefined;
  rmSync(folder, { recursive: true });
  return content;
}

/** All that images of random policies show. */
function allDrawn(files: CrashFiles, path = "f"): Set<string | undefined> {
  const seen = new Set<string | undefined>();
  for (let seed = 0; seed < DRAWS; seed++) seen.add(drawn(files, drawPolicy(new Random(seed)), seed, path));
  return seen;
}

const create = (path: string): FileEvent => ({ kind: "open", path, creates: true, truncates: false });
const write = (offset: number, text: string, path = "f"): FileEvent => ({
  kind: "write",
  path,
  offset,
  data: Buffer.from(text, "latin1"),
});
let syncs = 0;
function sync(path: string): FileEvent[] {
  syncs += 1;
  return [
    { kind: "syncBegin", path, sync: syncs },
    { kind: "syncEnd", path, sync: syncs },
  ];
}

describe("the model of files at a power loss", () => {
  test("keeps what was synced, and its name, whatever is drawn", () => {
    const files = filesAfter([create("f"), write(0, "abc"), ...sync("f"), { kind: "rename", path: "f", to: "g" }]);
    for (let seed = 0; seed < DRAWS; seed++) {
      const policy = drawPolicy(new Random(seed));
      expect([drawn(files, policy, seed, "f"), drawn(files, policy, seed, "g")]).toContain("abc");
    }
  });

  test("loses, keeps or empties what was not synced", () => {
    const seen = allDrawn(filesAfter([create("f"), ...sync("f"), write(0, "abc")]));
    expect(seen).toEqual(new Set(["", "abc", "\0\0\0"]));
  });

  test("does not count on a write that came while the sync ran", () => {
    const events: FileEvent[] = [create("f"), write(0, "a")];
    events.push({ kind: "syncBegin", path: "f", sync: 99 }, write(0, "b"), { kind: "syncEnd", path: "f", sync: 99 });
    expect(allDrawn(filesAfter(events))).toEqual(new Set(["a", "b"]));
  });

  test("shows pages of one file in any order, and torn at 512 bytes", () => {
    const files = filesAfter([create("f"), write(0, "a".repeat(8192)), ...sync("f"), write(0, "b".repeat(8192))]);
    const seen = [...allDrawn(files)].map((content) => content ?? "");
    const has = (first: string, second: string): boolean => seen.includes(first.repeat(4096) + second.repeat(4096));
    expect([has("a", "a"), has("a", "b"), has("b", "a"), has("b", "b")]).toEqual([true, true, true, true]);
    const torn = seen.filter((content) => /ab|ba/.test(content.slice(0, 4096)));
    expect(torn.length).toBeGreaterThan(0);
    for (const content of torn) {
      for (let at = 0; at < content.length; at += 512) expect(new Set(content.slice(at, at + 512)).size).toBe(1);
    }
  });

  test("changes one folder in order: a new name never comes without the one before", () => {
    const files = filesAfter([create("f"), create("g")]);
    const states = new Set<string>();
    for (let seed = 0; seed < DRAWS; seed++) {
      const policy = drawPolicy(new Random(seed));
      states.add(`${drawn(files, policy, seed, "f")},${drawn(files, policy, seed, "g")}`);
    }
    expect(states).toEqual(new Set(["undefined,undefined", ",undefined", ","]));
  });

  test("does not bring a new folder with the sync of a file in it, but with that of its parent", () => {
    const events: FileEvent[] = [{ kind: "mkdir", path: "zone" }, create("zone/f"), write(0, "a", "zone/f"), ...sync("zone/f")];
    expect(drawn(filesAfter(events), NOTHING, 1, "zone/f")).toBeUndefined();
    expect(drawn(filesAfter([...events, ...sync("")]), NOTHING, 1, "zone/f")).toBe("a");
  });

  test("keeps everything where everything was written back, as kill -9 does", () => {
    const events: FileEvent[] = [
      create("f"),
      write(0, "abc"),
      { kind: "rename", path: "f", to: "g" },
      create("f"),
      write(1, "x"),
    ];
    expect(drawn(filesAfter(events), EVERYTHING, 1, "g")).toBe("abc");
    expect(drawn(filesAfter(events), EVERYTHING, 1, "f")).toBe("\0x");
  });

  test("follows truncation", () => {
    const files = filesAfter([
      create("f"),
      write(0, "abc"),
      ...sync("f"),
      { kind: "truncate", path: "f", size: 1 },
      write(1, "z"),
    ]);
    expect(drawn(files, EVERYTHING)).toBe("az");
    expect(drawn(filesAfter([create("f"), write(0, "abc"), ...sync("f")]), NOTHING)).toBe("abc");
  });
});
