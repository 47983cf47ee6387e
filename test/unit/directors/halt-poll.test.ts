import { describe, expect, test } from "vitest";
import { HaltPoll } from "../../../directors/halt-poll.ts";

/** A director whose time and event loop the test turns: `spin` goes round once, a microsecond or more later. */
function polled(tick = 0) {
  let now = 1000;
  let commands = 0;
  const queue: (() => void)[] = [];
  const poll = new HaltPoll({
    commands: () => commands,
    nowMicroseconds: () => (now += tick),
    schedule: (run) => queue.push(run),
  });
  return {
    poll,
    turn(count: number): number {
      commands += count;
      const began = now;
      poll.turnEnded();
      return now - began;
    },
    /** Goes round until it would sleep or the time is over; says for how long it stayed awake. */
    spin(microseconds = Number.POSITIVE_INFINITY): number {
      const began = now;
      while (queue.length > 0 && now - began < microseconds) {
        now += 1;
        for (const run of queue.splice(0)) run();
      }
      return now - began;
    },
  };
}

describe("halt polling", () => {
  test("stays awake for a moment after a single command, then sleeps", () => {
    const { poll, turn, spin } = polled();
    turn(1);
    expect(poll.polling).toBe(true);
    expect(spin()).toBe(60);
    expect(poll.polling).toBe(false);
  });

  test("goes on while commands come one by one", () => {
    const { poll, turn, spin } = polled();
    turn(1);
    for (let n = 0; n < 100; n++) {
      spin(30);
      turn(1);
    }
    expect(poll.polling).toBe(true);
    expect(spin()).toBe(60);
    turn(1);
    expect(poll.polling).toBe(true); // it paid: no opportunity is let pass
  });

  test("tries ever more rarely where the next command does not come in time", () => {
    const { turn, spin } = polled();
    let polls = 0;
    for (let n = 0; n < 10_000; n++) {
      turn(1);
      if (spin() > 0) polls += 1;
    }
    expect(polls).toBeGreaterThan(8); // it never gives up
    expect(polls).toBeLessThan(60);
  });

  test("counts before the first look for a third of the shortest time between commands of late, and for 12 µs at most", () => {
    const { turn, spin } = polled(0.5);
    let quiet = turn(1);
    /** So many commands, each so long after the turn of the one before; says how long it counts after the last. */
    const commands = (count: number, gap: number): number => {
      for (let n = 0; n < count; n++) {
        spin(gap - quiet);
        quiet = turn(1);
      }
      return quiet;
    };
    expect(Math.abs(commands(600, 24) - 8)).toBeLessThan(2);
    expect(Math.abs(commands(1000, 52) - 12)).toBeLessThan(1.5);
    // A shorter one counts at once, a longer one hardly.
    expect(Math.abs(commands(1, 15) - 5)).toBeLessThan(2);
    expect(Math.abs(commands(2, 52) - 5)).toBeLessThan(2);
  });

  test("goes on when its clock goes back or stands still", () => {
    let now = 1000;
    let commands = 0;
    const queue: (() => void)[] = [];
    const poll = new HaltPoll({ commands: () => commands, nowMicroseconds: () => now, schedule: (run) => queue.push(run) });
    for (const then of [1040, 1080, 10, 10, 50, 90, 1e9, 1e9 + 40]) {
      now = then;
      commands += 1;
      poll.turnEnded();
    }
    now += 60;
    for (const run of queue.splice(0)) run();
    expect(poll.polling).toBe(false);
  });

  test("is left alone by turns without commands, and ended by several at once", () => {
    const { poll, turn, spin } = polled();
    turn(0);
    expect(poll.polling).toBe(false);
    turn(1);
    spin(20);
    turn(0);
    expect(spin()).toBe(40);
    turn(1); // one opportunity is let pass after a vain poll
    turn(1);
    expect(poll.polling).toBe(true);
    turn(2);
    expect(spin()).toBe(1);
    turn(8);
    expect(poll.polling).toBe(false);
  });
});
