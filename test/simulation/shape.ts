/**
 * The arrays that are simulated: two directors with a pool each, small enough that zones fill, compaction runs, the journal
 * wraps and memory is short within a second of virtual time.
 *
 * Global memory is made once for each shape and used again: seeds must not find what an earlier one left, so all but frames
 * and staging is put back as it was made, and these are filled.
 */
import { createGlobalMemory, type GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { groupGeometry } from "../../src/raid/geometry.ts";
import type { RaidConfig } from "../../src/raid/raid-level.ts";
import { raidLevel } from "../../src/raid/raid-levels.ts";
import { stagingBytes } from "../../src/raid/staging.ts";

export interface Shape {
  /** Of pools A and B: as many drives each. */
  readonly raid: readonly [RaidConfig, RaidConfig];
  readonly blocksPerStrip: number;
  readonly stripesPerZone: number;
  readonly zoneSlots: number;
  readonly frameCount: number;
}

const raid5 = (dataDrives: number): RaidConfig => ({ level: 5, dataDrives, copies: 1 });
const raid6 = (dataDrives: number): RaidConfig => ({ level: 6, dataDrives, copies: 1 });
const raid1 = (copies: number): RaidConfig => ({ level: 1, dataDrives: 1, copies });
const raid10 = (dataDrives: number): RaidConfig => ({ level: 10, dataDrives, copies: 2 });

export const SHAPES: readonly Shape[] = [
  { raid: [raid5(3), raid6(2)], blocksPerStrip: 2, stripesPerZone: 5, zoneSlots: 11, frameCount: 512 },
  { raid: [raid5(2), raid1(3)], blocksPerStrip: 1, stripesPerZone: 16, zoneSlots: 13, frameCount: 512 },
  { raid: [raid5(4), raid6(3)], blocksPerStrip: 1, stripesPerZone: 6, zoneSlots: 12, frameCount: 768 },
  { raid: [raid10(2), raid5(3)], blocksPerStrip: 2, stripesPerZone: 6, zoneSlots: 11, frameCount: 512 },
  { raid: [raid1(2), raid1(2)], blocksPerStrip: 4, stripesPerZone: 8, zoneSlots: 11, frameCount: 512 },
  { raid: [raid1(3), raid1(2)], blocksPerStrip: 1, stripesPerZone: 8, zoneSlots: 24, frameCount: 512 },
];

/** Of the last one a batch has few blocks: it pins few pages of the map. */
export const SMALL_BATCHES: Shape = SHAPES.at(-1)!;

export function drivesOf(raid: RaidConfig): number {
  return raidLevel(raid).driveCount;
}

function geometryOf(shape: Shape, pool: number): ReturnType<typeof groupGeometry> {
  return groupGeometry({ ...shape.raid[pool]!, ...shape });
}

export class SimMemory {
  readonly global: GlobalMemory;
  readonly #pristine: Uint8Array;

  constructor(shape: Shape) {
    const { global } = createGlobalMemory({
      directorCount: 2,
      poolCount: 2,
      driveCount: drivesOf(shape.raid[0]) + drivesOf(shape.raid[1]),
      poolReachedBy: [
        [0, 1],
        [0, 1],
      ],
      frameCount: shape.frameCount,
      stagingBytesPerPool: Math.max(stagingBytes(geometryOf(shape, 0)), stagingBytes(geometryOf(shape, 1))),
      mailboxBytes: 4096,
      channelRingSlots: 16,
      driveRingSlots: 16,
    });
    this.global = global;
    this.#pristine = global.u8.slice(0, global.layout.receive[0]!);
  }

  /** As a new process has it; what lies in frames and staging is left there. */
  restart(): void {
    this.global.u8.set(this.#pristine);
  }

  /** As a new seed has it. */
  reset(): void {
    this.restart();
    const { layout, u8 } = this.global;
    u8.fill(0xa5, layout.receive[0]!);
  }
}

const memories = new Map<Shape, SimMemory>();

export function memoryOf(shape: Shape): SimMemory {
  let memory = memories.get(shape);
  if (memory === undefined) {
    memory = new SimMemory(shape);
    memories.set(shape, memory);
  }
  return memory;
}
