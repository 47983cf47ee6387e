import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MetadataRange } from "../../../drivers/drive/drive.ts";
import { MemoryDrive, MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import { MapChange, ZONE_EVENT } from "../../../src/map/map-log.ts";
import { pageKey } from "../../../src/map/map-page.ts";
import { MapPages, PAGE_BLOCKS, PAGE_NOT_LOADED } from "../../../src/map/map-pages.ts";
import { MetadataStore } from "../../../src/map/metadata-store.ts";
import { PoolMap } from "../../../src/map/pool-map.ts";
import { TouchedPages } from "../../../src/map/touched-pages.ts";
import { groupGeometry, NOT_MAPPED } from "../../../src/raid/geometry.ts";
import { type Member, RaidGroup } from "../../../src/raid/raid-group.ts";
import { unmapRange } from "../../../src/volume/destager.ts";
import { interceptDrive } from "../../support/gated-drive.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const TiB_BLOCKS = 2 ** 28;
const HUGE_BLOCKS = 16 * TiB_BLOCKS;
const geometry = groupGeometry({ dataDrives: 2, blocksPerStrip: 4, stripesPerZone: 8, zoneSlots: 6 });
const { global } = testGlobalMemory();

interface Counted {
  reads: number;
  readonly scans: MetadataRange[];
}

function newDrives(): MemoryDriveState[] {
  const drive = { capacityBytes: 1 << 20, stripBytes: 4096, stripsPerZone: 8, zoneCount: 6 };
  return [0, 1, 2].map((n) => new MemoryDriveState({ name: `0${n}`, driveId: `${n}`, geometry: drive }));
}

/** Each time under a higher epoch: what the map before has under way, as a checkpoint in the background, ends as fenced. */
async function openMap(states: readonly MemoryDriveState[], pagesMax: number): Promise<{ map: PoolMap; counted: Counted }> {
  const epoch = 1 + Math.max(...states.map(({ fence }) => fence.epoch));
  const counted: Counted = { reads: 0, scans: [] };
  const members: Member[] = [];
  for (const [position, state] of states.entries()) {
    const plain = new MemoryDrive(state, global);
    await plain.open(epoch);
    const drive = interceptDrive(plain, (operation, [range], run) => {
      if (operation === "metadataGet" || operation === "metadataScan") counted.reads += 1;
      if (operation === "metadataScan" && position === 0) counted.scans.push(range as MetadataRange);
      return run();
    });
    members.push({ position, name: `0${position}`, driveId: "", state: "online", reason: "", drive });
  }
  const group = new RaidGroup(members, geometry.level, {
    onMemberLost: () => Promise.resolve(),
    onNoSpace: () => Promise.resolve(),
  });
  return { map: new PoolMap(new MetadataStore(group), geometry, pagesMax), counted };
}

async function put(map: PoolMap, volume: number, block: number, place: number): Promise<void> {
  const unpin = await map.pinPages([volume], [block], 1);
  try {
    await map.exclusive(async () => {
      const change = new MapChange();
      change.add(volume, block, place, map.lookup(volume, block));
      await map.commit(change);
    });
  } finally {
    unpin();
  }
}

async function madeMap(pagesMax = 8): Promise<{ states: MemoryDriveState[]; map: PoolMap; counted: Counted }> {
  const states = newDrives();
  const { map, counted } = await openMap(states, pagesMax);
  await map.format();
  await map.load();
  const opened = new MapChange();
  opened.events.push({ kind: ZONE_EVENT.opened, slot: 0, zone: 1, stripes: 0 });
  await map.exclusive(() => map.commit(opened));
  return { states, map, counted };
}

describe("growth of the map with what volumes promise", () => {
  test("a thousand volumes of 16 TiB take as much memory as a thousand of 1 GiB", () => {
    const pages = new MapPages(64);
    const before = process.memoryUsage().arrayBuffers;
    for (let volume = 1; volume <= 1000; volume++) pages.addVolume(volume, HUGE_BLOCKS, volume % 2 === 0);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 2 ** 20);
    for (let volume = 1; volume <= 1000; volume++) pages.growVolume(volume, 4 * HUGE_BLOCKS);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(8 * 2 ** 20);
  });

  test("what is remembered of empty pages is bounded, and forgetting it is asked for again", async () => {
    const { map } = await madeMap();
    map.pages.addVolume(1, HUGE_BLOCKS, false);
    let most = 0;
    for (let page = 0; page < 5000; page++) {
      await map.loadPage(1, page * 3);
      expect(map.lookup(1, page * 3 * PAGE_BLOCKS)).toBe(NOT_MAPPED);
      most = Math.max(most, map.pages.entryCount);
    }
    expect(most).toBeLessThanOrEqual(8 + 2048);
    expect(map.lookup(1, 0)).toBe(PAGE_NOT_LOADED);
  });

  test("a new volume asks the drives for nothing but what it wrote before", async () => {
    const { map, counted } = await madeMap();
    map.pages.addVolume(1, 4096 * PAGE_BLOCKS, true);
    const before = counted.reads;
    for (let page = 0; page < 200; page++) await put(map, 1, page * 5 * PAGE_BLOCKS, 1 + (page % 60));
    expect(map.lookup(1, 7 * PAGE_BLOCKS)).toBe(NOT_MAPPED);
    expect(counted.reads).toBe(before);
  });

  test("zeroing or deleting 16 TiB costs what is mapped of them", async () => {
    const { states, map: first } = await madeMap();
    first.pages.addVolume(1, HUGE_BLOCKS, true);
    const blocks = [0, 5 * TiB_BLOCKS + 77, 15 * TiB_BLOCKS + 1023, HUGE_BLOCKS - 1];
    for (const [n, block] of blocks.entries()) await put(first, 1, block, n + 1);
    await first.checkpoint();
    const { map, counted } = await openMap(states, 8);
    map.pages.addVolume(1, HUGE_BLOCKS, false);
    await map.load();
    counted.reads = 0;
    const pageCount = HUGE_BLOCKS / PAGE_BLOCKS;
    const found: number[] = [];
    for (let page = 0; ; page += 1) {
      page = await map.nextUsedPage(1, page, pageCount);
      if (page >= pageCount) break;
      found.push(page);
      await unmapRange(map, 1, page * PAGE_BLOCKS, (page + 1) * PAGE_BLOCKS);
    }
    expect(found).toEqual(blocks.map((block) => Math.floor(block / PAGE_BLOCKS)));
    expect(map.mappedBlocks(1)).toBe(0);
    // On each of two drives: a scan and a page for each of the four, and the scan that finds no more.
    expect(counted.reads).toBeLessThanOrEqual(2 * (2 * blocks.length + 1));
  });

  test("a volume's pages are removed in one pass over its keys", async () => {
    const { states, map, counted } = await madeMap();
    map.pages.addVolume(1, TiB_BLOCKS, true);
    for (let page = 0; page < 300; page++) await put(map, 1, page * PAGE_BLOCKS, 1);
    await map.checkpoint();
    counted.scans.length = 0;
    await map.dropVolume(1);
    expect([...states[0]!.metadata.keys()].filter((key) => key.startsWith("p/"))).toEqual([]);
    expect(counted.scans.length).toBeGreaterThan(3);
    for (const [n, scan] of counted.scans.entries()) {
      if (n > 0) expect(scan.from > counted.scans[n - 1]!.from).toBe(true);
    }
  });
});

describe("growth of the map's log", () => {
  test("is bounded in records too: however small they are, a start replays some thousands", async () => {
    const { states, map } = await madeMap();
    map.pages.addVolume(1, 4096, true);
    let most = 0;
    for (let n = 0; n < 9000; n++) {
      await put(map, 1, n % 4096, 1 + (n % 60));
      if (n % 100 === 0) most = Math.max(most, [...states[0]!.metadata.keys()].filter((key) => key.startsWith("l/")).length);
    }
    expect(most).toBeGreaterThan(5000);
    expect(most).toBeLessThan(8300);
  });
});

describe("PoolMap.nextUsedPage", () => {
  const PAGES = 40;
  type Act =
    | { kind: "put"; page: number }
    | { kind: "load"; page: number }
    | { kind: "unmap"; page: number }
    | { kind: "checkpoint" }
    | { kind: "reopen" }
    | { kind: "look"; from: number; count: number };
  const page = fc.nat({ max: PAGES - 1 });
  const act: fc.Arbitrary<Act> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("put" as const), page }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("load" as const), page }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("unmap" as const), page }) },
    { weight: 1, arbitrary: fc.constant({ kind: "checkpoint" as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: "reopen" as const }) },
    { weight: 5, arbitrary: fc.record({ kind: fc.constant("look" as const), from: page, count: fc.nat({ max: PAGES }) }) },
  );

  test("passes over no page that has a mapped block, whatever is in memory, on the drives, or both", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60, size: "max" }), async (acts) => {
        const made = await madeMap(4);
        let { map } = made;
        map.pages.addVolume(1, PAGES * PAGE_BLOCKS, true);
        const mapped = new Set<number>();
        for (const one of acts) {
          if (one.kind === "put") {
            await put(map, 1, one.page * PAGE_BLOCKS + 3, 1 + one.page);
            mapped.add(one.page);
          } else if (one.kind === "unmap") {
            await unmapRange(map, 1, one.page * PAGE_BLOCKS, (one.page + 1) * PAGE_BLOCKS);
            mapped.delete(one.page);
          } else if (one.kind === "load") await map.loadPage(1, one.page);
          else if (one.kind === "checkpoint") await map.checkpoint();
          else if (one.kind === "reopen") {
            ({ map } = await openMap(made.states, 4));
            map.pages.addVolume(1, PAGES * PAGE_BLOCKS, false);
            await map.load();
          } else {
            const below = Math.min(PAGES, one.from + one.count);
            let at = one.from;
            for (let next = at; ; next += 1) {
              next = await map.nextUsedPage(1, next, below);
              for (; at < Math.min(next, below); at++) expect(mapped.has(at), `page ${at}`).toBe(false);
              at = next + 1;
              if (next >= below) break;
            }
          }
          for (let n = 0; n < PAGES; n++) {
            const place = map.lookup(1, n * PAGE_BLOCKS + 3);
            if (place !== PAGE_NOT_LOADED) expect(place).toBe(mapped.has(n) ? 1 + n : NOT_MAPPED);
          }
        }
      }),
      { numRuns: 150 },
    );
  });

  test("of a volume that is not there there is none", async () => {
    const { map } = await madeMap();
    expect(await map.nextUsedPage(9, 3, 12)).toBe(12);
    expect(pageKey(9, 3)).toBe("p/00000009/00000003");
  });
});

describe("TouchedPages", () => {
  test("never forgets a page that was touched, also as the volume grows, and passes over none", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 20_000 }), { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 2 ** 22 }), { maxLength: 3 }),
        (pages, sizes) => {
          const touched = new TouchedPages(20_001, false);
          for (const page of pages) touched.add(page);
          let size = 20_001;
          for (const more of sizes) {
            size += more;
            touched.resize(size);
          }
          for (const page of pages) expect(touched.has(page)).toBe(true);
          for (const page of pages) {
            const next = touched.nextPart(page);
            expect(next).toBeGreaterThan(page);
            expect(touched.has(next - 1)).toBe(true);
          }
        },
      ),
    );
  });

  test("knows of every page by itself up to 16 GiB", () => {
    const touched = new TouchedPages(4096, false);
    touched.add(17);
    expect([16, 17, 18].map((page) => touched.has(page))).toEqual([false, true, false]);
    expect(new TouchedPages(4096, true).has(4095)).toBe(true);
  });
});
