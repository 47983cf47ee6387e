import { describe, expect, test } from "vitest";
import { referenceProduct } from "../../../drivers/shared-memory/reference-kernels.ts";
import { gfInverse, gfPower } from "../../../src/raid/gf256.ts";
import { type RaidLevel, ROLE_P, ROLE_Q } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { erasureChoices, rolesNeeded, solveStrip } from "../../../src/raid/solve-strip.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const BYTES = 4096 + 32;
const { global } = testGlobalMemory();
const { kernels, u8 } = global;
const base = global.layout.frames;

/** A stripe in plain TypeScript, by role: data at random, parity by the definition. */
function referenceStripe(level: RaidLevel, seed: number): Map<number, Uint8Array> {
  const strips = new Map<number, Uint8Array>();
  const p = new Uint8Array(BYTES);
  const q = new Uint8Array(BYTES);
  for (let column = 0; column < level.dataColumns; column++) {
    const data = new Uint8Array(BYTES).map((_, n) => Math.imul(n + 1, seed + column * 77) >>> 11);
    let factor = 1;
    for (let n = 0; n < column; n++) factor = referenceProduct(factor, 2);
    for (let n = 0; n < BYTES; n++) {
      p[n]! ^= data[n]!;
      q[n]! ^= referenceProduct(data[n]!, factor);
    }
    strips.set(column, data);
  }
  strips.set(ROLE_P, p);
  if (level.parities > 1) strips.set(ROLE_Q, q);
  return strips;
}

const addressOf = (role: number): number => base + (role + 2) * 8192;
const LEVELS = [
  raidLevel({ level: 5, dataDrives: 2 }),
  raidLevel({ level: 5, dataDrives: 15 }),
  ...[2, 3, 4, 7, 14].map((dataDrives) => raidLevel({ level: 6, dataDrives })),
];

describe("GF(2^8), a byte at a time", () => {
  test("an element times its inverse is one, powers of 2 are the products, and 0 has no inverse", () => {
    for (let element = 1; element < 256; element++) expect(referenceProduct(element, gfInverse(element))).toBe(1);
    let power = 1;
    for (let n = 0; n < 600; n++) {
      expect(gfPower(n)).toBe(power);
      power = referenceProduct(power, 2);
    }
    expect(() => gfInverse(0)).toThrow(RangeError);
  });
});

describe("solveStrip: one and two erasures", () => {
  test.each(LEVELS.map((level): [string, RaidLevel] => [level.label, level]))(
    "%s: any strip, data or parity, comes back from any set of others that is enough",
    (_, level) => {
      const strips = referenceStripe(level, 12_345);
      const scratch = addressOf(level.dataColumns);
      const out = addressOf(level.dataColumns + 1);
      for (const target of level.roles) {
        for (const other of level.roles) {
          const erased = other === target ? [target] : [target, other];
          if (erased.length > level.parities) continue;
          const needed = rolesNeeded(level, erased);
          expect(needed.some((role) => erased.includes(role))).toBe(false);
          // What is not needed is not looked at.
          u8.fill(0x5a, base, out + BYTES);
          for (const role of needed) u8.set(strips.get(role)!, addressOf(role));
          solveStrip({ kernels, level, bytes: BYTES, erased, target, addressOf, out, scratch });
          expect(Buffer.compare(global.view(out, BYTES), strips.get(target)!), `${target} without ${erased}`).toBe(0);
          for (const role of needed) expect(Buffer.compare(global.view(addressOf(role), BYTES), strips.get(role)!)).toBe(0);
        }
      }
    },
  );

  test("refuses more erasures than there are parities, and a target that is not erased", () => {
    const level = raidLevel({ level: 6, dataDrives: 4 });
    const equation = { kernels, level, bytes: BYTES, addressOf, out: addressOf(8), scratch: addressOf(9) };
    expect(() => solveStrip({ ...equation, erased: [0, 1, ROLE_P], target: 0 })).toThrow(/invariant/);
    expect(() => solveStrip({ ...equation, erased: [0], target: 1 })).toThrow(/invariant/);
  });
});

describe("erasureChoices: what to leave out", () => {
  const raid6 = raidLevel({ level: 6, dataDrives: 3 });

  test("nothing but what is gone first; then each strip that was used", () => {
    expect(erasureChoices(raid6, [1], [])).toEqual([[1], [1, 0], [1, 2], [1, ROLE_P]]);
    expect(erasureChoices(raidLevel({ level: 5, dataDrives: 3 }), [1], [])).toEqual([[1]]);
  });

  test("what does not prove itself is left out first, and used only when there is no other way", () => {
    expect(erasureChoices(raid6, [1], [2])).toEqual([[1, 2], [1, 0], [1, ROLE_P], [1]]);
    expect(erasureChoices(raid6, [1, ROLE_Q], [2])).toEqual([[1, ROLE_Q]]);
  });

  test("nothing is left to choose when more is gone than the level has parities", () => {
    expect(erasureChoices(raid6, [0, 1, 2], [])).toEqual([]);
  });
});
