/** What every RAID level must do: build stripes, lose as many drives as it tolerates, read every block back; never more. */
import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import { MemoryDrive, MemoryDriveState } from "../../drivers/drive/memory-drive.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { createGlobalMemory, type GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { decodePlace, type GroupGeometry, groupGeometry } from "../../src/raid/geometry.ts";
import { type Member, type MemberState, RaidGroup } from "../../src/raid/raid-group.ts";
import type { RaidShape } from "../../src/raid/raid-level.ts";
import { Staging, stagingBytes } from "../../src/raid/staging.ts";
import { blockMatches } from "../../src/raid/strip.ts";
import { StripeBatch } from "../../src/raid/stripe-batch.ts";
import { buildStripe, stripAddress } from "../../src/raid/stripe-builder.ts";
import { StripeReader, type StripOutcome } from "../../src/raid/stripe-reader.ts";

const VOLUME = 7;
const ZONE = 3;
const ITEMS_MAX = 256;
const ANY = { blocksPerStrip: 2, stripesPerZone: 4, zoneSlots: 2 };
/** Sets of drives that are tried for one width, in one stride through all of them. */
const SETS_MAX = 140;

interface RaidRig {
  readonly geometry: GroupGeometry;
  readonly global: GlobalMemory;
  readonly states: MemoryDriveState[];
  readonly group: RaidGroup;
  readonly batch: StripeBatch;
  /** Reads a block as the read path does; undefined: lost. */
  read(item: number, zone?: number): Promise<{ outcome: StripOutcome; data: Buffer | undefined }>;
}

function contentOf(item: number): Uint8Array {
  return new Uint8Array(FRAME_BYTES).map((_, n) => (item * 41 + n * 7 + (n >> 8)) & 0xff);
}

async function raidRig(shape: RaidShape, stripes: number, items: number): Promise<RaidRig> {
  const geometry = groupGeometry({ ...shape, blocksPerStrip: 2, stripesPerZone: stripes, zoneSlots: 2 });
  const driveCount = geometry.driveCount;
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount,
    poolReachedBy: [[0]],
    frameCount: ITEMS_MAX,
    stagingBytesPerPool: stagingBytes(geometry),
    mailboxBytes: 4096,
  });
  const { stripBytes } = geometry.shape;
  const states = Array.from({ length: driveCount }, (_, n) => {
    const shape = { capacityBytes: stripBytes * stripes * 2, stripBytes, stripsPerZone: stripes, zoneCount: 2 };
    return new MemoryDriveState({ name: `${n}`, driveId: `${n}`, geometry: shape });
  });
  const drives: Drive[] = states.map((state) => new MemoryDrive(state, global));
  for (const drive of drives) {
    await drive.open(1);
    await drive.createZone(ZONE);
  }
  const members = drives.map((drive, position): Member => {
    return { position, name: drive.name, driveId: "", state: "online", reason: undefined, drive };
  });
  const group = new RaidGroup(members, geometry.level, {
    onMemberLost: () => Promise.resolve(),
    onNoSpace: () => Promise.resolve(),
  });
  const staging = new Staging(global.layout.staging[0]!, geometry);
  const batch = new StripeBatch(stripes * geometry.blocksPerStripe);
  for (let item = 0; item < items; item++) {
    const source = global.layout.frames + item * FRAME_BYTES;
    global.u8.set(contentOf(item), source);
    batch.add({ volume: VOLUME, block: 100 + item, crc: dataChecksum(contentOf(item)), source, frame: -1, from: 0 });
  }
  const base = await staging.batches.take();
  const stripesMax = staging.batchStripes;
  const run = { slot: 1, zone: ZONE, firstStripe: 0, stripeCount: Math.ceil(items / geometry.blocksPerStripe) };
  const job = { global, geometry, batch, firstItem: 0, run, base, stripesMax };
  for (let n = 0; n < run.stripeCount; n++) buildStripe(job, n);
  for (const [position, drive] of drives.entries()) {
    const address = stripAddress(geometry, base, stripesMax, position, 0);
    await drive.writeStrips({ zone: ZONE, firstStrip: 0, count: run.stripeCount, address, strideBytes: stripBytes });
  }
  staging.batches.give(base);
  const reader = new StripeReader({ global, geometry, group, staging });
  return {
    geometry,
    global,
    states,
    group,
    batch,
    async read(item, zone = ZONE) {
      const at = decodePlace(geometry, batch.place[item]!);
      let data: Buffer | undefined;
      const outcome = await reader.read({ zone, stripe: at.stripe, column: at.column }, (strip) => {
        const expected = { volume: VOLUME, block: 100 + item, zone };
        if (!blockMatches(global, strip, geometry.shape, at.index, expected)) return false;
        data = Buffer.from(global.view(strip + at.index * FRAME_BYTES, FRAME_BYTES));
        return true;
      });
      return { outcome, data };
    },
  };
}

/** All sets of so many of the positions, or every so-manieth of them. */
function setsOf(driveCount: number, size: number): number[][] {
  let sets: number[][] = [[]];
  for (let n = 0; n < size; n++) {
    sets = sets.flatMap((set) =>
      Array.from({ length: driveCount - 1 - (set.at(-1) ?? -1) }, (_, more) => [...set, (set.at(-1) ?? -1) + 1 + more]),
    );
  }
  const stride = Math.ceil(sets.length / SETS_MAX);
  return sets.filter((_, n) => n % stride === 0);
}

async function without(rig: RaidRig, lost: readonly number[], state: MemberState, work: () => Promise<void>): Promise<void> {
  for (const position of lost) rig.group.members[position]!.state = state;
  await work();
  for (const position of lost) rig.group.members[position]!.state = "online";
}

/** @param widths - shapes of the level: the first and the last are tried with more than the others */
export function raidContract(name: string, widths: readonly RaidShape[]): void {
  const small = widths[Math.min(1, widths.length - 1)]!;
  const columns = small.dataDrives;
  /** Items of stripe 1. */
  const second = { from: 2 * columns, to: 4 * columns };
  const smallRig = (): Promise<RaidRig> => raidRig(small, 4, 8 * columns);
  const labelled = widths.map((shape): [string, RaidShape] => [groupGeometry({ ...shape, ...ANY }).level.label, shape]);

  describe(`${name}: the RAID level's contract`, () => {
    test.each(labelled)("%s: any loss that it survives reads back whole", async (_, shape) => {
      const { level } = groupGeometry({ ...shape, ...ANY });
      // Two rounds of the parity, the last stripe half filled.
      const stripes = 2 * level.driveCount;
      const items = Math.min(ITEMS_MAX, stripes * shape.dataDrives * 2 - 1);
      const rig = await raidRig(shape, stripes, items);
      for (let size = 0; size <= level.driveCount - level.dataColumns; size++) {
        const sets = setsOf(level.driveCount, size).filter((lost) => level.survives(lost));
        if (size <= level.tolerance) expect(sets.length).toBeGreaterThan(0);
        for (const [n, lost] of sets.entries()) {
          await without(rig, lost, "missing", async () => {
            for (let item = n % 7; item < items; item += size === 0 ? 1 : 7) {
              const { outcome, data } = await rig.read(item);
              expect(outcome !== "lost", `item ${item}, drives ${lost} lost`).toBe(true);
              expect(Buffer.compare(data!, contentOf(item)), `item ${item}, drives ${lost} lost`).toBe(0);
              expect(outcome === "direct" || size > 0).toBe(true);
            }
          });
        }
      }
    });

    test.each(labelled)("%s: a loss that it does not survive is reported, never made up", async (_, shape) => {
      const { level } = groupGeometry({ ...shape, ...ANY });
      const items = Math.min(ITEMS_MAX, level.driveCount * shape.dataDrives * 2);
      const rig = await raidRig(shape, level.driveCount, items);
      for (let size = level.tolerance + 1; size <= level.tolerance + 2; size++) {
        for (const lost of setsOf(level.driveCount, size).filter((set) => !level.survives(set))) {
          let lostItems = 0;
          await without(rig, lost, "failed", async () => {
            // Two in three: a block of every strip.
            for (let item = 0; item < items; item += 1 + (item % 3)) {
              const { outcome, data } = await rig.read(item);
              if (outcome === "lost") lostItems += 1;
              else expect(Buffer.compare(data!, contentOf(item))).toBe(0);
            }
          });
          expect(lostItems, `drives ${lost} lost`).toBeGreaterThan(0);
        }
      }
    });

    test("a bit that flipped anywhere in a strip is never returned as data, and repaired while the level survives it", async () => {
      const rig = await smallRig();
      const { level, shape } = rig.geometry;
      const offsets = [0, 1, 4095, 4096, 8191];
      for (let at = 8192; at < shape.stripBytes; at += 3) offsets.push(at);
      for (const [position, state] of rig.states.entries()) {
        const strip = state.zones.get(ZONE)!.strips.get(1)!;
        for (const [n, offset] of offsets.entries()) {
          strip[offset]! ^= 1 << (n % 8);
          const others = Array.from({ length: level.driveCount - 1 }, (_, k) => (position + 1 + k) % level.driveCount);
          const losses = [[], [others[n % others.length]!], others.slice(0, level.tolerance)];
          for (const lost of losses) {
            await without(rig, lost, "missing", async () => {
              for (let item = second.from; item < second.to; item++) {
                const { outcome, data } = await rig.read(item);
                if (outcome !== "lost") expect(Buffer.compare(data!, contentOf(item)), `offset ${offset}`).toBe(0);
                else expect(level.survives([...lost, position]), `offset ${offset}, ${position} bad, ${lost} lost`).toBe(false);
              }
            });
          }
          strip[offset]! ^= 1 << (n % 8);
        }
      }
    });

    test("blocks that went bad on as many drives as it survives are all repaired, whatever their place in the strip", async () => {
      const rig = await smallRig();
      const { level } = rig.geometry;
      for (const bad of setsOf(level.driveCount, level.tolerance).filter((set) => level.survives(set))) {
        const flips = bad.map((position, n) => ({
          strip: rig.states[position]!.zones.get(ZONE)!.strips.get(1)!,
          at: 4096 * (n % 2),
        }));
        for (const same of [true, false]) {
          for (const { strip, at } of flips) strip[same ? 9 : at + 9]! ^= 4;
          for (let item = second.from; item < second.to; item++)
            expect(Buffer.compare((await rig.read(item)).data!, contentOf(item)), `item ${item}, ${bad} bad`).toBe(0);
          for (const { strip, at } of flips) strip[same ? 9 : at + 9]! ^= 4;
        }
      }
    });

    test("a strip in another strip's place, or of another zone, is not taken for it", async () => {
      const rig = await smallRig();
      for (const state of rig.states) {
        const { strips } = state.zones.get(ZONE)!;
        const own = strips.get(1)!;
        strips.set(1, strips.get(2)!);
        for (let item = second.from; item < second.to; item++)
          expect(Buffer.compare((await rig.read(item)).data!, contentOf(item))).toBe(0);
        strips.set(1, own);
      }
      // Two drives changed places.
      const [a, b] = [rig.states[0]!.zones.get(ZONE)!, rig.states.at(-1)!.zones.get(ZONE)!];
      const swap = (): void => {
        const strip = a.strips.get(1)!;
        a.strips.set(1, b.strips.get(1)!);
        b.strips.set(1, strip);
      };
      swap();
      for (let item = second.from; item < second.to; item++) {
        const { outcome, data } = await rig.read(item);
        if (outcome !== "lost") expect(Buffer.compare(data!, contentOf(item))).toBe(0);
        else expect(rig.geometry.level.tolerance).toBe(1);
      }
      swap();
      // An older version of the same blocks, left from a zone of another number.
      for (const state of rig.states) state.zones.set(ZONE + 1, state.zones.get(ZONE)!);
      expect((await rig.read(second.from, ZONE + 1)).outcome).toBe("lost");
    });

    test("a drive that answers with an error of its medium stays; one that can't be reached is lost", async () => {
      for (const [kind, state] of [
        ["unrecoveredRead", "optimal"],
        ["notFound", "optimal"],
        ["unreachable", "degraded"],
        ["unknown", "degraded"],
      ] as const) {
        const rig = await smallRig();
        const member = rig.group.members[1]!;
        const drive = member.drive!;
        let asked = 0;
        member.drive = Object.assign(Object.create(drive) as Drive, {
          readStrips: () => {
            asked += 1;
            return Promise.reject(new DriveError(kind, "1", "no"));
          },
        });
        for (const zone of [ZONE, ZONE + 1]) {
          // Copies have their turn by zone: so each drive is asked.
          if (zone > ZONE) for (const drives of rig.states) drives.zones.set(zone, drives.zones.get(ZONE)!);
          for (let item = 0; item < 8 * columns; item++) {
            const { outcome, data } = await rig.read(item, zone);
            if (zone === ZONE) expect(Buffer.compare(data!, contentOf(item))).toBe(0);
            else expect(outcome).toBe("lost");
          }
        }
        expect(asked).toBeGreaterThan(0);
        expect(rig.group.state, kind).toBe(state);
      }
    });
  });
}
