import { describe, expect, test } from "vitest";
import { EVENTS_BURST, EVENTS_PER_SECOND, EventPost } from "../../../directors/event-post.ts";
import type { ArrayEvent, Severity } from "../../../src/control/contract.ts";

function makePost() {
  const posted: ArrayEvent[] = [];
  const clock = { now: 0 };
  const post = new EventPost(
    (event) => posted.push(event),
    () => clock.now,
  );
  const send = (count: number, severity: Severity = "info") => {
    for (let n = 0; n < count; n += 1) post.send({ time: "", severity, type: "session.login", subject: "a", message: `${n}` });
  };
  return { posted, clock, send };
}

describe("event post of a director", () => {
  test("lets a burst through, leaves out the rest, and says how many", () => {
    const { posted, clock, send } = makePost();
    send(EVENTS_BURST + 70);
    expect(posted.length).toBe(EVENTS_BURST);
    clock.now = 1000;
    send(1);
    expect(posted.slice(EVENTS_BURST).map(({ type, message }) => [type, message.split(" ")[0]])).toEqual([
      ["events.leftOut", "70"],
      ["session.login", "0"],
    ]);
  });

  test("holds the rate for long", () => {
    const { posted, clock, send } = makePost();
    send(EVENTS_BURST);
    for (let tick = 1; tick <= 100; tick += 1) {
      clock.now = tick * 100;
      send(20);
    }
    const others = posted.slice(EVENTS_BURST).filter(({ type }) => type === "session.login");
    expect(others.length).toBe(10 * EVENTS_PER_SECOND);
  });

  test("leaves out nothing critical", () => {
    const { posted, send } = makePost();
    send(EVENTS_BURST + 5);
    send(3, "critical");
    expect(posted.filter(({ severity }) => severity === "critical").length).toBe(3);
  });
});
