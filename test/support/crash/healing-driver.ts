/**
 * Sees to it that a pool has drives to bring up to date whenever it is killed: as soon as all are, the next one is pulled.
 *
 *   rebuild:   a member pulled ─▶ a spare rebuilt, through kills ─▶ that spare pulled ─▶ the place's own drive rebuilt, through
 *              kills ─▶ the next place
 *   copy-back: a member pulled ─▶ a spare rebuilt, fast ─▶ the drive inserted ─▶ copied back, through kills ─▶ the next place
 *
 * A kill puts every drive into its slot again. What a drive still lacked at the kill is what it may lack after it.
 */
import type { PoolSeen, RunningArray } from "../array.ts";
import { isHealed, moveDrive, setRebuildShare, untilPool } from "../healed.ts";

const FAST_PERCENT = 100;
const LOOKS_AFTER_START_MILLISECONDS_MAX = 10_000;
const LOOK_MILLISECONDS = 20;
const PULLS_MAX = 2;

export interface HealingPlan {
  readonly kind: "rebuild" | "copyBack";
  /** By pool: as many as its level tolerates, or fewer. */
  readonly drivesAtOnce: Readonly<Record<string, number>>;
}

/** How far a pool's drive is that is brought up to date. */
export interface HealingSeen {
  readonly pool: string;
  readonly drive: string;
  readonly zonesDone: number;
  readonly zonesLeft: number;
}

export interface HealingAtKill extends HealingSeen {
  /** At the first look after the restart: 0 when it has all; undefined when another drive's turn had come. */
  readonly zonesLeftAfter: number | undefined;
}

export class HealingDriver {
  readonly #array: RunningArray;
  readonly #pool: string;
  readonly #kind: HealingPlan["kind"];
  readonly #drivesAtOnce: number;
  /** The drives of the places, by configuration. */
  readonly #homes: readonly string[];
  readonly #slowPercent: number;
  #nextPlace = 0;
  /** Brought up to date last. */
  #rebuilt: readonly string[] = [];

  constructor(array: RunningArray, options: { pool: string; plan: HealingPlan; homes: readonly string[]; slowPercent: number }) {
    this.#array = array;
    this.#pool = options.pool;
    this.#kind = options.plan.kind;
    this.#drivesAtOnce = options.plan.drivesAtOnce[options.pool]!;
    this.#homes = options.homes;
    this.#slowPercent = options.slowPercent;
  }

  /** Resolves when a drive is brought up to date, or one that was would not last for so long. */
  async begin(): Promise<void> {
    for (let pulls = 0; pulls <= PULLS_MAX; pulls++) {
      const seen = await this.#until(
        "a drive is brought up to date, or can be",
        (now) => this.#isUnderWay(now) || this.#isIdle(now),
      );
      if (this.#isUnderWay(seen)) return;
      if (pulls === PULLS_MAX) return;
      if (this.#kind === "copyBack") await this.#copyBack(seen);
      else await this.#pullMembers(seen);
    }
  }

  /** What is under way, if anything is. */
  async look(): Promise<HealingSeen | undefined> {
    const seen = await this.#array.pool(this.#pool);
    return this.#isUnderWay(seen) ? this.#told(seen) : undefined;
  }

  /** How it goes on after a restart: the first that is seen of it. */
  async after(before: HealingSeen): Promise<HealingAtKill> {
    const until = performance.now() + LOOKS_AFTER_START_MILLISECONDS_MAX;
    for (;;) {
      const seen = await this.#array.pool(this.#pool);
      const drive = seen.drives.find(({ name }) => name === before.drive);
      const told = this.#told(seen);
      if (drive?.state === "online") return { ...before, zonesLeftAfter: 0 };
      if (told?.drive === before.drive) return { ...before, zonesLeftAfter: told.zonesLeft };
      if (told !== undefined || performance.now() > until) return { ...before, zonesLeftAfter: undefined };
      await pause();
    }
  }

  /**
   * Lets everything end that is under way.
   * @returns drives that the pool can do without, and none of those that were brought up to date last: these are needed then
   */
  async end(tolerance: number): Promise<readonly string[]> {
    await setRebuildShare(this.#array, this.#pool, FAST_PERCENT);
    const seen = await this.#until("all drives are up to date", (now) => this.#isIdle(now, true));
    const members = this.#members(seen);
    return members.filter((name) => !this.#rebuilt.includes(name)).slice(0, tolerance);
  }

  async #pullMembers(seen: PoolSeen): Promise<void> {
    const members = this.#members(seen);
    const places = Array.from({ length: this.#drivesAtOnce }, (_, n) => (this.#nextPlace + n) % members.length);
    for (const place of places) await moveDrive(this.#array, members[place]!, "pull");
    // The place's own drive stands by again after the next start: its turn comes when its spare is pulled.
    const isHome = members[places[0]!] === this.#homes[places[0]!];
    if (!isHome) this.#nextPlace += this.#drivesAtOnce;
    const pulled = places.map((place) => members[place]!);
    const joined = await this.#until("the pulled drives are replaced", (now) => {
      const names = this.#members(now);
      return !pulled.some((name) => names.includes(name));
    });
    this.#rebuilt = places.map((place) => this.#members(joined)[place]!);
  }

  async #copyBack(seen: PoolSeen): Promise<void> {
    let place = this.#spareIn(seen);
    await setRebuildShare(this.#array, this.#pool, FAST_PERCENT);
    const wasInPlace = place < 0;
    if (wasInPlace) {
      place = this.#nextPlace % this.#homes.length;
      this.#nextPlace += 1;
      await moveDrive(this.#array, this.#homes[place]!, "pull");
    }
    const home = this.#homes[place]!;
    await this.#until("the spare is built", (now) => {
      const member = now.drives[place]!;
      return this.#isUnderWay(now) || (member.name !== home && member.state === "online");
    });
    await setRebuildShare(this.#array, this.#pool, this.#slowPercent);
    if (wasInPlace) {
      await moveDrive(this.#array, home, "insert");
      await this.#array.api(`/api/v1/pools/${this.#pool}/rebuild`, { method: "POST" });
    }
    this.#rebuilt = [home];
    await this.#until("it is copied back, or was", (now) => this.#isUnderWay(now) || this.#isIdle(now, true));
  }

  /** Nothing is going on: the next drive can be pulled. A spare that has a place is to be relieved of it first. */
  #isIdle(seen: PoolSeen, atTheEnd = false): boolean {
    if (this.#kind === "rebuild") return isHealed(seen);
    return this.#spareIn(seen) < 0 ? isHealed(seen) : !atTheEnd;
  }

  /** The place that a spare has, or −1. */
  #spareIn(seen: PoolSeen): number {
    return this.#members(seen).findIndex((name, place) => name !== this.#homes[place]);
  }

  #isUnderWay({ rebuild }: PoolSeen): boolean {
    if (rebuild === undefined || rebuild.zonesDone >= rebuild.zonesTotal) return false;
    return this.#kind === "rebuild" || rebuild.from !== undefined;
  }

  #told({ rebuild }: PoolSeen): HealingSeen | undefined {
    // Nothing is known before it has looked.
    if (rebuild === undefined || rebuild.zonesTotal === 0) return undefined;
    const { drive, zonesDone, zonesTotal } = rebuild;
    return { pool: this.#pool, drive, zonesDone, zonesLeft: zonesTotal - zonesDone };
  }

  #members({ drives }: PoolSeen): string[] {
    return drives.slice(0, this.#homes.length).map(({ name }) => name);
  }

  #until(what: string, is: (seen: PoolSeen) => boolean): Promise<PoolSeen> {
    return untilPool(this.#array, this.#pool, what, is);
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, LOOK_MILLISECONDS);
  });
}
