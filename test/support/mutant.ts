/**
 * A build of the array with a fault put into it: dist/ copied to a folder of its own, and pieces of its code replaced.
 * For showing that a test notices what it is there for.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DIST } from "./array.ts";

export interface Patch {
  /** In dist/. */
  readonly file: string;
  /** Must fit exactly once. */
  readonly find: RegExp;
  readonly replace: string;
}

export interface Mutant {
  /** For `startArray({ dist })`. */
  readonly dist: string;
  remove(): void;
}

/** @throws Error when a patch does not fit: the code has changed, and the patch must follow it */
export function makeMutant(patches: readonly Patch[], from = DIST): Mutant {
  const folder = mkdtempSync(join(tmpdir(), "varray-mutant-"));
  const dist = join(folder, "dist");
  const project = dirname(from.replace(/\/$/, ""));
  cpSync(from, dist, { recursive: true });
  cpSync(join(project, "package.json"), join(folder, "package.json"));
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    for (const { file, find, replace } of patches) {
      const path = join(dist, file);
      const code = readFileSync(path, "utf8");
      const count = [...code.matchAll(new RegExp(find, "g"))].length;
      if (count !== 1) throw new Error(`the patch of ${file} fits in ${count} places: ${find.source}`);
      writeFileSync(
        path,
        code.replace(find, () => replace),
      );
    }
  } catch (error) {
    remove();
    throw error;
  }
  return { dist, remove };
}
