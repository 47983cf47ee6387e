import { describe, expect, test } from "vitest";
import { AtMost } from "../../../drivers/drive/at-most.ts";

/** Work that ends when the test says so. */
function gate(): { readonly work: () => Promise<number>; begun: boolean; end(error?: Error): void } {
  let settle: { resolve: (value: number) => void; reject: (error: Error) => void } | undefined;
  const made = {
    begun: false,
    work: () =>
      new Promise<number>((resolve, reject) => {
        made.begun = true;
        settle = { resolve, reject };
      }),
    end: (error?: Error) => (error === undefined ? settle!.resolve(7) : settle!.reject(error)),
  };
  return made;
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("at most so many at a time", () => {
  test("lets the rest wait, and in as places come free, in order, also after a failure", async () => {
    const atMost = new AtMost(2);
    const gates = Array.from({ length: 5 }, gate);
    const results = gates.map(({ work }) => atMost.run(work).catch((error: Error) => error.message));
    const begun = () => gates.map((each) => each.begun);
    await settled();
    expect(begun()).toEqual([true, true, false, false, false]);
    gates[1]!.end(new Error("the disk"));
    await settled();
    expect(begun()).toEqual([true, true, true, false, false]);
    gates[0]!.end();
    gates[2]!.end();
    await settled();
    expect(begun()).toEqual([true, true, true, true, true]);
    gates[3]!.end();
    gates[4]!.end();
    expect(await Promise.all(results)).toEqual([7, "the disk", 7, 7, 7]);
    const late = gate();
    void atMost.run(late.work);
    await settled();
    expect(late.begun).toBe(true);
    late.end();
  });
});
