import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { attachGlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { loadKernelModule } from "../../../drivers/shared-memory/kernels.ts";
import { HEADER_WORD, LAYOUT_VERSION } from "../../../drivers/shared-memory/layout.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

describe("global memory, attach", () => {
  test("sees the same bytes through every attachment and view", () => {
    const { global, transfer } = testGlobalMemory();
    const other = attachGlobalMemory(transfer);
    const at = global.layout.frames + 64;
    global.view(at, 5).write("frame");
    expect(other.view(at, 5).toString()).toBe("frame");
    expect(other.i32[at / 4]).toBe(global.view(at, 4).readInt32LE());
  });

  test("writes nothing: threads attach while others work", () => {
    const { global, transfer } = testGlobalMemory();
    for (let i = 0; i < global.u8.length; i += 61) global.u8[i]! += 1;
    global.i32[global.layout.header / 4 + HEADER_WORD.magic] = 0x76617272;
    global.i32[global.layout.header / 4 + HEADER_WORD.layoutVersion] = LAYOUT_VERSION;
    global.i32[global.layout.header / 4 + HEADER_WORD.pageCount] = global.layout.totalBytes / 65_536;
    const before = Buffer.from(global.u8.slice().buffer);
    attachGlobalMemory(transfer);
    expect(before.equals(global.u8)).toBe(true);
  });

  test("the kernels' module has neither data segments nor a start function", () => {
    // Section 8 is start, 11 data, 12 data count: all would write, or prepare to write, at every instantiation.
    expect(wasmSections()).not.toContain(8);
    expect(wasmSections()).not.toContain(11);
    expect(wasmSections()).toContain(10);
  });

  test.each([
    ["no header", HEADER_WORD.magic],
    ["layout version", HEADER_WORD.layoutVersion],
    ["the layout says", HEADER_WORD.pageCount],
  ])("refuses a memory that is not laid out so: %s", (message, word) => {
    const { global, transfer } = testGlobalMemory();
    global.i32[global.layout.header / 4 + word]! += 1;
    expect(() => attachGlobalMemory(transfer)).toThrow(message);
  });

  test("refuses a view that leaves the memory", () => {
    const { global } = testGlobalMemory();
    expect(() => global.view(global.layout.totalBytes - 10, 11)).toThrow();
  });
});

function wasmSections(): number[] {
  // The compiled module can't be asked for its sections, its file can.
  loadKernelModule();
  const bytes = readFileSync(new URL("../../../dist/drivers/shared-memory/kernels.wasm", import.meta.url));
  const sections: number[] = [];
  let at = 8;
  while (at < bytes.length) {
    sections.push(bytes[at++]!);
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    at += size;
  }
  return sections;
}
