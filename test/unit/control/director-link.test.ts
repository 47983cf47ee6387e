import { MessageChannel } from "node:worker_threads";
import { afterEach, describe, expect, test, vi } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import { ChangeQueue, TooManyChanges } from "../../../src/control/change-queue.ts";
import type { DirectorRequest } from "../../../src/control/contract.ts";
import { DirectorLink } from "../../../src/control/director-link.ts";

const closers: (() => void)[] = [];
afterEach(() => {
  vi.useRealTimers();
  for (const close of closers.splice(0)) close();
});

function pair() {
  const { port1, port2 } = new MessageChannel();
  const received: DirectorRequest[] = [];
  port2.on("message", (request: DirectorRequest) => received.push(request));
  const link = new DirectorLink(loadConfig({}).directors[0]!, port1, () => {});
  closers.push(() => link.close());
  const answer = (id: number, value: unknown = id) => port2.postMessage({ kind: "reply", reply: { id, ok: true, value } });
  return { link, received, answer, peer: port2 };
}

const settled = (promise: Promise<unknown>) =>
  promise.then(
    (value) => ({ value }),
    (error: Error) => ({ error }),
  );

describe("link to a director", () => {
  test("answers in any order go to their own requests; late and unknown replies to nobody", async () => {
    const { link, received, answer } = pair();
    const requests = [1, 2, 3].map(() => link.request({ kind: "status" }));
    await expect.poll(() => received.length).toBe(3);
    answer(99);
    answer(3);
    answer(1);
    answer(1, "twice");
    answer(2);
    expect(await Promise.all(requests)).toEqual([1, 2, 3]);
  });

  test("at most 16 requests are out; the rest follow as answers come; beyond 80 a request fails at once", async () => {
    const { link, received, answer } = pair();
    const requests = Array.from({ length: 80 }, () => link.request({ kind: "status" }));
    const refused = await settled(link.request({ kind: "status" }));
    expect(refused).toMatchObject({ error: { code: "busy" } });
    await expect.poll(() => received.length).toBe(16);
    for (let id = 1; id <= 80; id++) {
      await expect.poll(() => received.length, { interval: 1 }).toBeGreaterThanOrEqual(id);
      answer(id);
      await requests[id - 1];
    }
    expect(received.map(({ id }) => id)).toEqual(Array.from({ length: 80 }, (_, index) => index + 1));
  });

  test("a request without answer fails at its deadline and makes room for the next", async () => {
    const { link, received, answer } = pair();
    const silent = Array.from({ length: 16 }, () => settled(link.request({ kind: "status" }, 0.05)));
    const next = link.request({ kind: "status" }, 30);
    for (const one of await Promise.all(silent)) expect(one).toMatchObject({ error: { code: "timeout" } });
    await expect.poll(() => received.length).toBe(17);
    answer(17, "served");
    expect(await next).toBe("served");
  });

  test("when the director dies, everything under way and everything later fails as gone", async () => {
    const { link, peer } = pair();
    const waiting = settled(link.request({ kind: "status" }));
    peer.close();
    expect(await waiting).toMatchObject({ error: { code: "gone" } });
    expect(await settled(link.opened)).toMatchObject({ error: { code: "gone" } });
    expect(await settled(link.request({ kind: "status" }))).toMatchObject({ error: { code: "gone" } });
  });
});

describe("queue of changes", () => {
  test("runs one at a time, in order, past failures, and bounds the waiting", async () => {
    const queue = new ChangeQueue();
    const steps: string[] = [];
    const change = (name: string, fails = false) =>
      settled(
        queue.run(async () => {
          steps.push(`${name} begins`);
          await new Promise((resolve) => setImmediate(resolve));
          steps.push(`${name} ends`);
          if (fails) throw new Error(name);
          return name;
        }),
      );
    const first = [change("a"), change("b", true), change("c")];
    const rest = Array.from({ length: 29 }, (_, index) => change(String(index)));
    expect(await change("too many")).toEqual({ error: new TooManyChanges() });
    expect(await Promise.all(first)).toEqual([{ value: "a" }, { error: new Error("b") }, { value: "c" }]);
    await Promise.all(rest);
    expect(steps.slice(0, 6)).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
    expect(await change("later")).toEqual({ value: "later" });
  });
});
