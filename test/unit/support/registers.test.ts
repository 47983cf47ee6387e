import { beforeEach, describe, expect, test } from "vitest";
import { Registers, type Write } from "../../simulation/registers.ts";
import { SIM_SECTOR, stampWords } from "../../simulation/stamp.ts";

const NAME = "A/1";
const SECTORS = 16;

let registers: Registers;
let words: Int32Array;
let now: number;
let looks: number[];
beforeEach(() => {
  now = 0;
  looks = [];
  registers = new Registers(NAME, SECTORS, () => Math.min(...looks));
  words = new Int32Array((SECTORS * SIM_SECTOR) / 4);
});

function begin(first: number, count: number, zero = false): Write {
  now += 1;
  const write: Write = { number: now, zero, begun: now, settled: Number.POSITIVE_INFINITY, first, count };
  registers.begin(write);
  return write;
}

function acknowledge(write: Write, durably = false): void {
  now += 1;
  registers.acknowledged(write, now, durably);
}

/** What the array would return of a sector that was left by that request. */
function holds(sector: number, write: Write | undefined): void {
  const at = (sector * SIM_SECTOR) / 4;
  if (write === undefined || write.zero) words.fill(0, at, at + SIM_SECTOR / 4);
  else stampWords.write(words, at, NAME, sector, write.number);
}

function beginLook(): number {
  now += 1;
  looks.push(now);
  return now;
}

function endLook(begun: number, first: number, count: number): string | undefined {
  now += 1;
  const problem = registers.read({ first, count, begun, at: now }, words, (first * SIM_SECTOR) / 4);
  looks.splice(looks.indexOf(begun), 1);
  return problem;
}

const look = (first: number, count: number): string | undefined => endLook(beginLook(), first, count);

describe("simulation: the model of sectors", () => {
  test("takes what was acknowledged and nothing before it", () => {
    const [one, other] = [begin(0, 8), begin(0, 8)];
    acknowledge(one);
    acknowledge(other);
    const last = begin(0, 8);
    acknowledge(last);
    for (let sector = 0; sector < 8; sector++) holds(sector, last);
    expect(look(0, 8)).toBeUndefined();
    holds(3, one);
    expect(look(0, 8)).toMatch(/sector 3 holds 1, may hold/);
  });

  test("does not let go what was read, though it was never acknowledged", () => {
    acknowledge(begin(0, 1));
    const seen = begin(0, 1);
    holds(0, seen);
    expect(look(0, 1)).toBeUndefined();
    holds(0, undefined);
    expect(look(0, 1)).toMatch(/sector 0 holds 0/);
  });

  test("lets a read return what was there when it began", () => {
    const before = begin(0, 1);
    acknowledge(before);
    const begun = beginLook();
    acknowledge(begin(0, 1));
    holds(0, before);
    expect(endLook(begun, 0, 1)).toBeUndefined();
    expect(look(0, 1)).toMatch(/sector 0 holds 1/);
  });

  test("does not take zeros that were there when a read began for those of a request under way", () => {
    acknowledge(begin(0, 1, true));
    const begun = beginLook();
    const written = begin(0, 1);
    acknowledge(written);
    begin(0, 1, true);
    holds(0, undefined);
    expect(endLook(begun, 0, 1)).toBeUndefined();
    holds(0, written);
    expect(look(0, 1)).toBeUndefined();
  });

  test("takes zeros for those of a request under way where nothing else left any", () => {
    const written = begin(0, 1);
    acknowledge(written);
    begin(0, 1, true);
    holds(0, undefined);
    expect(look(0, 1)).toBeUndefined();
    holds(0, written);
    expect(look(0, 1)).toMatch(/sector 0 holds 1/);
  });

  test("finds a block of two requests that both cover it", () => {
    const [one, other] = [begin(0, 8), begin(0, 8)];
    for (let sector = 0; sector < 8; sector++) holds(sector, sector < 4 ? one : other);
    expect(look(0, 8)).toMatch(/torn/);
  });

  test("after a power failure takes what was durable or newer, and keeps what FUA and flushes promised", () => {
    const durable = begin(0, 1);
    acknowledge(durable, true);
    const cached = begin(0, 1);
    acknowledge(cached);
    registers.powerFailed();
    holds(0, durable);
    expect(look(0, 1)).toBeUndefined();

    const flushed = begin(1, 1);
    acknowledge(flushed);
    now += 1;
    registers.flushed(now);
    registers.powerFailed();
    holds(1, undefined);
    expect(look(1, 1)).toMatch(/sector 1 holds 0/);
  });

  test("refuses what was refused", () => {
    const refused = begin(0, 1);
    now += 1;
    expect(registers.refused(refused, now)).toBeUndefined();
    holds(0, refused);
    expect(look(0, 1)).toMatch(/sector 0 holds 1/);
  });

  test("takes an error for a block that was lost, until it is written whole; a part of it does not heal it", () => {
    acknowledge(begin(0, 8));
    expect(registers.unreadable(3, now)).toMatch(/not lost/);
    registers.lost(0, ++now, false);
    expect(registers.unreadable(3, ++now)).toBeUndefined();
    acknowledge(begin(0, 4));
    expect(registers.unreadable(3, ++now)).toBeUndefined();
    acknowledge(begin(0, 8));
    expect(registers.unreadable(3, ++now)).toMatch(/not lost/);
    // Neither that write nor anything else was durable.
    registers.powerFailed();
    expect(registers.unreadable(3, ++now)).toBeUndefined();
  });

  test("of a block that is whole in memory only what is below it is lost", () => {
    acknowledge(begin(0, 8), true);
    const young = begin(0, 8);
    acknowledge(young);
    registers.lost(0, ++now, true);
    expect(registers.unreadable(3, ++now)).toMatch(/not lost/);
    registers.flushed(++now);
    registers.powerFailed();
    expect(registers.unreadable(3, ++now)).toMatch(/not lost/);
  });

  test("of a block that memory has whole, and a part of which was written, the rest is lost", () => {
    acknowledge(begin(0, 8), true);
    acknowledge(begin(0, 4));
    registers.lost(0, ++now, true);
    expect(registers.unreadable(6, ++now)).toBeUndefined();
  });
});
