/** The block index at its default size: 65,536 frames, all used. */
import { BlockIndex } from "../../dist/src/cache/block-index.js";
import { randomNumbers, sink } from "./memory.mjs";

const FRAMES = 65_536;
const BATCH = 256;

export function cases() {
  const keys = { volume: new Uint32Array(FRAMES).fill(1), block: new Uint32Array(FRAMES) };
  const index = new BlockIndex(FRAMES, keys);
  for (let frame = 0; frame < FRAMES; frame++) {
    keys.block[frame] = Math.imul(frame, 2_654_435_761) >>> 4;
    index.insert(frame);
  }
  const draws = randomNumbers(FRAMES);
  const { block } = keys;
  let at = 0;
  const each = (work) => () => {
    for (let n = 0; n < BATCH; n++) {
      work(draws[at]);
      at = (at + 1) & 65_535;
    }
  };
  return [
    {
      name: "index: a block that is there",
      batch: BATCH,
      run: each((frame) => {
        sink.value ^= index.find(1, block[frame]);
      }),
    },
    {
      name: "index: a block that is not there",
      batch: BATCH,
      run: each((frame) => {
        sink.value ^= index.find(2, block[frame]);
      }),
    },
    {
      name: "index: removed and put in again",
      batch: BATCH,
      run: each((frame) => {
        index.remove(frame);
        index.insert(frame);
      }),
    },
  ];
}
