/** The eight-byte LUN of a PDU (SAM-6 §4.7): single-level, peripheral (00b) or flat (01b) addressing. −1: not addressable here. */
export function decodeLun(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  const second = bytes[at + 1]!;
  for (let i = 2; i < 8; i += 1) if (bytes[at + i] !== 0) return -1;
  if (first === 0) return second;
  return first >> 6 === 1 ? ((first & 0x3f) << 8) | second : -1;
}
