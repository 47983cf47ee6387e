import { describe, expect, test } from "vitest";
import { DriveFence } from "../../../drivers/drive/drive-fence.ts";

describe("DriveFence", () => {
  test("lets a newer owner in only when the older one's operations have ended", async () => {
    const fence = new DriveFence("d");
    await fence.raise(1);
    fence.enter(1);
    fence.enter(1);
    let raised = false;
    const raising = fence.raise(2).then(() => {
      raised = true;
    });
    expect(() => fence.enter(1)).toThrow(expect.objectContaining({ kind: "fenced" }));
    fence.leave(1);
    await Promise.resolve();
    expect(raised).toBe(false);
    fence.leave(1);
    await raising;
    expect(raised).toBe(true);
  });

  test("does not wait for operations of the same epoch", async () => {
    const fence = new DriveFence("d");
    await fence.raise(3);
    fence.enter(3);
    await fence.raise(3);
    await expect(fence.raise(2)).rejects.toMatchObject({ kind: "fenced" });
    expect(fence.epoch).toBe(3);
  });

  test.each([-1, 1.5, Number.NaN])("takes no epoch of %d", async (epoch) => {
    await expect(new DriveFence("d").raise(epoch)).rejects.toMatchObject({ kind: "invalid" });
  });

  test("lets nobody in once it is closed, and closes when all have left", async () => {
    const fence = new DriveFence("d");
    fence.enter(0);
    let closed = false;
    const closing = fence.close().then(() => {
      closed = true;
    });
    expect(() => fence.enter(0)).toThrow(expect.objectContaining({ kind: "unreachable" }));
    await Promise.resolve();
    expect(closed).toBe(false);
    fence.leave(0);
    await closing;
    expect(closed).toBe(true);
  });
});
