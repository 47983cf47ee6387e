import { describe, expect, test } from "vitest";
import { AnswerNap } from "../../../../directors/channel/answer-nap.ts";

/** A director whose turns the test makes; `rung` says whether the next naps end before their time is over. */
function napping() {
  const seen = { naps: 0, longest: 0, rung: true };
  const counts = { pdus: 0, sent: 0, unanswered: 0 };
  const nap = new AnswerNap({
    pdus: () => counts.pdus,
    sent: () => counts.sent,
    unanswered: () => counts.unanswered,
    nap: (milliseconds) => {
      seen.naps += 1;
      seen.longest = Math.max(seen.longest, milliseconds);
      return seen.rung;
    },
  });
  /** So many PDUs came, of which so many commands went across; says whether it napped. */
  const turn = (pdus: number, sent: number, unanswered: number): boolean => {
    counts.pdus += pdus;
    counts.sent += sent;
    counts.unanswered = unanswered;
    const { naps } = seen;
    nap.turnEnded();
    return seen.naps > naps;
  };
  return { seen, turn };
}

describe("naps for answers of other directors", () => {
  test("are taken while many commands are on their way, after each turn that sent some", () => {
    const { seen, turn } = napping();
    for (let n = 0; n < 100; n++) expect(turn(3, 3, 32)).toBe(true);
    expect(turn(1, 1, 9)).toBe(true);
    expect(seen.longest).toBeLessThanOrEqual(0.1);
  });

  test("are not taken with few commands on their way, nor after a turn that sent none", () => {
    const { turn } = napping();
    expect(turn(1, 1, 1)).toBe(false);
    expect(turn(8, 8, 8)).toBe(false);
    expect(turn(0, 0, 32)).toBe(false);
  });

  test("are not taken after a turn in which a host wanted this director's own work", () => {
    const { turn } = napping();
    expect(turn(2, 1, 32)).toBe(false);
    expect(turn(1, 0, 32)).toBe(false);
    expect(turn(1, 1, 32)).toBe(true);
    // A command whose data came before, and one that waited for a token.
    expect(turn(1, 2, 32)).toBe(true);
  });

  test("are tried ever more rarely where no answer comes in time, and at each opportunity once one pays again", () => {
    const { seen, turn } = napping();
    seen.rung = false;
    for (let n = 0; n < 10_000; n++) turn(1, 1, 32);
    expect(seen.naps).toBeGreaterThan(8); // it never gives up
    expect(seen.naps).toBeLessThan(60);
    seen.rung = true;
    let opportunities = 0;
    while (!turn(1, 1, 32)) opportunities += 1;
    expect(opportunities).toBeLessThanOrEqual(256);
    for (let n = 0; n < 10; n++) expect(turn(1, 1, 32)).toBe(true);
  });

  test("let no opportunity pass on account of turns that were none", () => {
    const { seen, turn } = napping();
    seen.rung = false;
    expect(turn(1, 1, 32)).toBe(true);
    for (let n = 0; n < 10; n++) expect(turn(2, 1, 32)).toBe(false);
    expect(turn(1, 1, 32)).toBe(false);
    expect(turn(1, 1, 32)).toBe(true);
  });
});
