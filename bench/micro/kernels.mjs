/** The kernels of global memory, and the native CRC32C, by size. */

import { dataChecksum } from "../../dist/drivers/shared-memory/data-checksum.js";
import { dataCrc32c } from "../../dist/drivers/shared-memory/data-crc32c.js";
import { makeMemory } from "./memory.mjs";

const SIZES = { "48 B": 48, "4 KiB": 4096, "64 KiB": 65_536, "1 MiB": 1 << 20 };
const FRAMES = 1024;
/** About as much a call, whatever the size. */
const BYTES_PER_RUN = 1 << 18;

export function cases() {
  const global = makeMemory({ frameCount: FRAMES });
  const { kernels, layout } = global;
  const a = layout.frames;
  const b = a + (FRAMES / 2) * 4096;
  const c = a + (FRAMES / 4) * 4096;
  kernels.fill(a, 0, FRAMES * 4096);
  const native = new Map(Object.values(SIZES).map((bytes) => [bytes, global.view(b, bytes)]));
  const kinds = {
    copy: [["4 KiB", "64 KiB", "1 MiB"], (bytes) => kernels.copy(a, b, bytes)],
    XOR: [["4 KiB", "64 KiB", "1 MiB"], (bytes) => kernels.xor(a, b, bytes)],
    "P and Q of a strip, in one pass": [["4 KiB", "64 KiB", "1 MiB"], (bytes) => kernels.addToPq(a, c, b, bytes)],
    "GF(2^8) multiply-add": [["4 KiB", "64 KiB", "1 MiB"], (bytes) => kernels.multiplyAdd(a, b, 0x8e, bytes)],
    "GF(2^8) multiply": [["4 KiB", "64 KiB", "1 MiB"], (bytes) => kernels.multiply(a, 0x8e, bytes)],
    "is it all zeros": [["4 KiB"], (bytes) => kernels.isZero(b, bytes)],
    "CRC32C, WASM": [["48 B", "4 KiB"], (bytes) => kernels.crc32c(b, bytes)],
    "CRC32C, native": [["48 B", "4 KiB", "64 KiB", "1 MiB"], (bytes) => dataCrc32c(native.get(bytes))],
    "CRC-32, native": [["48 B", "4 KiB", "64 KiB", "1 MiB"], (bytes) => dataChecksum(native.get(bytes))],
  };
  return Object.entries(kinds).flatMap(([kind, [sizes, work]]) =>
    sizes.map((size) => {
      const bytes = SIZES[size];
      const batch = Math.min(256, Math.max(1, Math.floor(BYTES_PER_RUN / bytes)));
      return {
        name: `${kind}, ${size}`,
        batch,
        bytes,
        run: () => {
          for (let n = 0; n < batch; n++) work(bytes);
        },
      };
    }),
  );
}
