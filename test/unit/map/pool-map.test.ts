import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../../drivers/drive/drive.ts";
import { MemoryDrive, MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import { logKey, MapChange, ZONE_EVENT } from "../../../src/map/map-log.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../../../src/map/map-pages.ts";
import { MetadataStore } from "../../../src/map/metadata-store.ts";
import { MapDamagedError, PoolMap } from "../../../src/map/pool-map.ts";
import { ZONE_STATE } from "../../../src/map/zone-table.ts";
import { groupGeometry, NOT_MAPPED } from "../../../src/raid/geometry.ts";
import { GroupFailedError, type Member, RaidGroup } from "../../../src/raid/raid-group.ts";
import { interceptDrive, turns } from "../../support/gated-drive.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const geometry = groupGeometry({ dataDrives: 2, blocksPerStrip: 4, stripesPerZone: 8, zoneSlots: 6 });
const { global } = testGlobalMemory();
const VOLUME_BLOCKS = 6 * PAGE_BLOCKS;

function newDrives(): MemoryDriveState[] {
  const drive = { capacityBytes: 1 << 20, stripBytes: 4096, stripsPerZone: 8, zoneCount: 6 };
  return [0, 1, 2].map((n) => new MemoryDriveState({ name: `0${n}`, driveId: `${n}`, geometry: drive }));
}

/** Batches that may still be made on each drive, then it is as if the power were off. */
interface Power {
  readonly left: number[];
}

async function openMap(
  states: readonly (MemoryDriveState | undefined)[],
  options: { power?: Power; pagesMax?: number; empty?: boolean } = {},
): Promise<{ map: PoolMap; group: RaidGroup }> {
  const members: Member[] = [];
  for (const [position, state] of states.entries()) {
    let drive: Drive | undefined;
    if (state !== undefined) {
      drive = new MemoryDrive(state, global);
      await drive.open(0);
      if (options.power !== undefined) {
        const { left } = options.power;
        drive = interceptDrive(drive, (operation, _parameters, run) => {
          if (operation !== "metadataBatch") return run();
          if (left[position]! <= 0) return new Promise(() => undefined);
          left[position]! -= 1;
          return run();
        });
      }
    }
    members.push({
      position,
      name: `0${position}`,
      driveId: "",
      state: drive === undefined ? "missing" : "online",
      reason: "",
      drive,
    });
  }
  const group = new RaidGroup(members, geometry.level, {
    onMemberLost: () => Promise.resolve(),
    onNoSpace: () => Promise.resolve(),
  });
  const map = new PoolMap(new MetadataStore(group), geometry, options.pagesMax ?? 64);
  for (const volume of [1, 2]) map.pages.addVolume(volume, VOLUME_BLOCKS, options.empty ?? false);
  return { map, group };
}

async function formatted(): Promise<MemoryDriveState[]> {
  const states = newDrives();
  await (await openMap(states)).map.format();
  return states;
}

/** Opens zone 1 in slot 0, so that places 1 … 64 are there. */
async function openZone(map: PoolMap): Promise<void> {
  await map.exclusive(async () => {
    const change = new MapChange();
    change.events.push({ kind: ZONE_EVENT.opened, slot: 0, zone: 1, stripes: 0 });
    await map.commit(change);
  });
}

async function put(map: PoolMap, entries: readonly (readonly [volume: number, block: number, place: number])[]): Promise<void> {
  const unpin = await map.pinPages(
    entries.map(([volume]) => volume),
    entries.map(([, block]) => block),
    entries.length,
  );
  try {
    await map.exclusive(async () => {
      const change = new MapChange();
      for (const [volume, block, place] of entries) change.add(volume, block, place, map.lookup(volume, block));
      await map.commit(change);
    });
  } finally {
    unpin();
  }
}

async function places(map: PoolMap, blocks: readonly (readonly [number, number])[]): Promise<number[]> {
  const found: number[] = [];
  for (const [volume, block] of blocks) {
    await map.loadPage(volume, Math.floor(block / PAGE_BLOCKS));
    found.push(map.lookup(volume, block));
  }
  return found;
}

/** A map with a page on its drives and not in memory; the next so many reads of a key on each drive fail. */
async function mapThatErrs(unread: number[]): Promise<{ map: PoolMap; group: RaidGroup }> {
  const states = await formatted();
  const { map: first } = await openMap(states);
  await first.load();
  await openZone(first);
  await put(first, [[1, 0, 1]]);
  await first.checkpoint();
  const opened = await openMap(states);
  await opened.map.load();
  for (const member of opened.group.members) {
    member.drive = interceptDrive(member.drive!, async (operation, _parameters, run) => {
      if (operation === "metadataGet" && unread[member.position]!-- > 0)
        throw new DriveError("unrecoveredRead", member.name, "EIO");
      return run();
    });
  }
  return opened;
}

describe("PoolMap: checkpoint and log (invariants 1 and 2)", () => {
  type Act =
    | { kind: "put"; entries: (readonly [number, number])[] }
    | { kind: "unmap"; entries: (readonly [number, number])[] }
    | { kind: "checkpoint" };
  const at = fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(0, 1, 1023, 1024, 3000, 5 * PAGE_BLOCKS, VOLUME_BLOCKS - 1));
  const act: fc.Arbitrary<Act> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("put" as const),
        entries: fc.uniqueArray(at, { minLength: 1, maxLength: 4, selector: String }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("unmap" as const),
        entries: fc.uniqueArray(at, { minLength: 1, maxLength: 3, selector: String }),
      }),
    },
    { weight: 2, arbitrary: fc.constant({ kind: "checkpoint" as const }) },
  );
  const ALL = [1, 2].flatMap((volume) =>
    [0, 1, 1023, 1024, 3000, 5 * PAGE_BLOCKS, VOLUME_BLOCKS - 1].map((block) => [volume, block] as const),
  );

  interface State {
    places: number[];
    live: number;
    mapped: number[];
  }
  async function stateOf(map: PoolMap): Promise<State> {
    const found = await places(map, ALL);
    return { places: found, live: map.zones.liveTotal, mapped: [map.mappedBlocks(1), map.mappedBlocks(2)] };
  }

  /** Does the acts until the power goes; returns the states before and after the act that was under way. */
  async function run(states: MemoryDriveState[], acts: readonly Act[], power: Power): Promise<State[]> {
    const { map } = await openMap(states, { power, pagesMax: 4 });
    let dark = false;
    const within = async <T>(work: Promise<T>): Promise<T | undefined> => {
      const stuck = new Promise<undefined>((resolve) => {
        let idle = 0;
        const look = (): void => {
          // Nothing is left to do but what waits for a drive without power.
          if (power.left.some((left) => left <= 0)) idle += 1;
          if (idle > 30) {
            dark = true;
            resolve(undefined);
          } else setImmediate(look);
        };
        look();
      });
      return Promise.race([work, stuck]);
    };
    await within(map.load());
    if (dark) return [];
    await within(openZone(map));
    if (dark) return [];
    const model = new Map<string, number>();
    const snapshot = (): State => ({
      places: ALL.map((key) => model.get(String(key)) ?? NOT_MAPPED),
      live: model.size,
      mapped: [1, 2].map((volume) => [...model.keys()].filter((key) => key.startsWith(`${volume},`)).length),
    });
    const possible = [snapshot()];
    let place = 1;
    for (const one of acts) {
      if (dark) break;
      if (one.kind === "checkpoint") {
        await within(map.checkpoint());
        continue;
      }
      const entries = one.entries.map(
        ([volume, block]) => [volume, block, one.kind === "put" ? (place++ % 64) + 1 : NOT_MAPPED] as const,
      );
      const before = snapshot();
      for (const [volume, block, to] of entries) {
        if (to === NOT_MAPPED) model.delete(`${volume},${block}`);
        else model.set(`${volume},${block}`, to);
      }
      await within(put(map, entries));
      possible.splice(0, possible.length, ...(dark ? [before, snapshot()] : [snapshot()]));
    }
    return possible;
  }

  test("a crash between any two batches, on either copy, leaves the state before or after the change under way", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { minLength: 1, maxLength: 10 }),
        fc.nat({ max: 40 }),
        fc.nat({ max: 2 }),
        fc.boolean(),
        async (acts, batches, more, second) => {
          const states = await formatted();
          const left = second ? [batches, batches + more] : [batches + more, batches];
          const possible = await run(states, acts, { left });
          // A checkpoint may be under way still: the crash is now.
          left.fill(0);
          await turns();
          if (possible.length === 0) return;
          const { map, group } = await openMap(states);
          await map.load();
          const found = await stateOf(map);
          expect(possible).toContainEqual(found);
          expect(group.state).toBe("optimal");
          // Each copy alone now says the same: either drive may be lost.
          for (const lost of [0, 1]) {
            const alone = states.map((state, position) => (position === lost ? undefined : state));
            const { map: other } = await openMap(alone);
            await other.load();
            expect(await stateOf(other)).toEqual(found);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test("the log is the union of its copies", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    for (let n = 0; n < 6; n++) await put(map, [[1, n, n + 1]]);
    // Each copy lost records of its own, as LevelDB does when its log is damaged.
    for (const sequence of [2, 5]) states[0]!.metadata.delete(logKey(sequence));
    states[1]!.metadata.get(logKey(3))![20]! ^= 1;
    const { map: again } = await openMap(states);
    await again.load();
    expect(
      await places(
        again,
        [0, 1, 2, 3, 4, 5].map((n) => [1, n] as const),
      ),
    ).toEqual([1, 2, 3, 4, 5, 6]);
    expect(states[0]!.metadata.has(logKey(5))).toBe(true);
    const { map: alone } = await openMap([undefined, states[1], states[2]]);
    await alone.load();
    expect(await places(alone, [[1, 1]])).toEqual([2]);
  });

  test("a drive that can't be given what it lacks of the log is lost, and the map is there without it", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [[1, 0, 1]]);
    states[0]!.metadata.delete(logKey(2));
    const { map: again, group } = await openMap(states);
    const member = group.members[0]!;
    member.drive = interceptDrive(member.drive!, async (operation, parameters, work) => {
      const isPut = operation === "metadataBatch" && JSON.stringify(parameters).includes(logKey(2));
      if (isPut) throw new DriveError("unknown", "00", "no answer");
      return work();
    });
    await again.load();
    expect(await places(again, [[1, 0]])).toEqual([1]);
    expect(member.state).toBe("failed");
  });

  test("a gap in the log, and no whole checkpoint, are refused", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    for (let n = 0; n < 4; n++) await put(map, [[1, n, n + 1]]);
    for (const state of states.slice(0, 2)) state.metadata.delete(logKey(3));
    const { map: gap } = await openMap(states);
    await expect(gap.load()).rejects.toThrow(MapDamagedError);

    const broken = await formatted();
    for (const state of broken.slice(0, 2)) state.metadata.get("checkpoint")![9]! ^= 1;
    const { map: none } = await openMap(broken);
    await expect(none.load()).rejects.toThrow(MapDamagedError);
  });

  test("of two whole copies of a page the newer one counts, whichever drive has it", async () => {
    for (const behind of [0, 1]) {
      const states = await formatted();
      const { map } = await openMap(states);
      await map.load();
      await openZone(map);
      await put(map, [[1, 0, 1]]);
      await map.checkpoint();
      const key = [...states[behind]!.metadata.keys()].find((name) => name.startsWith("p/"))!;
      const older = states[behind]!.metadata.get(key)!;
      await put(map, [[1, 0, 2]]);
      await map.checkpoint();
      states[behind]!.metadata.set(key, older);
      const { map: again } = await openMap(states);
      await again.load();
      expect(await places(again, [[1, 0]])).toEqual([2]);
    }
  });

  test("a crash between the copies of a checkpoint leaves the map on both drives; an older copy of a drive has it no more", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [[1, 0, 1]]);
    await map.checkpoint();
    const older = new Map(states[1]!.metadata);
    await put(map, [[1, 0, 2]]);
    const before = states[1]!.metadata.get("checkpoint")!;
    await map.checkpoint();
    const stale = async (): Promise<readonly number[]> => {
      let found: readonly number[] = [];
      const { map: again } = await openMap(states);
      await again.load(async (positions) => {
        found = positions;
      });
      expect(await places(again, [[1, 0]])).toEqual([2]);
      return found;
    };
    states[1]!.metadata.set("checkpoint", before);
    expect(await stale()).toEqual([]);
    states[1]!.metadata.clear();
    for (const [key, value] of older) states[1]!.metadata.set(key, value);
    expect(await stale()).toEqual([1]);
  });

  test("pages that a checkpoint could not write are written by the next", async () => {
    const states = await formatted();
    const { map, group } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [[1, 0, 1]]);
    let fails = true;
    for (const member of group.members) {
      member.drive = interceptDrive(member.drive!, async (operation, _parameters, run) => {
        if (operation !== "metadataBatch" || !fails) return run();
        // The way to the drives is gone for a moment, which is no drive's fault.
        const error = new DriveError("unknown", member.name, "no answer");
        error.threadLost = true;
        throw error;
      });
    }
    await expect(map.checkpoint()).rejects.toMatchObject({ threadLost: true });
    fails = false;
    await map.checkpoint();
    const { map: again } = await openMap(states);
    await again.load();
    expect(await places(again, [[1, 0]])).toEqual([1]);
  });

  test("a change that is made while a checkpoint is written stays in the log", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [[1, 0, 1]]);
    const checkpoint = map.checkpoint();
    await put(map, [[2, 3000, 2]]);
    await checkpoint;
    const { map: again } = await openMap(states);
    await again.load();
    expect(
      await places(again, [
        [1, 0],
        [2, 3000],
      ]),
    ).toEqual([1, 2]);
  });

  test("a page that is damaged on one drive is read from the other; damaged on both it is refused, never empty", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [[1, 0, 1]]);
    await map.checkpoint();
    const key = [...states[0]!.metadata.keys()].find((name) => name.startsWith("p/"))!;
    states[0]!.metadata.get(key)![100]! ^= 1;
    const { map: one } = await openMap(states);
    await one.load();
    expect(await places(one, [[1, 0]])).toEqual([1]);
    states[1]!.metadata.get(key)![100]! ^= 1;
    const { map: none } = await openMap(states);
    await none.load();
    await expect(none.loadPage(1, 0)).rejects.toThrow(MapDamagedError);
  });

  test.each([
    { what: "each drive that has it errs once", unread: [1, 1] },
    { what: "one drive errs for good", unread: [Number.POSITIVE_INFINITY, 0] },
  ])("a page is read although $what", async ({ unread }) => {
    const { map, group } = await mapThatErrs(unread);
    expect(await places(map, [[1, 0]])).toEqual([1]);
    expect(group.state).toBe("optimal");
  });

  test("a page that no drive can be read for is not taken for an empty one", async () => {
    const { map, group } = await mapThatErrs([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
    await expect(map.loadPage(1, 0)).rejects.toThrow(GroupFailedError);
    expect(map.lookup(1, 0)).toBe(PAGE_NOT_LOADED);
    expect(group.state).toBe("failed");
  });
});

describe("PoolMap: zones", () => {
  test("states follow the log's events, live counts the entries, numbers are never given out again", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [
      [1, 0, 1],
      [1, 1, 2],
      [2, 0, 3],
    ]);
    const event = async (kind: number, slot: number, zone: number, stripes: number): Promise<void> => {
      const change = new MapChange();
      change.events.push({ kind, slot, zone, stripes });
      await map.exclusive(() => map.commit(change));
    };
    await event(ZONE_EVENT.sealed, 0, 1, 3);
    expect(map.zones).toMatchObject({ nextZone: 2, liveTotal: 3 });
    await put(map, [
      [1, 0, NOT_MAPPED],
      [1, 1, NOT_MAPPED],
      [2, 0, NOT_MAPPED],
    ]);
    await event(ZONE_EVENT.emptied, 0, 1, 0);
    expect(map.zones.state[0]).toBe(ZONE_STATE.emptied);
    await event(ZONE_EVENT.freed, 0, 1, 0);
    expect(map.zones).toMatchObject({ nextZone: 2, liveTotal: 0 });
    expect(map.zones.count(ZONE_STATE.free)).toBe(6);
    const { map: again } = await openMap(states);
    await again.load();
    expect(again.zones).toEqual(map.zones);
    expect(() => again.zones.addLive(0, -1)).toThrow(/invariant/);
  });

  test("an open zone remembers how far it was mapped, for the start after a crash", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [[1, 0, 1 + 8 * 4]]); // the first block of stripe 4
    const { map: again } = await openMap(states);
    await again.load();
    expect(again.zones.stripes[0]).toBe(5);
  });
});

describe("PoolMap: pages in memory (map-pages, invariants 1 and 2)", () => {
  test("are evicted and loaded again as they were; pinned and dirty ones stay", async () => {
    const states = await formatted();
    const { map } = await openMap(states, { pagesMax: 3 });
    await map.load();
    await openZone(map);
    for (let page = 0; page < 6; page++) await put(map, [[1, page * PAGE_BLOCKS + 7, page + 1]]);
    const blocks = [0, 1, 2, 3, 4, 5].map((page) => [1, page * PAGE_BLOCKS + 7] as const);
    expect(await places(map, blocks)).toEqual([1, 2, 3, 4, 5, 6]);
    const unpin = await map.pinPages([1], [7], 1);
    for (let round = 0; round < 3; round++) for (let page = 1; page < 6; page++) await map.loadPage(1, page);
    expect(map.lookup(1, 7)).toBe(1);
    unpin();
    for (let page = 1; page < 6; page++) await map.loadPage(1, page);
    expect([1, PAGE_NOT_LOADED]).toContain(map.lookup(1, 7));
    expect(await places(map, [[1, 7]])).toEqual([1]);
  });

  test("more empty pages can be filled than there is memory for pages", async () => {
    const states = await formatted();
    const { map } = await openMap(states, { pagesMax: 3, empty: true });
    await map.load();
    await openZone(map);
    // Two pages with each change: with two of them dirty there is no room for the next two until a checkpoint made some.
    const blocks = Array.from({ length: 12 }, (_, n) => [1 + (n % 2), Math.floor(n / 2) * PAGE_BLOCKS] as const);
    for (let n = 0; n < 12; n += 2)
      await put(
        map,
        [0, 1].map((m) => [...blocks[n + m]!, n + m + 1] as const),
      );
    expect(await places(map, blocks)).toEqual(blocks.map((_, n) => n + 1));
    const { map: again } = await openMap(states, { pagesMax: 3 });
    await again.load();
    expect(await places(again, blocks)).toEqual(blocks.map((_, n) => n + 1));
  });

  test("a volume that is dropped leaves no page behind, in memory or on the drives", async () => {
    const states = await formatted();
    const { map } = await openMap(states);
    await map.load();
    await openZone(map);
    await put(map, [
      [1, 0, 1],
      [2, 0, 2],
    ]);
    await map.checkpoint();
    await put(map, [[1, 0, NOT_MAPPED]]);
    await map.dropVolume(1);
    expect(map.mappedBlocks(1)).toBe(0);
    for (const state of states) expect([...state.metadata.keys()].filter((key) => key.startsWith("p/00000001"))).toEqual([]);
    expect(map.lookup(2, 0)).toBe(2);
  });

  test("a failed drive does not stop changes; its loss is for the group to record", async () => {
    const states = await formatted();
    const { map, group } = await openMap(states);
    await map.load();
    await openZone(map);
    const member = group.members[0]!;
    member.drive = interceptDrive(member.drive!, async (operation, _parameters, work) => {
      if (operation === "metadataBatch") throw new DriveError("writeFailed", "00", "no");
      return work();
    });
    await put(map, [[1, 0, 1]]);
    expect(group.state).toBe("degraded");
    const { map: again } = await openMap([undefined, states[1], states[2]]);
    await again.load();
    expect(await places(again, [[1, 0]])).toEqual([1]);
  });
});
