import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  DEATHS_MAX,
  Failover,
  type FailoverAction,
  type FailoverEvent,
  JOIN_MILLISECONDS_MAX,
  REOPEN_MILLISECONDS,
  REOPEN_MILLISECONDS_MAX,
} from "../../../directors/failover.ts";

const DIRECTORS = [{ name: "1A" }, { name: "1B" }];
const POOLS = [
  { name: "A", owner: 0, reachedBy: [0, 1] },
  { name: "B", owner: 1, reachedBy: [0, 1] },
];

/** Main and the threads around the state machine: does what it says, and holds it to its promises. */
class World {
  readonly failover = new Failover({ directors: DIRECTORS, pools: POOLS });
  now = 0;
  exit: string | undefined;
  readonly alive = [true, true];
  /** Fenced, and not joined yet. */
  readonly fenced = [false, false];
  /** Directors that have the pool open, or are opening it. */
  readonly holders: Set<number>[] = POOLS.map(({ owner }) => new Set([owner]));
  /** What threads still have to answer. */
  waiting: FailoverEvent[] = [];
  readonly ended = new Map<number, string | undefined>();
  readonly events: string[] = [];
  readonly messages: string[] = [];
  /** So many of the next openings fail. */
  vain = 0;
  readonly log: FailoverAction["type"][] = [];

  take(event: FailoverEvent): void {
    for (const action of this.failover.take(event, this.now)) {
      if (this.exit !== undefined) return;
      this.log.push(action.type);
      this.#do(action);
    }
  }

  #do(action: FailoverAction): void {
    switch (action.type) {
      case "fence":
        this.fenced[action.director] = true;
        return;
      case "terminate":
        expect(this.fenced[action.director]).toBe(true); // invariant 2
        this.waiting.push({ type: "joined", director: action.director });
        return;
      case "lost":
        expect(this.alive[action.director]).toBe(false);
        this.waiting.push({ type: "memoryFree", director: action.director });
        return;
      case "stop":
        this.waiting.push({ type: "stopped", director: action.director });
        return;
      case "start":
        expect(this.alive[action.director]).toBe(false); // invariant 2
        this.alive[action.director] = true;
        this.waiting.push({ type: "ready", director: action.director, failed: [] });
        return;
      case "open":
        expect(this.alive[action.director] && !this.fenced[action.director]).toBe(true);
        expect([...this.holders[action.pool]!]).toEqual([]); // invariant 1
        this.vain -= 1;
        if (this.vain < 0) this.holders[action.pool]!.add(action.director);
        this.waiting.push({ type: "opened", director: action.director, pool: action.pool, served: this.vain < 0 });
        return;
      case "prepare":
        this.waiting.push({ type: "prepared", director: action.director, pool: action.pool });
        return;
      case "close":
        // One that could not be opened is held by nobody.
        expect([[], [action.director]]).toContainEqual([...this.holders[action.pool]!]);
        this.waiting.push({ type: "closed", director: action.director, pool: action.pool });
        return;
      case "ended":
        expect(this.ended.has(action.command)).toBe(false);
        this.ended.set(action.command, action.refusal);
        return;
      case "exit":
        this.exit = action.reason;
        return;
      case "publish":
      case "returned":
        return;
      case "raise":
        this.events.push(action.event.type);
        this.messages.push(`${action.event.severity} ${action.event.message}`);
        return;
    }
  }

  /** A thread answers, if it still can. */
  answer(index: number): void {
    const [event] = this.waiting.splice(index % this.waiting.length, 1);
    if (event === undefined || !("director" in event)) return;
    if (event.type === "joined") {
      this.alive[event.director] = false;
      this.fenced[event.director] = false;
      for (const holders of this.holders) holders.delete(event.director);
      this.waiting = this.waiting.filter((other) => !("director" in other) || other.director !== event.director);
    } else if (event.type !== "memoryFree" && !this.alive[event.director]) return;
    if (event.type === "closed") this.holders[event.pool]!.delete(event.director);
    this.take(event);
  }

  settle(): void {
    for (let round = 0; round < 1000 && this.exit === undefined; round += 1) {
      while (this.waiting.length > 0 && this.exit === undefined) this.answer(0);
      const before = this.log.length;
      this.now += 1000;
      this.take({ type: "tick" });
      if (this.waiting.length === 0 && this.log.length === before && round > 60) return;
    }
  }

  ready(): this {
    for (const director of [0, 1]) this.take({ type: "ready", director, failed: [] });
    return this;
  }

  fail(director: number): void {
    this.take({ type: "failed", director, cause: "stuck", reason: "test" });
  }

  get served(): readonly string[] {
    const { pools } = this.failover.ownership;
    return pools.map(({ owner, access }, pool) => `${POOLS[pool]!.name}@${DIRECTORS[owner]!.name} ${access}`);
  }
}

const HOME = ["A@1A active", "B@1B active"];

describe("failover", () => {
  test("a pool that fails is unavailable at once; one whose drives can be reached again is closed and opened anew", () => {
    const world = new World().ready();
    world.take({ type: "poolFailed", director: 0, pool: 0 });
    expect(world.served).toEqual(["A@1A unavailable", "B@1B active"]);
    world.take({ type: "poolReachable", director: 1, pool: 0 }); // not its owner
    expect(world.served).toEqual(["A@1A unavailable", "B@1B active"]);
    world.take({ type: "poolReachable", director: 0, pool: 0 });
    expect(world.served).toEqual(["A@1A transitioning", "B@1B active"]);
    world.answer(0);
    world.answer(0);
    expect(world.served).toEqual(HOME);
    expect(world.log.filter((type) => type !== "publish")).toEqual(["close", "open", "raise"]);
    expect(world.events).toEqual(["pool.reopened"]);
  });

  test("a pool that can't be opened again is tried again, later each time, and hosts are not told of each try", () => {
    const world = new World().ready();
    world.vain = 9;
    world.take({ type: "poolFailed", director: 0, pool: 0 });
    world.take({ type: "poolReachable", director: 0, pool: 0 });
    const waits: number[] = [];
    let triedAt = 0;
    for (let tries = 0; tries < 9; tries += 1) {
      while (world.waiting.length > 0) world.answer(0);
      expect(world.served[0]).toBe("A@1A unavailable");
      while (world.waiting.length === 0) {
        world.now += 250;
        world.take({ type: "tick" });
      }
      expect(world.served[0]).toBe("A@1A unavailable");
      waits.push(world.now - triedAt);
      triedAt = world.now;
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((n) => n * REOPEN_MILLISECONDS));
    expect(Math.max(...waits)).toBe(REOPEN_MILLISECONDS_MAX);
    world.settle();
    expect(world.served).toEqual(HOME);
    expect(world.events).toEqual(new Array(10).fill("pool.reopened"));
    expect(world.messages[2]).toBe("critical pool A: director 1A could not open it again; it is tried again in 4 s");
    expect(world.messages[9]).toBe("info pool A: director 1A serves it again");
  });

  test("a pool that is being opened while its drives can't be reached is unavailable at once, and until it is served", () => {
    const world = new World().ready();
    world.take({ type: "move", pool: 0, to: 1, command: 1 });
    world.answer(0);
    world.answer(0);
    expect(world.served[0]).toBe("A@1B transitioning");
    world.take({ type: "poolFailed", director: 0, pool: 0 }); // not its owner any more
    expect(world.served[0]).toBe("A@1B transitioning");
    world.take({ type: "poolFailed", director: 1, pool: 0 });
    expect(world.served[0]).toBe("A@1B unavailable");
    world.answer(0);
    expect(world.served[0]).toBe("A@1B active");
  });

  test("a pool that is to be opened anew is never unavailable; one that is on its way is opened where it goes", () => {
    const world = new World().ready();
    world.take({ type: "poolReopens", director: 1, pool: 0 }); // not its owner
    expect(world.served).toEqual(HOME);
    world.take({ type: "poolReopens", director: 0, pool: 0 });
    expect(world.served[0]).toBe("A@1A transitioning");
    world.settle();
    expect(world.served).toEqual(HOME);
    expect(world.messages).toEqual(["info pool A: director 1A serves it again"]);
    world.take({ type: "move", pool: 0, to: 1, command: 1 });
    world.take({ type: "poolReopens", director: 0, pool: 0 });
    expect(world.served[0]).toBe("A@1A transitioning");
    world.settle();
    expect(world.served).toEqual(["A@1B active", "B@1B active"]);
    expect([...world.ended]).toEqual([[1, undefined]]);
  });

  test("a takeover that fails is tried again, too; a pool that was never served is left to people", () => {
    const world = new World();
    world.take({ type: "ready", director: 0, failed: [0] });
    world.take({ type: "ready", director: 1, failed: [] });
    world.settle();
    expect(world.served).toEqual(["A@1A unavailable", "B@1B active"]);
    expect(world.log).not.toContain("open");
    world.vain = 2;
    world.fail(1);
    world.settle();
    expect(world.served).toEqual(["A@1A unavailable", "B@1B active"]);
    expect(world.messages[1]).toContain("critical pool B: director 1A could not open it; it is tried again in 1 s");
  });

  test("a director that fails is fenced, ended, joined; then its partner opens its pools; it comes back and gets them again", () => {
    const world = new World().ready();
    expect(world.served).toEqual(HOME);
    world.fail(0);
    expect(world.log.filter((type) => type !== "publish")).toEqual(["fence", "terminate", "raise"]);
    expect(world.served).toEqual(["A@1A transitioning", "B@1B active"]);
    world.answer(0);
    expect(world.log.filter((type) => type !== "publish").slice(3)).toEqual(["lost", "open"]);
    expect(world.served[0]).toBe("A@1B transitioning");
    world.settle();
    expect(world.served).toEqual(HOME);
    expect(world.events).toEqual(["director.failed", "pool.takenOver", "director.returned", "pool.moved"]);
    expect(world.failover.ownership).toMatchObject({ failovers: 1, directors: ["active", "active"] });
  });

  test("a death before the array serves ends the process", () => {
    const world = new World();
    world.fail(1);
    expect(world.exit).toContain("1B");
  });

  test("a director that can't be joined ends the process", () => {
    const world = new World().ready();
    world.fail(0);
    world.now += JOIN_MILLISECONDS_MAX + 1;
    world.take({ type: "tick" });
    expect(world.exit).toContain("can't be joined");
  });

  test("when both are gone the process ends: nobody is left for their pools", () => {
    const world = new World().ready();
    world.fail(0);
    world.fail(1);
    world.settle();
    expect(world.exit).toContain("no director is left");
  });

  test("one that dies again and again stays down, and comes back when it is told to", () => {
    const world = new World().ready();
    for (let death = 0; death < DEATHS_MAX; death += 1) {
      world.fail(0);
      world.settle();
    }
    expect(world.failover.ownership.directors).toEqual(["down", "active"]);
    expect(world.served).toEqual(["A@1B active", "B@1B active"]);
    world.settle();
    expect(world.failover.stateOf(0)).toBe("down");
    world.take({ type: "restart", director: 0, command: 7 });
    world.settle();
    expect(world.served).toEqual(HOME);
    expect(world.ended.get(7)).toBeUndefined();
  });

  test("a pool that is moved on command stays where it was moved, and is away from nobody's reach but between close and open", () => {
    const world = new World().ready();
    world.take({ type: "move", pool: 0, to: 1, command: 1 });
    expect(world.served[0]).toBe("A@1A active"); // it destages, and serves
    world.answer(0);
    expect(world.served[0]).toBe("A@1A transitioning");
    world.settle();
    expect(world.served).toEqual(["A@1B active", "B@1B active"]);
    expect([...world.ended]).toEqual([[1, undefined]]);
    expect(world.log).not.toContain("fence");
    world.settle();
    expect(world.served[0]).toBe("A@1B active");
  });

  test("a restart on command moves its pools away first, and hands them back", () => {
    const world = new World().ready();
    world.take({ type: "restart", director: 1, command: 4 });
    world.settle();
    expect(world.served).toEqual(HOME);
    expect([...world.ended]).toEqual([[4, undefined]]);
    expect(world.events).not.toContain("director.failed");
    const at = (type: FailoverAction["type"]) => world.log.indexOf(type);
    expect(at("stop")).toBeGreaterThan(at("open"));
    expect(at("start")).toBeGreaterThan(at("stop"));
  });

  test("refuses what can't be done, and says why", () => {
    const world = new World().ready();
    world.take({ type: "move", pool: 5, to: 1, command: 1 });
    world.take({ type: "move", pool: 0, to: 9, command: 2 });
    world.fail(1);
    world.take({ type: "move", pool: 0, to: 1, command: 3 });
    world.take({ type: "restart", director: 0, command: 4 });
    expect([1, 2, 3, 4].map((command) => world.ended.get(command))).toEqual([
      "there is no such pool",
      "director 9 does not reach the drives of pool A",
      "director 1B is joining",
      "nobody else can serve pool A now",
    ]);
  });

  test("whatever happens in whatever order: never two owners, every command ends, and all comes to rest where it belongs", () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("answer" as const), index: fc.nat(7) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("fail" as const), index: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("move" as const), index: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const), index: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("vain" as const), index: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("poolFailed" as const), index: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("tick" as const), index: fc.nat(3000) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World().ready();
        let commands = 0;
        for (const { kind, index } of steps) {
          if (world.exit !== undefined) break;
          if (kind === "answer") world.waiting.length > 0 && world.answer(index);
          else if (kind === "fail") world.alive[index] && world.fail(index);
          else if (kind === "move") world.take({ type: "move", pool: index & 1, to: index >> 1, command: commands++ });
          else if (kind === "vain") world.vain = index;
          else if (kind === "poolFailed") {
            world.take({ type: index % 3 === 0 ? "poolReopens" : "poolFailed", director: index >> 1, pool: index & 1 });
            world.waiting.push({ type: "poolReachable", director: index >> 1, pool: index & 1 });
          } else if (kind === "restart") world.take({ type: "restart", director: index, command: commands++ });
          else {
            world.now += index;
            world.take({ type: "tick" });
          }
        }
        world.settle();
        if (world.exit !== undefined) return;
        expect(world.ended.size).toBe(commands);
        const { pools, directors } = world.failover.ownership;
        for (const state of directors) expect(["active", "down"]).toContain(state);
        for (const [pool, { owner, access }] of pools.entries()) {
          expect(access).toBe("active");
          expect([...world.holders[pool]!]).toEqual([owner]);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
