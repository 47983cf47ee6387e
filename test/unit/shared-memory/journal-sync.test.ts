import { describe, expect, test } from "vitest";
import { signalCounts } from "../../../drivers/shared-memory/doorbell.ts";
import { JournalSyncRequester, JournalSyncServer, ticketReached } from "../../../drivers/shared-memory/journal-sync.ts";
import { POOL_WORD, poolWords, threadNumber } from "../../../drivers/shared-memory/layout.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

const POOL = 1;
const OWNER = 1;

function pair(lastTicket = 0) {
  const { global } = testGlobalMemory();
  const words = poolWords(global.layout, POOL);
  global.i32[words + POOL_WORD.syncRequested] = lastTicket;
  global.i32[words + POOL_WORD.syncDone] = lastTicket;
  return { global, requester: new JournalSyncRequester(global, POOL, OWNER), server: new JournalSyncServer(global, POOL) };
}

describe("journal sync words", () => {
  test("nothing is asked and nothing failed at first", () => {
    const { requester, server } = pair();
    expect(server.waitForRequest(0)).toBe(-1);
    expect(requester.failed()).toBe(0);
  });

  test("a ticket is done when the server says so, and not before", () => {
    const { requester, server } = pair();
    const ticket = requester.requestSync();
    expect(requester.isDone(ticket)).toBe(false);
    expect(server.waitForRequest(0)).toBe(ticket);
    expect(requester.isDone(ticket)).toBe(false);
    server.complete(ticket);
    expect(requester.isDone(ticket)).toBe(true);
    expect(requester.doneTicket()).toBe(ticket);
    expect(server.waitForRequest(0)).toBe(-1);
  });

  test("requests made while a sync runs share the next one, and are not covered by this one", () => {
    const { requester, server } = pair();
    const first = requester.requestSync();
    expect(server.waitForRequest(0)).toBe(first);
    const second = requester.requestSync();
    const third = requester.requestSync();
    server.complete(first);
    expect(requester.isDone(first)).toBe(true);
    expect(requester.isDone(second)).toBe(false);
    expect(server.waitForRequest(0)).toBe(third);
    server.complete(third);
    expect(requester.isDone(second)).toBe(true);
    expect(server.waitForRequest(0)).toBe(-1);
  });

  test("an error is seen, and nothing is done after it", () => {
    const { requester, server } = pair();
    const ticket = requester.requestSync();
    server.waitForRequest(0);
    server.fail(5);
    expect(requester.failed()).toBe(5);
    expect(requester.isDone(ticket)).toBe(false);
    expect(() => server.complete(ticket)).toThrow("after it failed");
    expect(server.waitForRequest(0)).toBe(-1);
  });

  test("with two copies the error of one leaves the tickets to the other", () => {
    const { global, requester } = pair();
    const server = new JournalSyncServer(global, POOL, [0, 1]);
    const ticket = requester.requestSync();
    server.waitForRequest(0);
    server.fail(5, 1);
    server.complete(ticket);
    expect([requester.failed(0), requester.failed(1), requester.isDone(ticket)]).toEqual([0, 5, true]);
    server.fail(5, 0);
    expect(() => server.complete(ticket)).toThrow("after it failed");
  });

  test("an error without a code is an error still", () => {
    const { requester, server } = pair();
    server.fail(0);
    expect(requester.failed()).not.toBe(0);
  });

  test("tickets go on over their wrap at 2^31", () => {
    const { requester, server } = pair(0x7ffffffe);
    for (let i = 0; i < 4; i++) {
      const ticket = requester.requestSync();
      expect(ticket).toBeGreaterThanOrEqual(0);
      expect(requester.isDone(ticket)).toBe(false);
      expect(server.waitForRequest(0)).toBe(ticket);
      server.complete(ticket);
      expect(requester.isDone(ticket)).toBe(true);
    }
    expect(requester.doneTicket()).toBe(2);
  });

  test("a request that a dead server took is taken again by the next", () => {
    const { global, requester, server } = pair();
    const ticket = requester.requestSync();
    server.waitForRequest(0);
    expect(new JournalSyncServer(global, POOL).waitForRequest(0)).toBe(ticket);
  });

  test("the director that asked last is rung, by the sync thread", () => {
    const { global, requester, server } = pair();
    server.complete(requester.requestSync());
    const thread = threadNumber(global.layout, "journalSync", POOL);
    // Director 1 does not sleep here, so its signal is saved; what counts is that its bell was rung at all.
    expect(signalCounts(global, thread)).toMatchObject({ sent: 0, saved: 1 });
    expect(signalCounts(global, threadNumber(global.layout, "director", OWNER))).toMatchObject({ sent: 0, saved: 1 });
  });
});

describe("ticketReached", () => {
  test.each([
    [5, 5, true],
    [6, 5, true],
    [5, 6, false],
    [0, 0x7fffffff, true],
    [0x7fffffff, 0, false],
    [3, 0x7ffffff0, true],
    [0, 0x3fffffff, false],
  ])("of %d and %d is %s", (done, ticket, reached) => {
    expect(ticketReached(done, ticket)).toBe(reached);
  });
});
