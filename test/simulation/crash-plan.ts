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

/** How often the array came by each site so far in this run. */
export type SitePasses = Map<string, number>;

/**
 * Three kinds, so that every site has its share, those that are rarely come by included:
 *   aimed     at one site, one of the next times; where it is not come by in time, weighed
 *   weighed   at any, the likelier the fewer times the run came by it
 *   blind     between two events
 */
export class CrashPlan {
  readonly #random: Random;
  readonly #passes: SitePasses;
  readonly #site: string | undefined;
  #countdown: number;
  /** Likelihood at a site that was never come by; 0: not by weight. */
  #weight: number;
  /** Whatever the plan: no life has more events than this. */
  #events: number;
  /** So many events without a crash come first. */
  #quiet: number;
  /** Until an aimed plan is weighed instead. */
  #aimed: number;
  /** So many acknowledgements that hosts hear of, and then at once. */
  #acknowledgements = Number.POSITIVE_INFINITY;
  /** What most likely ends by it, where that is not left to chance alone. */
  rather: "process" | "power" | undefined;

  constructor(
    random: Random,
    options: {
      sites: readonly string[];
      eventsMax: number;
      quietEvents?: number;
      /** At one of the sites, this many times that it is come by from now on, and nowhere else. */
      patience?: number;
      passes: SitePasses;
    },
  ) {
    const { sites, eventsMax, quietEvents = 0, patience = 0, passes } = options;
    const isPatient = patience > 0;
    this.#quiet = quietEvents;
    this.#random = random;
    this.#passes = passes;
    const dice = isPatient ? 0 : random.next();
    this.#site = dice < 0.45 ? sites[random.between(0, sites.length - 1)]! : undefined;
    this.#weight = dice >= 0.45 && dice < 0.88 ? 0.01 * 40 ** random.next() : 0;
    // Mostly one of the first times: sites of recovery have few. But what is reached often is reached late, too.
    this.#countdown = isPatient ? patience : random.chance(0.6) ? random.between(1, 3) : 1 + Math.floor(random.next() ** 3 * 40);
    this.#aimed = isPatient || this.#site === undefined ? Number.POSITIVE_INFINITY : Math.floor(eventsMax * random.next());
    this.#events = dice < 0.88 ? eventsMax : Math.floor(random.next() ** 2 * eventsMax);
  }

  /** Within so many events, if it is not to come before. */
  within(events: number): void {
    this.#events = Math.min(this.#events, events);
  }

  /** Once hosts have heard of so many writes that are acknowledged from now on, if it is not to come before. */
  afterAcknowledgements(count: number): void {
    this.#acknowledgements = Math.min(this.#acknowledgements, count);
  }

  /** A host has heard of one. */
  acknowledged(): void {
    if (--this.#acknowledgements === 0) this.within(1);
  }

  /** Whether the crash is now. */
  at(site: string): boolean {
    if (this.#quiet > 0) return false;
    const passes = this.#passes.get(site) ?? 0;
    if (site === this.#site && --this.#countdown <= 0) return true;
    return this.#weight > 0 && this.#random.chance(this.#weight / (1 + passes));
  }

  /** Whether the crash is now, between two events. */
  afterEvent(): boolean {
    if (this.#quiet > 0) {
      this.#quiet -= 1;
      return false;
    }
    if (--this.#aimed === 0) this.#weight = 1;
    return --this.#events <= 0;
  }
}
