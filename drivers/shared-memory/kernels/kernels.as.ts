/**
 * The kernels, in AssemblyScript (not TypeScript: tsc leaves this file out, scripts/build-kernels.mjs compiles it).
 *
 * They work in place on global memory, which is imported. Nothing here has static data or a heap, so instantiating the
 * module writes not a byte: a thread may attach while the others are at work. The tables that are needed lie at fixed
 * places in the first 64 KiB page and are filled by `initialiseTables`, which main calls once before any other thread.
 * drivers/shared-memory/reference-kernels.ts says the same things in plain TypeScript; property tests compare the two.
 */

/** Raised with every change of what is exported; kernels.ts compares, so that a stale build is noticed. */
export function kernelVersion(): u32 {
  return 2;
}

/** Eight tables of 256 words for CRC32C, slicing by 8 (layout.ts leaves the whole first page to the kernels). */
const CRC32C_TABLE: usize = 1024;
/** Castagnoli polynomial 0x1EDC6F41, bits reversed (RFC 7143 §13.1). */
const CRC32C_POLYNOMIAL: u32 = 0x82f63b78;
/**
 * For each of the 256 factors of GF(2^8) its products with 0 … 15, then with 0, 16 … 240: a byte's product is the exclusive
 * or of those of its halves, and each half is one table look-up for 16 bytes at a time (i8x16.swizzle).
 */
const GF_TABLE: usize = 16384;
/** x^8 + x^4 + x^3 + x^2 + 1, 0x11d; what is left of it when the ninth bit is gone. */
const GF_POLYNOMIAL: u32 = 0x1d;

export function initialiseTables(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32C_POLYNOMIAL : crc >>> 1;
    store<u32>(CRC32C_TABLE + (i << 2), crc);
  }
  for (let slice: u32 = 1; slice < 8; slice++) {
    for (let i: u32 = 0; i < 256; i++) {
      const previous = load<u32>(CRC32C_TABLE + ((slice - 1) << 10) + (i << 2));
      store<u32>(CRC32C_TABLE + (slice << 10) + (i << 2), load<u32>(CRC32C_TABLE + ((previous & 0xff) << 2)) ^ (previous >>> 8));
    }
  }
  for (let factor: u32 = 0; factor < 256; factor++) {
    for (let half: u32 = 0; half < 16; half++) {
      store<u8>(GF_TABLE + (factor << 5) + half, <u8>product(factor, half));
      store<u8>(GF_TABLE + (factor << 5) + 16 + half, <u8>product(factor, half << 4));
    }
  }
}

/** Product over GF(2^8), a bit at a time: for the tables. */
function product(a: u32, b: u32): u32 {
  let sum: u32 = 0;
  for (; b != 0; b >>>= 1) {
    if (b & 1) sum ^= a;
    a = (a << 1) ^ (a & 0x80 ? 0x100 | GF_POLYNOMIAL : 0);
  }
  return sum;
}

export function copy(target: usize, source: usize, bytes: usize): void {
  memory.copy(target, source, bytes);
}

export function fill(target: usize, byte: u32, bytes: usize): void {
  memory.fill(target, <u8>byte, bytes);
}

/** Loads of the target at an offset, xors the source's, stores: one step of the unrolled loop below. */
// @ts-ignore: decorator
@inline
function xor16(target: usize, source: usize, offset: usize): void {
  v128.store(target + offset, v128.xor(v128.load(target + offset), v128.load(source + offset)));
}

export function xor(target: usize, source: usize, bytes: usize): void {
  let left = bytes;
  while (left >= 128) {
    xor16(target, source, 0);
    xor16(target, source, 16);
    xor16(target, source, 32);
    xor16(target, source, 48);
    xor16(target, source, 64);
    xor16(target, source, 80);
    xor16(target, source, 96);
    xor16(target, source, 112);
    target += 128;
    source += 128;
    left -= 128;
  }
  while (left >= 16) {
    xor16(target, source, 0);
    target += 16;
    source += 16;
    left -= 16;
  }
  while (left > 0) {
    store<u8>(target, load<u8>(target) ^ load<u8>(source));
    target++;
    source++;
    left--;
  }
}

export function isZero(address: usize, bytes: usize): bool {
  let left = bytes;
  while (left >= 128) {
    const a = v128.or(v128.load(address), v128.load(address, 16));
    const b = v128.or(v128.load(address, 32), v128.load(address, 48));
    const c = v128.or(v128.load(address, 64), v128.load(address, 80));
    const d = v128.or(v128.load(address, 96), v128.load(address, 112));
    if (v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) return false;
    address += 128;
    left -= 128;
  }
  while (left >= 16) {
    if (v128.any_true(v128.load(address))) return false;
    address += 16;
    left -= 16;
  }
  while (left > 0) {
    if (load<u8>(address) != 0) return false;
    address++;
    left--;
  }
  return true;
}

/** Difference of 16 bytes at an offset: zero where they are equal. */
// @ts-ignore: decorator
@inline
function difference16(a: usize, b: usize, offset: usize): v128 {
  return v128.xor(v128.load(a + offset), v128.load(b + offset));
}

export function firstDifference(a: usize, b: usize, bytes: usize): i32 {
  let at: usize = 0;
  while (bytes - at >= 128) {
    const w = v128.or(difference16(a + at, b + at, 0), difference16(a + at, b + at, 16));
    const x = v128.or(difference16(a + at, b + at, 32), difference16(a + at, b + at, 48));
    const y = v128.or(difference16(a + at, b + at, 64), difference16(a + at, b + at, 80));
    const z = v128.or(difference16(a + at, b + at, 96), difference16(a + at, b + at, 112));
    if (v128.any_true(v128.or(v128.or(w, x), v128.or(y, z)))) break;
    at += 128;
  }
  while (bytes - at >= 16) {
    if (v128.any_true(difference16(a + at, b + at, 0))) break;
    at += 16;
  }
  while (at < bytes) {
    if (load<u8>(a + at) != load<u8>(b + at)) return <i32>at;
    at++;
  }
  return -1;
}

/** One of the eight table look-ups of a step. */
// @ts-ignore: decorator
@inline
function slice(table: usize, byte: u32): u32 {
  return load<u32>(CRC32C_TABLE + (table << 10) + (byte << 2));
}

/** CRC32C of the range, going on from `seed`, the CRC of what came before it (0 at the start). */
export function crc32c(address: usize, bytes: usize, seed: u32): u32 {
  let crc: u32 = ~seed;
  let left = bytes;
  while (left >= 8) {
    const low = load<u32>(address) ^ crc;
    const high = load<u32>(address, 4);
    crc =
      slice(7, low & 0xff) ^
      slice(6, (low >>> 8) & 0xff) ^
      slice(5, (low >>> 16) & 0xff) ^
      slice(4, low >>> 24) ^
      slice(3, high & 0xff) ^
      slice(2, (high >>> 8) & 0xff) ^
      slice(1, (high >>> 16) & 0xff) ^
      slice(0, high >>> 24);
    address += 8;
    left -= 8;
  }
  while (left > 0) {
    crc = slice(0, (crc ^ load<u8>(address)) & 0xff) ^ (crc >>> 8);
    address++;
    left--;
  }
  return ~crc;
}

/** Sixteen bytes, each times 2: shifted, and reduced where a bit left. */
// @ts-ignore: decorator
@inline
function twice(bytes: v128): v128 {
  const reduce = v128.and(i8x16.lt_s(bytes, i8x16.splat(0)), i8x16.splat(<i8>GF_POLYNOMIAL));
  return v128.xor(i8x16.add(bytes, bytes), reduce);
}

/** One step of addToPq. */
// @ts-ignore: decorator
@inline
function addToPq16(p: usize, q: usize, source: usize, offset: usize): void {
  const data = v128.load(source + offset);
  v128.store(p + offset, v128.xor(v128.load(p + offset), data));
  v128.store(q + offset, v128.xor(twice(v128.load(q + offset)), data));
}

/** p ^= source, and q = 2 q ^ source over GF(2^8): a column of P and Q, the highest column first. */
export function addToPq(p: usize, q: usize, source: usize, bytes: usize): void {
  let left = bytes;
  while (left >= 64) {
    addToPq16(p, q, source, 0);
    addToPq16(p, q, source, 16);
    addToPq16(p, q, source, 32);
    addToPq16(p, q, source, 48);
    p += 64;
    q += 64;
    source += 64;
    left -= 64;
  }
  while (left >= 16) {
    addToPq16(p, q, source, 0);
    p += 16;
    q += 16;
    source += 16;
    left -= 16;
  }
  while (left > 0) {
    const data = load<u8>(source);
    store<u8>(p, load<u8>(p) ^ data);
    store<u8>(q, <u8>product(load<u8>(q), 2) ^ data);
    p++;
    q++;
    source++;
    left--;
  }
}

/** Sixteen bytes times the factor whose two tables these are. */
// @ts-ignore: decorator
@inline
function times(bytes: v128, low: v128, high: v128): v128 {
  const half = i8x16.splat(0x0f);
  return v128.xor(i8x16.swizzle(low, v128.and(bytes, half)), i8x16.swizzle(high, i8x16.shr_u(bytes, 4)));
}

// @ts-ignore: decorator
@inline
function timesByte(byte: u8, factor: u32): u8 {
  const table = GF_TABLE + (factor << 5);
  return load<u8>(table + (byte & 15)) ^ load<u8>(table + 16 + (byte >> 4));
}

/** target ^= factor × source over GF(2^8). */
export function multiplyAdd(target: usize, source: usize, factor: u32, bytes: usize): void {
  factor &= 0xff;
  const low = v128.load(GF_TABLE + (factor << 5));
  const high = v128.load(GF_TABLE + (factor << 5), 16);
  let left = bytes;
  while (left >= 32) {
    v128.store(target, v128.xor(v128.load(target), times(v128.load(source), low, high)));
    v128.store(target, v128.xor(v128.load(target, 16), times(v128.load(source, 16), low, high)), 16);
    target += 32;
    source += 32;
    left -= 32;
  }
  while (left > 0) {
    store<u8>(target, load<u8>(target) ^ timesByte(load<u8>(source), factor));
    target++;
    source++;
    left--;
  }
}

/** target = factor × target over GF(2^8). */
export function multiply(target: usize, factor: u32, bytes: usize): void {
  factor &= 0xff;
  const low = v128.load(GF_TABLE + (factor << 5));
  const high = v128.load(GF_TABLE + (factor << 5), 16);
  let left = bytes;
  while (left >= 32) {
    v128.store(target, times(v128.load(target), low, high));
    v128.store(target, times(v128.load(target, 16), low, high), 16);
    target += 32;
    left -= 32;
  }
  while (left > 0) {
    store<u8>(target, timesByte(load<u8>(target), factor));
    target++;
    left--;
  }
}
