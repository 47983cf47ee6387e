/** What every RAID level must do: build stripes, lose as many drives as it tolerates, read every block back; never more. */
import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import { MemoryDrive, MemoryDriveState } from "../../drivers/drive/memory-drive.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { createGlobalMemory, type GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { decodePlace, type GroupGeometry, groupGeometry } from "../../src/raid/geometry.ts";
import { type Member, RaidGroup } from "../../src/raid/raid-group.ts";
import { Staging, stagingBytes } from "../../src/raid/staging.ts";
import { blockMatches } from "../../src/raid/strip.ts";
import { StripeBatch } from "../../src/raid/stripe-batch.ts";
import { buildStripe, stripAddress } from "../../src/raid/stripe-builder.ts";
import { StripeReader, type StripOutcome } from "../../src/raid/stripe-reader.ts";

const VOLUME = 7;
const ZONE = 3;

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

async function raidRig(dataDrives: number, stripes: number, items: number): Promise<RaidRig> {
  const geometry = groupGeometry({ dataDrives, blocksPerStrip: 2, stripesPerZone: stripes, zoneSlots: 2 });
  const driveCount = geometry.driveCount;
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount,
    poolReachedBy: [[0]],
    frameCount: 256,
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

export function raidContract(name: string, tolerance: number, dataDriveCounts: readonly number[]): void {
  describe(`${name}: the RAID level's contract`, () => {
    test.each(dataDriveCounts)("%i data drives: any loss that it tolerates reads back whole", async (dataDrives) => {
      // Two rounds of the parity, the last stripe half filled.
      const stripes = 2 * (dataDrives + tolerance);
      const items = Math.min(256, stripes * dataDrives * 2 - 1);
      const rig = await raidRig(dataDrives, stripes, items);
      for (let lost = -1; lost < rig.geometry.driveCount; lost++) {
        if (lost >= 0) rig.group.members[lost]!.state = "missing";
        for (let item = 0; item < items; item += lost < 0 ? 1 : 3) {
          const { outcome, data } = await rig.read(item);
          expect(Buffer.compare(data!, contentOf(item)), `item ${item}, drive ${lost} lost`).toBe(0);
          expect(outcome === "direct" || lost >= 0).toBe(true);
        }
        if (lost >= 0) rig.group.members[lost]!.state = "online";
      }
    });

    test.each(dataDriveCounts)("%i data drives: one loss more is reported, never made up", async (dataDrives) => {
      const stripes = dataDrives + tolerance;
      const items = Math.min(256, stripes * dataDrives * 2);
      const rig = await raidRig(dataDrives, stripes, items);
      let lostItems = 0;
      for (let first = 0; first < rig.geometry.driveCount; first += Math.max(1, dataDrives >> 1)) {
        for (let second = first + 1; second < rig.geometry.driveCount; second++) {
          for (const position of [first, second]) rig.group.members[position]!.state = "failed";
          for (let item = 0; item < items; item += 5) {
            const { outcome, data } = await rig.read(item);
            if (outcome === "lost") lostItems += 1;
            else expect(Buffer.compare(data!, contentOf(item))).toBe(0);
          }
          for (const position of [first, second]) rig.group.members[position]!.state = "online";
        }
      }
      expect(lostItems).toBeGreaterThan(0);
    });

    test("a bit that flipped anywhere in a strip is never returned as data, alone or with a drive lost", async () => {
      const rig = await raidRig(3, 4, 24);
      const { stripBytes } = rig.geometry.shape;
      const offsets = [0, 1, 4095, 4096, 8191];
      for (let at = 8192; at < stripBytes; at += 3) offsets.push(at);
      for (const state of rig.states) {
        const strip = state.zones.get(ZONE)!.strips.get(1)!;
        for (const [n, offset] of offsets.entries()) {
          strip[offset]! ^= 1 << (n % 8);
          for (const lost of [-1, n % 4]) {
            if (lost >= 0) rig.group.members[lost]!.state = "missing";
            for (let item = 6; item < 12; item++) {
              const { outcome, data } = await rig.read(item);
              if (outcome === "lost") expect(lost, `one bad strip alone is repaired: offset ${offset}`).toBeGreaterThanOrEqual(0);
              else expect(Buffer.compare(data!, contentOf(item)), `offset ${offset}`).toBe(0);
            }
            if (lost >= 0) rig.group.members[lost]!.state = "online";
          }
          strip[offset]! ^= 1 << (n % 8);
        }
      }
    });

    test("a strip in another strip's place, or of another zone, is not taken for it", async () => {
      const rig = await raidRig(3, 4, 24);
      for (const state of rig.states) {
        const { strips } = state.zones.get(ZONE)!;
        const own = strips.get(1)!;
        strips.set(1, strips.get(2)!);
        for (let item = 6; item < 12; item++) expect(Buffer.compare((await rig.read(item)).data!, contentOf(item))).toBe(0);
        strips.set(1, own);
      }
      // An older version of the same blocks, left from a zone of another number.
      for (const state of rig.states) state.zones.set(ZONE + 1, state.zones.get(ZONE)!);
      expect((await rig.read(7, ZONE + 1)).outcome).toBe("lost");
    });

    test("a drive that answers with an error of its medium stays; one that can't be reached is lost", async () => {
      for (const [kind, state] of [
        ["unrecoveredRead", "optimal"],
        ["notFound", "optimal"],
        ["unreachable", "degraded"],
        ["unknown", "degraded"],
      ] as const) {
        const rig = await raidRig(3, 4, 24);
        const member = rig.group.members[1]!;
        const drive = member.drive!;
        member.drive = Object.assign(Object.create(drive) as Drive, {
          readStrips: () => Promise.reject(new DriveError(kind, "1", "no")),
        });
        for (let item = 0; item < 24; item++) expect(Buffer.compare((await rig.read(item)).data!, contentOf(item))).toBe(0);
        expect(rig.group.state, kind).toBe(state);
      }
    });
  });
}
