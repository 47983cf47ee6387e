/**
 * Writes of strips that found no room, and have not been done since. Strips of a zone rise: what lies behind such a write waits
 * for it as if there were no room for it either, or it could never be done any more, and its drive would be held to have failed.
 */
import { DriveError, type StripWrite, type ZoneNumber } from "./drive.ts";

export class RefusedStrips {
  /** First strips, by zone. */
  readonly #waiting = new Map<ZoneNumber, Set<number>>();
  #epoch = 0;

  /** Whoever owned the drive under an older epoch will not come back with what was refused. */
  owned(epoch: number): void {
    if (epoch > this.#epoch) this.#waiting.clear();
    this.#epoch = Math.max(this.#epoch, epoch);
  }

  /** Does `write` of these strips, unless others of the zone wait before them. @throws DriveError "noSpace" then, and what `write` throws */
  async inTurn(drive: string, { zone, firstStrip }: StripWrite, write: () => Promise<void>): Promise<void> {
    try {
      if (this.#isBehind(zone, firstStrip))
        throw new DriveError("noSpace", drive, `strips of zone ${zone} before these wait for room`);
      await write();
    } catch (error) {
      if (error instanceof DriveError && error.kind === "noSpace") this.#refused(zone, firstStrip);
      throw error;
    }
    this.#written(zone, firstStrip);
  }

  #isBehind(zone: ZoneNumber, firstStrip: number): boolean {
    const waiting = this.#waiting.get(zone);
    if (waiting === undefined) return false;
    for (const first of waiting) if (first < firstStrip) return true;
    return false;
  }

  #refused(zone: ZoneNumber, firstStrip: number): void {
    const waiting = this.#waiting.get(zone);
    if (waiting === undefined) this.#waiting.set(zone, new Set([firstStrip]));
    else waiting.add(firstStrip);
  }

  #written(zone: ZoneNumber, firstStrip: number): void {
    const waiting = this.#waiting.get(zone);
    if (waiting === undefined) return;
    waiting.delete(firstStrip);
    if (waiting.size === 0) this.#waiting.delete(zone);
  }

  /** The zone is finished, or gone. */
  forget(zone: ZoneNumber): void {
    this.#waiting.delete(zone);
  }
}
