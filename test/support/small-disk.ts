/** A disk of its own for a folder (tmpfs), which can be filled up and emptied. Needs the right to mount: `canMount`. */
import { spawnSync } from "node:child_process";
import { closeSync, cpSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PIECE_BYTES = 2 ** 20;

export function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const folder = mkdtempSync(join(tmpdir(), "varray-mount-"));
  const mounted = run("mount", ["-t", "tmpfs", "tmpfs", folder]);
  if (mounted) run("umount", [folder]);
  rmSync(folder, { recursive: true });
  return mounted;
}

export class SmallDisk {
  readonly #folder: string;

  /** The disk takes the place of a folder, whose files are copied to it: with holes where they are zeros. */
  static under(folder: string, bytes: number): SmallDisk {
    const aside = mkdtempSync(join(tmpdir(), "varray-aside-"));
    try {
      cpSync(folder, aside, { recursive: true });
      must("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder]);
      must("cp", ["-r", "--sparse=always", `${aside}/.`, folder]);
    } finally {
      rmSync(aside, { recursive: true });
    }
    return new SmallDisk(folder);
  }

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Takes all the room but so much. */
  fill(leftBytes: number): void {
    const file = openSync(this.#filler, "w");
    const { bavail, bsize } = statfsSync(this.#folder);
    const piece = Buffer.alloc(PIECE_BYTES, 1);
    for (let left = bavail * bsize - leftBytes; left > 0; left -= PIECE_BYTES)
      writeSync(file, piece, 0, Math.min(left, PIECE_BYTES));
    closeSync(file);
  }

  /** Gives it back. */
  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  /** Nobody has a file of it open any more. */
  remove(): void {
    must("umount", [this.#folder]);
  }

  get #filler(): string {
    return join(this.#folder, "filler");
  }
}

function run(program: string, parameters: readonly string[]): boolean {
  return spawnSync(program, parameters, { stdio: "ignore" }).status === 0;
}

function must(program: string, parameters: readonly string[]): void {
  if (!run(program, parameters)) throw new Error(`${program} ${parameters.join(" ")} failed`);
}
