/**
 * When the next crash comes: at the n-th time that the array is at a named site, or between any two events.
 *
 * The sites in the code are those that src/ names by `reached`; those of the simulation are the calls of drives and journal
 * files ("drive.writeStrips": the call is not made; "driveDone.writeStrips": it has happened, and nobody heard of it).
 */
import type { Random } from "../support/random.ts";

export const BETWEEN_EVENTS = "between events";

const DRIVE_OPERATIONS = [
  "open",
  "listZones",
  "createZone",
  "finishZone",
  "resetZone",
  "writeStrips",
  "readStrips",
  "readParts",
  "metadataGet",
  "metadataBatch",
  "metadataScan",
];

export const SIMULATION_SITES: readonly string[] = [
  ...DRIVE_OPERATIONS.map((operation) => `drive.${operation}`),
  ...DRIVE_OPERATIONS.filter((operation) => operation !== "open").map((operation) => `driveDone.${operation}`),
  "journalFile.write",
  "journalFile.writeTorn",
  "journalFile.sync",
  "journalFile.synced",
];

export class CrashPlan {
  readonly site: string | undefined;
  #countdown: number;
  /** Whatever the plan: no life has more events than this. */
  #events: number;

  constructor(random: Random, sites: readonly string[], eventsMax: number) {
    const bySite = random.chance(0.85);
    this.site = bySite ? sites[random.between(0, sites.length - 1)]! : undefined;
    // Mostly one of the first times: sites of recovery have few. But what is reached often is reached late, too.
    this.#countdown = random.chance(0.6) ? random.between(1, 3) : 1 + Math.floor(random.next() ** 3 * 40);
    this.#events = bySite ? eventsMax : Math.floor(random.next() ** 2 * eventsMax);
  }

  /** Whether the crash is now. */
  at(site: string): boolean {
    return site === this.site && --this.#countdown <= 0;
  }

  afterEvent(): boolean {
    return --this.#events <= 0;
  }
}
