/**
 * Sectors that say who wrote them: every 16 bytes carry what they are, the run's seed, the write's sequence and the LBA.
 * So a sector of another place, another run, another unit or of two writes is told from a right one by itself.
 */
export const SECTOR_BYTES = 512;
const WORDS = SECTOR_BYTES / 4;
const STAMP_WORDS = 4;
const MAGIC = 0x76617200;
/** In place of the LBA: the sector of a WRITE SAME is the same everywhere. */
const ANY_LBA = 0xffffffff;

export interface Stamp {
  readonly lun: number;
  readonly seed: number;
  readonly sequence: number;
}

/** What a sector is found to be. */
export const FOUND = { stamp: 0, zero: 1, torn: 2, foreign: 3 } as const;

/** @param anyLba - for WRITE SAME: one sector that fits every place */
export function stampSectors(stamp: Stamp, firstSector: number, sectors: number, anyLba = false): Buffer {
  const buffer = new ArrayBuffer(sectors * SECTOR_BYTES);
  const words = new Uint32Array(buffer);
  const magic = (MAGIC | stamp.lun) >>> 0;
  for (let sector = 0; sector < sectors; sector++) {
    const lba = anyLba ? ANY_LBA : firstSector + sector;
    const end = (sector + 1) * WORDS;
    for (let at = sector * WORDS; at < end; at += STAMP_WORDS) {
      words[at] = magic;
      words[at + 1] = stamp.seed;
      words[at + 2] = stamp.sequence;
      words[at + 3] = lba;
    }
  }
  return Buffer.from(buffer);
}

/** Reads sectors that came from the array. */
export class StampedData {
  readonly #words: Uint32Array;
  readonly #magic: number;
  readonly #seed: number;
  readonly #firstSector: number;

  constructor(data: Buffer, from: { lun: number; seed: number; firstSector: number }) {
    this.#words = new Uint32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
    this.#magic = (MAGIC | from.lun) >>> 0;
    this.#seed = from.seed;
    this.#firstSector = from.firstSector;
  }

  /** What sector `index` of the data is. */
  kind(index: number): number {
    const words = this.#words;
    const start = index * WORDS;
    const end = start + WORDS;
    const [a, b, c, d] = [words[start]!, words[start + 1]!, words[start + 2]!, words[start + 3]!];
    for (let at = start + STAMP_WORDS; at < end; at += STAMP_WORDS) {
      if (words[at] !== a || words[at + 1] !== b || words[at + 2] !== c || words[at + 3] !== d) return FOUND.torn;
    }
    if (a === 0 && b === 0 && c === 0 && d === 0) return FOUND.zero;
    const lbaFits = d === this.#firstSector + index || d === ANY_LBA;
    return a === this.#magic && b === this.#seed && lbaFits ? FOUND.stamp : FOUND.foreign;
  }

  sequence(index: number): number {
    return this.#words[index * WORDS + 2]!;
  }

  isAnyLba(index: number): boolean {
    return this.#words[index * WORDS + 3] === ANY_LBA;
  }

  /** The first words of a sector, for a report. */
  describe(index: number): string {
    const start = index * WORDS;
    const [magic, seed, sequence, lba] = this.#words.subarray(start, start + STAMP_WORDS);
    return `unit ${(magic! ^ MAGIC).toString(16)}, seed ${seed}, sequence ${sequence}, LBA ${lba === ANY_LBA ? "any" : lba}`;
  }
}
