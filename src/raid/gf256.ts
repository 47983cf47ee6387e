/**
 * GF(2^8) for single bytes: the factors that kernels multiply whole strips by. Polynomial 0x11d, generator 2, as the
 * kernels have it. Adding is exclusive or.
 */

/** Non-zero elements: the powers of 2 come round after so many. */
const ORDER = 255;

/** power[n] = 2^n, twice round so that sums of two logarithms need no remainder; logarithm is its inverse. */
const power = new Uint8Array(2 * ORDER);
const logarithm = new Uint8Array(ORDER + 1);
for (let n = 0, element = 1; n < ORDER; n++) {
  power[n] = element;
  power[n + ORDER] = element;
  logarithm[element] = n;
  element = (element << 1) ^ (element & 0x80 ? 0x11d : 0);
}

/** 2 to the power of `exponent`: what a column is multiplied by in Q. */
export function gfPower(exponent: number): number {
  return power[exponent % ORDER]!;
}

export function gfInverse(element: number): number {
  if (element === 0) throw new RangeError("0 has no inverse");
  return power[ORDER - logarithm[element]!]!;
}
