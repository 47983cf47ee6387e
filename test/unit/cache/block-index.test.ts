import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockIndex } from "../../../src/cache/block-index.ts";

const FRAMES = 8; // 16 slots: runs wrap round the end often

describe("BlockIndex", () => {
  type Act = { kind: "put" | "remove" | "find"; volume: number; block: number };
  const act: fc.Arbitrary<Act> = fc.record({
    kind: fc.constantFrom("put" as const, "put" as const, "remove" as const, "find" as const),
    volume: fc.constantFrom(1, 2, 0xffff_ffff),
    block: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 0xffff_ffff })),
  });

  test("is a map from (volume, block) to frame, whatever is put in and taken out", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 300, size: "max" }), (acts) => {
        const keys = { volume: new Uint32Array(FRAMES), block: new Uint32Array(FRAMES) };
        const index = new BlockIndex(FRAMES, keys);
        const model = new Map<string, number>();
        const free = Array.from({ length: FRAMES }, (_, n) => n);
        for (const { kind, volume, block } of acts) {
          const key = `${volume}/${block}`;
          const there = model.get(key);
          if (kind === "remove" && there !== undefined) {
            index.remove(there);
            model.delete(key);
            free.push(there);
          } else if (kind === "put") {
            const frame = free.shift();
            if (frame === undefined) continue;
            keys.volume[frame] = volume;
            keys.block[frame] = block;
            if (there === undefined) index.insert(frame);
            else {
              index.replace(there, frame);
              free.push(there);
            }
            model.set(key, frame);
          }
          expect(index.find(volume, block)).toBe(model.get(key) ?? -1);
          expect(index.size).toBe(model.size);
          for (const frame of model.values()) expect(index.find(keys.volume[frame]!, keys.block[frame]!)).toBe(frame);
        }
      }),
      { numRuns: 600 },
    );
  });

  test("finds every other key after any one was taken out, however the runs of slots lie", () => {
    let block = 1;
    for (let round = 0; round < 4000; round++) {
      const keys = { volume: new Uint32Array(FRAMES).fill(1), block: new Uint32Array(FRAMES) };
      for (let frame = 0; frame < FRAMES; frame++) keys.block[frame] = block = (Math.imul(block, 1103515245) + 12345) >>> 0;
      const index = new BlockIndex(FRAMES, keys);
      for (let frame = 0; frame < FRAMES; frame++) index.insert(frame);
      const gone = round % FRAMES;
      index.remove(gone);
      for (let frame = 0; frame < FRAMES; frame++) {
        const found = index.find(1, keys.block[frame]!);
        if (found !== (frame === gone ? -1 : frame)) throw new Error(`round ${round}: frame ${frame} found as ${found}`);
      }
    }
  });

  test("refuses to take out a frame that is not in it", () => {
    const keys = { volume: new Uint32Array(FRAMES), block: new Uint32Array(FRAMES) };
    expect(() => new BlockIndex(FRAMES, keys).remove(3)).toThrow(/invariant/);
  });
});
