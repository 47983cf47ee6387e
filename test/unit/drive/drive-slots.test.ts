import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DriveError } from "../../../drivers/drive/drive.ts";
import {
  COMPLETION_WORD,
  MESSAGE_BYTES_MAX,
  outcomeOf,
  REQUEST_WORD,
  readError,
  writeMessage,
} from "../../../drivers/drive/drive-slots.ts";
import { SLOT_WORDS } from "../../../drivers/shared-memory/layout.ts";

describe("slots between director and drive thread", () => {
  test("carry an error's kind, and as much of its message as fits", () => {
    const kinds = [
      "unrecoveredRead",
      "notFound",
      "writeFailed",
      "noSpace",
      "fenced",
      "unreachable",
      "unknown",
      "foreign",
      "invalid",
    ] as const;
    fc.assert(
      fc.property(fc.constantFrom(...kinds), fc.string({ maxLength: 200, unit: "grapheme-ascii" }), (kind, message) => {
        const slots = new Int32Array(3 * SLOT_WORDS).fill(-1);
        slots[SLOT_WORDS + COMPLETION_WORD.outcome] = outcomeOf(kind);
        writeMessage(slots, SLOT_WORDS, message);
        const error = readError(slots, SLOT_WORDS, "d3");
        expect(error).toBeInstanceOf(DriveError);
        expect(error.kind).toBe(kind);
        expect(error.message).toBe(`drive d3: ${message.slice(0, MESSAGE_BYTES_MAX)}`);
        expect(slots.subarray(0, SLOT_WORDS).every((word) => word === -1)).toBe(true);
        expect(slots.subarray(2 * SLOT_WORDS).every((word) => word === -1)).toBe(true);
      }),
    );
  });

  test("read as unknown when the kind is none", () => {
    const slots = new Int32Array(SLOT_WORDS);
    slots[COMPLETION_WORD.outcome] = 99;
    slots[COMPLETION_WORD.messageBytes] = 1_000_000;
    expect(readError(slots, 0, "d3").kind).toBe("unknown");
  });

  test("have each word within the slot, once", () => {
    for (const table of [REQUEST_WORD, COMPLETION_WORD]) {
      const words = Object.values(table);
      expect(new Set(words).size).toBe(words.length);
      expect(Math.max(...words)).toBeLessThan(SLOT_WORDS);
    }
  });
});
