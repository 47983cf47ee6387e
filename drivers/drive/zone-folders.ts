/**
 * The folders of a drive's zones: made and removed so that no crash leaves a half one visible.
 *
 * Runs on: the drive thread (blocking calls). Owns: `<drive>/zones/`.
 *
 *   birth    database made in `00000012.new`, files and folder synced, renamed to `00000012`, `zones/` synced
 *   removal  the number is retired in the drive's metadata (that is the commit), `00000012` renamed to `00000012.gone`,
 *            removed, `zones/` synced
 *
 * Invariant: at open, whatever is not a whole, unretired zone is removed (`sweep`), so a crash at any step of either
 * leaves the zone there whole or not at all.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fsyncFolder, fsyncFolderWithFiles } from "./fsync-folder.ts";
import { createLevelDatabase, type LevelTuning } from "./level-database.ts";

const ZONE_NAME = /^\d{8}$/;
const LEFTOVER_NAME = /^\d{8}\.(new|gone)$/;

export class ZoneFolders {
  readonly folder: string;

  constructor(driveFolder: string) {
    this.folder = join(driveFolder, "zones");
  }

  path(zone: number): string {
    return join(this.folder, String(zone).padStart(8, "0"));
  }

  exists(zone: number): boolean {
    return existsSync(this.path(zone));
  }

  /** Durable when it returns. */
  async create(zone: number, tuning: LevelTuning): Promise<void> {
    const unborn = `${this.path(zone)}.new`;
    rmSync(unborn, { recursive: true, force: true });
    mkdirSync(unborn);
    await createLevelDatabase(unborn, tuning);
    fsyncFolderWithFiles(unborn);
    renameSync(unborn, this.path(zone));
    fsyncFolder(this.folder);
  }

  /** Done also when there is no such folder. Its database is closed. */
  remove(zone: number): void {
    const gone = `${this.path(zone)}.gone`;
    if (existsSync(this.path(zone))) renameSync(this.path(zone), gone);
    rmSync(gone, { recursive: true, force: true });
    fsyncFolder(this.folder);
  }

  /** Removes what births and removals left behind; returns the zones that are there. */
  sweep(isRetired: (zone: number) => boolean): number[] {
    const zones: number[] = [];
    let swept = false;
    for (const name of readdirSync(this.folder)) {
      const zone = Number.parseInt(name, 10);
      const whole = ZONE_NAME.test(name);
      if (whole && !isRetired(zone)) {
        zones.push(zone);
      } else if (whole || LEFTOVER_NAME.test(name)) {
        rmSync(join(this.folder, name), { recursive: true, force: true });
        swept = true;
      }
    }
    if (swept) fsyncFolder(this.folder);
    return zones.sort((a, b) => a - b);
  }
}
