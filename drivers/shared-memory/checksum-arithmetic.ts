/**
 * The data checksum (data-checksum.ts) worked out without the native one: of a few words, and of two ranges one behind the
 * other from the checksums of each. A native call costs as much as the sum of 4 KiB, so a reader of many small records does
 * better to add up what they say of themselves, and to sum the bytes of all in one call.
 *
 * The state of a CRC after some bytes is linear in the state before them: joining two checksums is carrying the first over as
 * many zero bytes as the second has summed. Tables do that for 8, 16, 32 … bytes, made when they are first asked for.
 */

/** CRC-32 of IEEE 802.3, bits reversed. */
const POLYNOMIAL = 0xedb88320;

/** Four tables of 256: what the lowest byte of a state has become when four, three, two, one bytes have passed. */
const STEPS = new Int32Array(4 * 256);
for (let byte = 0; byte < 256; byte++) {
  let state = byte;
  for (let bit = 0; bit < 8; bit++) state = (state & 1) !== 0 ? (state >>> 1) ^ POLYNOMIAL : state >>> 1;
  STEPS[3 * 256 + byte] = state;
}
for (let table = 2; table >= 0; table--) {
  for (let byte = 0; byte < 256; byte++) {
    const state = STEPS[(table + 1) * 256 + byte]!;
    STEPS[table * 256 + byte] = (state >>> 8) ^ STEPS[3 * 256 + (state & 0xff)]!;
  }
}

/** Over four bytes that were XORed into the state. */
function step(state: number): number {
  return (
    STEPS[state & 0xff]! ^
    STEPS[256 + ((state >>> 8) & 0xff)]! ^
    STEPS[512 + ((state >>> 16) & 0xff)]! ^
    STEPS[768 + (state >>> 24)]!
  );
}

/**
 * Of the words from `from` to before `to`, as they lie in memory (little-endian).
 * @param seed - the checksum of the bytes before these, 0 at the start
 */
export function checksumOfWords(words: Uint32Array, from: number, to: number, seed = 0): number {
  let state = ~seed;
  for (let at = from; at < to; at++) state = step(state ^ words[at]!);
  return ~state >>> 0;
}

/** Of a range whose first part sums to `first` and whose rest, of `secondBytes` (a multiple of 8), to `second`. */
export function joinedChecksum(first: number, second: number, secondBytes: number): number {
  let state = first;
  for (let table = 0, eights = secondBytes / 8; eights !== 0; table++, eights >>>= 1) {
    if ((eights & 1) !== 0) state = carried(tableOf(table), state);
  }
  return (state ^ second) >>> 0;
}

/** By n: over 8 · 2ⁿ zero bytes; four tables of 256, one for each byte of the state. */
const CARRIES: Int32Array[] = [];

function tableOf(n: number): Int32Array {
  return CARRIES[n] ?? makeTable(n);
}

function makeTable(n: number): Int32Array {
  const half = n === 0 ? undefined : tableOf(n - 1);
  const over = half === undefined ? (state: number) => step(step(state)) : (state: number) => carried(half, carried(half, state));
  const made = new Int32Array(4 * 256);
  for (let place = 0; place < 4; place++) {
    for (let byte = 0; byte < 256; byte++) made[place * 256 + byte] = over(byte << (8 * place));
  }
  CARRIES[n] = made;
  return made;
}

function carried(table: Int32Array, state: number): number {
  return (
    table[state & 0xff]! ^
    table[256 + ((state >>> 8) & 0xff)]! ^
    table[512 + ((state >>> 16) & 0xff)]! ^
    table[768 + (state >>> 24)]!
  );
}
