/**
 * CRC32C digests of PDUs, RFC 7143 §11.2.3 and §13.1: sent least significant byte first.
 *
 * Headers are 48 bytes that lie in socket buffers, where the kernels of global memory can't reach; for so few bytes four
 * tables beat a native call (39 against 83 ns, measured). Data goes through the native `dataCrc32c`.
 */
const POLYNOMIAL = 0x82f63b78; // CRC32C, reflected

function makeTables(): readonly [Uint32Array, Uint32Array, Uint32Array, Uint32Array] {
  const tables = [new Uint32Array(256), new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)] as const;
  for (let i = 0; i < 256; i += 1) {
    let crc = i;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    tables[0][i] = crc;
  }
  for (let table = 1; table < 4; table += 1) {
    for (let i = 0; i < 256; i += 1) {
      const previous = tables[table - 1]![i]!;
      tables[table]![i] = (previous >>> 8) ^ tables[0][previous & 0xff]!;
    }
  }
  return tables;
}

const [T0, T1, T2, T3] = makeTables();

/** `bytes` is a multiple of four: BHS and AHS always are. */
export function headerDigest(header: Uint8Array, at: number, bytes: number): number {
  let crc = -1;
  for (let i = at; i < at + bytes; i += 4) {
    crc ^= header[i]! | (header[i + 1]! << 8) | (header[i + 2]! << 16) | (header[i + 3]! << 24);
    crc = T3[crc & 0xff]! ^ T2[(crc >>> 8) & 0xff]! ^ T1[(crc >>> 16) & 0xff]! ^ T0[crc >>> 24]!;
  }
  return ~crc >>> 0;
}

export function readDigest(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function writeDigest(bytes: Uint8Array, at: number, crc: number): void {
  bytes[at] = crc;
  bytes[at + 1] = crc >>> 8;
  bytes[at + 2] = crc >>> 16;
  bytes[at + 3] = crc >>> 24;
}
