import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MailboxSpace } from "../../../drivers/drive/mailbox-space.ts";

describe("MailboxSpace", () => {
  test("never leases a byte twice, nor beyond its end, and is whole again when all is given back", () => {
    const step = fc.record({ take: fc.boolean(), bytes: fc.nat(700), which: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
        const space = new MailboxSpace(2048);
        const leases: { offset: number; bytes: number }[] = [];
        for (const { take, bytes, which } of steps) {
          if (take) {
            const offset = space.tryTake(bytes);
            if (offset < 0) continue;
            expect(offset + bytes).toBeLessThanOrEqual(2048);
            for (const lease of leases) {
              expect(offset >= lease.offset + Math.max(lease.bytes, 1) || lease.offset >= offset + Math.max(bytes, 1)).toBe(true);
            }
            leases.push({ offset, bytes });
          } else if (leases.length > 0) {
            space.give(leases.splice(which % leases.length, 1)[0]!.offset);
          }
        }
        for (const { offset } of leases) space.give(offset);
        expect(space.leaseCount).toBe(0);
        expect(space.tryTake(2048)).toBe(0);
      }),
    );
  });

  test("takes nothing back that it did not lease", () => {
    expect(() => new MailboxSpace(1024).give(64)).toThrow(/nothing is leased/);
  });
});
