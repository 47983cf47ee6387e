/**
 * Whether a drive's folder is still the one that was opened: LevelDB would go on with files that nobody finds any more.
 *
 * Runs on: the drive thread. Asynchronous, and at most one look at a time: a disk that hangs holds up one of libuv's
 * threads for each of its drives, and the drive thread not at all.
 */
import { type BigIntStats, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";

/** What stands and falls with the drive: its own folder, and those that its databases are in. */
const PARTS = ["", "meta", "zones"] as const;

export class DriveFolderWatch {
  readonly #folder: string;
  readonly #identities: readonly string[];
  #looking = false;

  /** @throws Error when the folder is not there */
  constructor(folder: string) {
    this.#folder = folder;
    this.#identities = PARTS.map((part) => identityOf(statSync(join(folder, part), { bigint: true })));
  }

  /** Calls `gone` with the reason if the folder is not what it was. */
  look(gone: (reason: string) => void): void {
    if (this.#looking) return;
    this.#looking = true;
    void this.#difference().then((reason) => {
      this.#looking = false;
      if (reason !== undefined) gone(reason);
    });
  }

  async #difference(): Promise<string | undefined> {
    for (const [n, part] of PARTS.entries()) {
      try {
        const found = identityOf(await stat(join(this.#folder, part), { bigint: true }));
        if (found !== this.#identities[n]) return `another folder is in the place of its ${part || "own"}`;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // Want of file descriptors or memory says nothing of the disk.
        if (
          code === "ENOENT" ||
          code === "ENOTDIR" ||
          code === "EIO" ||
          code === "ESTALE" ||
          code === "ENODEV" ||
          code === "ENXIO"
        )
          return `its folder is gone (${code})`;
      }
    }
    return undefined;
  }
}

function identityOf({ dev, ino }: BigIntStats): string {
  return `${dev}:${ino}`;
}
