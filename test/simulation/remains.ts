/**
 * What can still be had of a block from the strips that there are: the model's own reckoning, by the definition of the RAID
 * levels and with none of the code that the array reads and rebuilds with.
 *
 *   P = Σ D_c        Q = Σ 2^c D_c        over GF(2^8), blocks and tags of a strip alike
 *
 * Whatever is computed counts only if the block's own tag proves it.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import type { RaidLevel } from "../../src/raid/raid-level.ts";
import { ROLE_P, ROLE_Q } from "../../src/raid/raid-level.ts";
import { type StripShape, TAG_BYTES } from "../../src/raid/strip.ts";

const BLOCK = 4096;

export interface BlockOfStripe {
  readonly level: RaidLevel;
  readonly shape: StripShape;
  readonly zone: number;
  readonly stripe: number;
  readonly column: number;
  readonly index: number;
  readonly volume: number;
  readonly block: number;
  /** The strip that a position has of the stripe, whatever it holds; undefined: none. */
  readonly strip: (position: number) => Uint8Array | undefined;
}

/** Whether a strip holds the block, as its tag says. */
export function holdsBlock(strip: Uint8Array, at: Omit<BlockOfStripe, "strip" | "level" | "stripe" | "column">): boolean {
  const { shape, index, volume, block, zone } = at;
  const tag = new DataView(strip.buffer, strip.byteOffset + shape.tagsAt + index * TAG_BYTES, TAG_BYTES);
  return (
    tag.getUint32(4, true) === volume &&
    tag.getUint32(8, true) === block &&
    tag.getUint32(12, true) === zone &&
    tag.getUint32(0, true) === dataChecksum(strip.subarray(index * BLOCK, (index + 1) * BLOCK))
  );
}

export function canBeHad(at: BlockOfStripe): boolean {
  const { level, stripe, column } = at;
  for (let copy = 0; copy < level.copies; copy++) {
    const strip = at.strip(level.positionOf(stripe, column, copy));
    if (strip !== undefined && holdsBlock(strip, at)) return true;
  }
  if (level.parities === 0) return false;
  const roleOf = (role: number): Uint8Array | undefined => at.strip(level.positionOf(stripe, role, 0));
  const columns = Array.from({ length: level.dataColumns }, (_, n) => roleOf(n));
  const [p, q] = [roleOf(ROLE_P), level.parities > 1 ? roleOf(ROLE_Q) : undefined];
  const others = columns.map((_, n) => n).filter((n) => n !== column);
  const gone = others.filter((n) => columns[n] === undefined);
  const proves = (strip: Uint8Array | undefined): boolean => strip !== undefined && holdsBlock(strip, at);
  const solved = (left: number): boolean => proves(byBoth(at, columns, { p, q, left }));
  if (gone.length > 1) return false;
  if (gone.length === 1) return solved(gone[0]!);
  // All others are there; one of them may be bad without showing it.
  return proves(byP(at, columns, p)) || proves(byQ(at, columns, q)) || others.some(solved);
}

type Columns = readonly (Uint8Array | undefined)[];

/** Σ of the columns but those of `without`, each times 2^column if `weighed`, and `more`. */
function sum(columns: Columns, without: readonly number[], weighed: boolean, more: Uint8Array): Uint8Array {
  const out = new Uint8Array(more);
  columns.forEach((data, column) => {
    if (without.includes(column)) return;
    const row = PRODUCTS[weighed ? POWERS[column]! : 1]!;
    for (let n = 0; n < out.length; n++) out[n]! ^= row[data![n]!]!;
  });
  return out;
}

function byP({ column, shape }: BlockOfStripe, columns: Columns, p: Uint8Array | undefined): Uint8Array | undefined {
  return p && sum(columns, [column], false, p.subarray(0, shape.parityBytes));
}

function byQ({ column, shape }: BlockOfStripe, columns: Columns, q: Uint8Array | undefined): Uint8Array | undefined {
  const inverse = PRODUCTS[inverseOf(POWERS[column]!)]!;
  return q && sum(columns, [column], true, q.subarray(0, shape.parityBytes)).map((byte) => inverse[byte]!);
}

/** Without one more column: D_x = (2^y (P + Σ' D_c) + Q + Σ' 2^c D_c) / (2^x + 2^y). */
function byBoth(
  { column, shape }: BlockOfStripe,
  columns: Columns,
  parity: { readonly p: Uint8Array | undefined; readonly q: Uint8Array | undefined; readonly left: number },
): Uint8Array | undefined {
  const { p, q, left } = parity;
  if (p === undefined || q === undefined) return undefined;
  const without = [column, left];
  const sumP = sum(columns, without, false, p.subarray(0, shape.parityBytes));
  const sumQ = sum(columns, without, true, q.subarray(0, shape.parityBytes));
  const inverse = PRODUCTS[inverseOf(POWERS[column]! ^ POWERS[left]!)]!;
  const factor = PRODUCTS[POWERS[left]!]!;
  return sumP.map((byte, n) => inverse[factor[byte]! ^ sumQ[n]!]!);
}

function times(a: number, b: number): number {
  let product = 0;
  for (let left = a, right = b; left > 0; left >>= 1) {
    if ((left & 1) === 1) product ^= right;
    right = (right << 1) ^ ((right & 0x80) === 0 ? 0 : 0x11d);
  }
  return product;
}

const PRODUCTS = Array.from({ length: 256 }, (_, a) => Uint8Array.from({ length: 256 }, (_, b) => times(a, b)));
/** Of 2: more than there are columns. */
const POWERS = [1, 2, 4, 8, 16, 32, 64, 128];

function inverseOf(element: number): number {
  return PRODUCTS[element]!.indexOf(1);
}
