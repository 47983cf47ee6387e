/** The pure parts: digests, serial numbers, command window, read budget, turn end, text, negotiation, receiver, throttle. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DIRECTOR_COUNTERS } from "../../../directors/director-counters.ts";
import { EventThrottle } from "../../../directors/front-end/event-throttle.ts";
import { headerDigest, readDigest, writeDigest } from "../../../directors/front-end/iscsi/digest.ts";
import { CommandWindow } from "../../../directors/front-end/iscsi/full-feature/command-window.ts";
import { decodeLun } from "../../../directors/front-end/iscsi/full-feature/lun.ts";
import { decodeBinary } from "../../../directors/front-end/iscsi/login/chap.ts";
import { KEYS, type KeyName } from "../../../directors/front-end/iscsi/login/keys.ts";
import { Negotiation, parseNumber } from "../../../directors/front-end/iscsi/login/negotiation.ts";
import { formatText, parseText } from "../../../directors/front-end/iscsi/login/text-pairs.ts";
import { checkAhs } from "../../../directors/front-end/iscsi/pdu/additional-header-segment.ts";
import { ReadBudget } from "../../../directors/front-end/iscsi/read-budget.ts";
import { DATA, type DataDisposition, Receiver } from "../../../directors/front-end/iscsi/receiver.ts";
import { addSN, distanceSN, nextSN } from "../../../directors/front-end/iscsi/serial-number.ts";
import { TurnEnd } from "../../../directors/turn-end.ts";
import { TurnStages } from "../../../directors/turn-stages.ts";
import { counterBlock, HISTOGRAM_BUCKETS } from "../../../drivers/shared-memory/counters.ts";
import { dataCrc32c } from "../../../drivers/shared-memory/data-crc32c.ts";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

describe("CRC32C of headers", () => {
  test("is the one that the native library makes, at any alignment", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 64 }), fc.nat(5), (bytes, at) => {
        const whole = bytes.subarray(0, bytes.length & ~3);
        const shifted = Buffer.concat([Buffer.alloc(at), whole]);
        expect(headerDigest(shifted, at, whole.length)).toBe(dataCrc32c(whole));
      }),
    );
  });
  test("is the one of RFC 7143 Appendix A.4: 32 bytes of zeros, of ones, rising", () => {
    expect(headerDigest(Buffer.alloc(32), 0, 32)).toBe(0x8a9136aa);
    expect(headerDigest(Buffer.alloc(32, 0xff), 0, 32)).toBe(0x62a8ab43);
    expect(headerDigest(Buffer.from([...Array(32).keys()]), 0, 32)).toBe(0x46dd794e);
    const bytes = Buffer.alloc(4);
    writeDigest(bytes, 0, 0x8a9136aa);
    expect(bytes.toString("hex")).toBe("aa36918a"); // as it is sent
    expect(readDigest(bytes, 0)).toBe(0x8a9136aa);
  });
});

describe("serial numbers, RFC 1982", () => {
  test("wrap at 2^32", () => {
    expect(nextSN(0xffffffff)).toBe(0);
    expect(addSN(0xfffffff0, 32)).toBe(16);
    expect(distanceSN(16, 0xfffffff0)).toBe(32);
    expect(distanceSN(0xfffffff0, 16)).toBe(-32);
  });
});

describe("the command window, RFC 7143 §4.2.2.1", () => {
  test("closes as commands run, never goes back, and works across the wrap", () => {
    const window = new CommandWindow(4, 0xfffffffe);
    expect(window.maxCmdSN).toBe(1);
    let last = window.maxCmdSN;
    for (let n = 0; n < 4; n += 1) {
      expect(window.place(window.expCmdSN)).toBe("next");
      window.advance();
      window.active += 1;
      expect(distanceSN(window.maxCmdSN, last)).toBe(0);
    }
    expect(window.place(window.expCmdSN)).toBe("outside");
    window.active -= 1;
    expect(distanceSN(window.maxCmdSN, last)).toBe(1);
    last = window.maxCmdSN;
    expect(window.place(window.expCmdSN)).toBe("next");
  });
  test("keeps what comes ahead, once, and delivers it in order", () => {
    const window = new CommandWindow(8, 10);
    const delivered: number[] = [];
    for (const cmdSN of [13, 11, 12]) {
      expect(window.place(cmdSN)).toBe("ahead");
      window.hold(cmdSN, () => delivered.push(cmdSN));
      expect(window.place(cmdSN)).toBe("outside");
    }
    window.deliverHeld();
    expect(delivered).toEqual([]);
    window.advance();
    window.deliverHeld();
    expect(delivered).toEqual([11, 12, 13]);
    expect(window.expCmdSN).toBe(14);
    expect(window.heldCount).toBe(0);
  });
});

describe("the read budget", () => {
  const session = () => ({
    chargedBytes: 0,
    woken: 0,
    budgetAvailable() {
      this.woken += 1;
    },
  });
  test("gives each session its share, one read to who has none, and wakes who was turned away", () => {
    const budget = new ReadBudget(8 << 20);
    expect(budget.sessionShareBytes).toBe(1 << 20);
    const [a, b] = [session(), session()];
    expect(budget.tryCharge(a, 4 << 20)).toBe(true); // the first may be larger than the share
    expect(budget.tryCharge(a, 1)).toBe(false);
    expect(budget.tryCharge(b, 1 << 19)).toBe(true);
    budget.add(a, -(4 << 20));
    expect(a.woken).toBe(1);
    expect(b.woken).toBe(0);
    expect(budget.chargedBytes).toBe(1 << 19);
  });
  test("stays under twice its size, however many sessions there are", () => {
    const budget = new ReadBudget(8 << 20);
    for (let n = 0; n < 100; n += 1) budget.tryCharge(session(), 1 << 20);
    expect(budget.chargedBytes).toBeLessThanOrEqual(16 << 20);
  });
});

describe("the end of a turn", () => {
  test("runs storage before the front end, and what they defer in the same turn", () => {
    const runs: (() => void)[] = [];
    const log: string[] = [];
    const turnEnd = new TurnEnd((run) => runs.push(run));
    turnEnd.defer("frontEnd", () => log.push("send"));
    turnEnd.defer("storage", () => {
      log.push("commit");
      turnEnd.defer("frontEnd", () => log.push("send what the commit completed"));
    });
    turnEnd.defer("storage", () => log.push("commit 2"));
    expect(runs.length).toBe(1);
    runs.shift()!();
    expect(log).toEqual(["commit", "commit 2", "send", "send what the commit completed"]);
    expect(runs.length).toBe(0);
    turnEnd.defer("storage", () => log.push("later"));
    expect(runs.length).toBe(1);
  });
  test("answers other directors before hosts, and after the commit", () => {
    const runs: (() => void)[] = [];
    const log: string[] = [];
    const turnEnd = new TurnEnd((run) => runs.push(run));
    turnEnd.defer("frontEnd", () => {
      log.push("hosts");
      turnEnd.defer("channel", () => log.push("releases of what was sent"));
    });
    turnEnd.defer("channel", () => log.push("directors"));
    turnEnd.defer("storage", () => {
      log.push("commit");
      turnEnd.defer("channel", () => log.push("directors, of the commit"));
    });
    runs.shift()!();
    expect(log).toEqual(["commit", "directors", "directors, of the commit", "hosts", "releases of what was sent"]);
    expect(runs.length).toBe(0);
  });
  test("takes what other threads sent once in a turn, and works on it in that turn", () => {
    const runs: (() => void)[] = [];
    const log: string[] = [];
    const turnEnd = new TurnEnd((run) => runs.push(run));
    turnEnd.setInbox(() => {
      log.push("take");
      turnEnd.defer("storage", () => log.push("commit what came"));
    });
    turnEnd.defer("frontEnd", () => log.push("send"));
    turnEnd.defer("storage", () => log.push("commit"));
    runs.shift()!();
    expect(log).toEqual(["take", "commit", "commit what came", "send"]);
    expect(runs.length).toBe(0);
  });
  test("stamps each stage once a turn, however many callbacks and rounds there are", () => {
    const runs: (() => void)[] = [];
    let now = 100;
    const global: GlobalMemory = { ...testGlobalMemory().global, clock: { nowMicroseconds: () => now } };
    const turnEnd = new TurnEnd((run) => runs.push(run), new TurnStages(global, 1));
    const later = (microseconds: number) => () => {
      now += microseconds;
    };
    turnEnd.defer("storage", later(7));
    now += 5;
    turnEnd.defer("storage", () => {
      now += 3;
      turnEnd.defer("frontEnd", () => {
        now += 20;
        turnEnd.defer("storage", later(30));
      });
    });
    runs.shift()!();
    const block = counterBlock(global, "director", 1);
    const sumAndCount = (slot: number) => [block[slot + HISTOGRAM_BUCKETS], block[slot + HISTOGRAM_BUCKETS + 1]];
    const { turnReceive, turnStorage, turnAnswers } = DIRECTOR_COUNTERS.slots;
    expect(sumAndCount(turnReceive)).toEqual([5, 1]);
    expect(sumAndCount(turnStorage)).toEqual([7 + 3 + 30, 1]);
    expect(sumAndCount(turnAnswers)).toEqual([20, 1]);
  });

  test("leaves a chain without end to later turns", () => {
    const runs: (() => void)[] = [];
    const turnEnd = new TurnEnd((run) => runs.push(run));
    let count = 0;
    const again = (): void => {
      count += 1;
      turnEnd.defer("frontEnd", again);
    };
    turnEnd.defer("frontEnd", again);
    runs.shift()!();
    expect(count).toBeLessThan(10);
    expect(runs.length).toBe(1);
  });
});

describe("text, RFC 7143 §6.1", () => {
  test("comes back as it was formatted", () => {
    const key = fc.stringMatching(/^[A-Z][A-Za-z0-9._-]{0,62}$/);
    const value = fc.stringMatching(/^[ -~]{0,100}$/);
    fc.assert(
      fc.property(fc.array(fc.record({ key, value })), (pairs) => {
        expect(parseText(formatText(pairs))).toEqual(pairs);
      }),
    );
  });
  test("of any bytes is pairs or a fault, never a throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const parsed = parseText(Buffer.from(bytes));
        expect(typeof parsed === "string" || Array.isArray(parsed)).toBe(true);
      }),
    );
  });
});

describe("negotiation, RFC 7143 §13", () => {
  const offers = { maxRecvDataSegmentBytes: 262144, maxBurstBytes: 1 << 20, firstBurstBytes: 1 << 18 };
  const negotiation = () => new Negotiation(offers);

  test.each([
    ["MaxBurstLength", "16776192", "1048576"],
    ["MaxBurstLength", "65536", "65536"],
    ["FirstBurstLength", "1048576", "262144"],
    ["DefaultTime2Wait", "5", "5"],
    ["DefaultTime2Wait", "0", "2"],
    ["DefaultTime2Retain", "20", "0"],
    ["InitialR2T", "Yes", "Yes"],
    ["InitialR2T", "No", "No"],
    ["ImmediateData", "No", "No"],
    ["ImmediateData", "Yes", "Yes"],
    ["DataPDUInOrder", "No", "Yes"],
    ["HeaderDigest", "CRC32C,None", "CRC32C"],
    ["HeaderDigest", "None,CRC32C", "None"],
    ["HeaderDigest", "SHA,CRC32C", "CRC32C"],
    ["ErrorRecoveryLevel", "2", "0"],
    ["iSCSIProtocolLevel", "0", "0"],
    ["MaxConnections", "0", "Reject"],
    ["MaxBurstLength", "1048576 ", "Reject"],
    ["MaxBurstLength", "99999999999", "Reject"],
    ["OFMarker", "Yes", "No"],
    ["IFMarkInt", "2048", "Reject"],
    ["TargetPortalGroupTag", "1", "Reject"],
    ["SendTargets", "All", "Reject"],
  ] as const)("%s=%s is answered %s in login", (key, value, answer) => {
    expect(negotiation().answer(key, value, "login")).toBe(answer);
  });

  test("FirstBurstLength never exceeds MaxBurstLength, whichever comes first", () => {
    const one = negotiation();
    one.answer("MaxBurstLength", "4096", "login");
    expect(one.answer("FirstBurstLength", "65536", "login")).toBe("4096");
    const other = negotiation();
    other.answer("FirstBurstLength", "65536", "login");
    other.answer("MaxBurstLength", "4096", "login");
    expect(other.parameters().firstBurstBytes).toBe(4096);
  });

  test("the defaults are those of the RFC", () => {
    expect(negotiation().parameters()).toEqual({
      headerDigest: false,
      dataDigest: false,
      initialR2T: true,
      immediateData: true,
      initiatorDataSegmentBytesMax: 8192,
      targetDataSegmentBytesMax: 8192,
      maxBurstBytes: 262144,
      firstBurstBytes: 65536,
      maxOutstandingR2T: 1,
      defaultTime2Wait: 2,
      defaultTime2Retain: 20,
    });
  });

  test("any value of any key is answered or taken, and the parameters stay in their ranges", () => {
    const key = fc.constantFrom(...(Object.keys(KEYS) as KeyName[]));
    const value = fc.oneof(fc.string(), fc.nat(2 ** 25).map(String), fc.constantFrom("Yes", "No", "None", "CRC32C", "0x200"));
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), (pairs) => {
        const one = negotiation();
        for (const [name, text] of pairs) one.answer(name, text, "login");
        const { maxBurstBytes, firstBurstBytes, maxOutstandingR2T, initiatorDataSegmentBytesMax } = one.parameters();
        expect(firstBurstBytes).toBeLessThanOrEqual(maxBurstBytes);
        expect(firstBurstBytes).toBeGreaterThanOrEqual(512);
        expect(maxOutstandingR2T).toBeGreaterThanOrEqual(1);
        expect(initiatorDataSegmentBytesMax).toBeGreaterThanOrEqual(512);
      }),
    );
  });

  test("numbers are decimal or hexadecimal", () => {
    expect([
      parseNumber("10"),
      parseNumber("0x10"),
      parseNumber("-1"),
      parseNumber("1e3"),
      parseNumber(""),
      parseNumber("0x"),
    ]).toEqual([10, 16, undefined, undefined, undefined, undefined]);
  });
});

test("binary values of any text are decoded or refused with a login status", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `0x${text}`),
        fc.base64String().map((text) => `0b${text}`),
      ),
      (value) => {
        try {
          expect(decodeBinary(value).length).toBeLessThanOrEqual(1024);
        } catch (error) {
          expect(error).toMatchObject({ name: "LoginError", status: 0x0200 });
        }
      },
    ),
  );
});

test("LUNs are decoded in peripheral and flat form, and nothing else is addressable", () => {
  const lun = (hex: string): number => decodeLun(Buffer.from(hex, "hex"), 0);
  expect(lun("0000000000000000")).toBe(0);
  expect(lun("0005000000000000")).toBe(5);
  expect(lun("4005000000000000")).toBe(5);
  expect(lun("7fff000000000000")).toBe(16383);
  expect(lun("0105000000000000")).toBe(-1);
  expect(lun("c101000000000000")).toBe(-1);
  expect(lun("0005000100000000")).toBe(-1);
});

test("additional header segments of any bytes are judged without reading past them", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      expect(["good", "pastEnd", "unknownType"]).toContain(checkAhs(bytes, 0, bytes.length & ~3));
    }),
  );
});

test("events of a type are bounded, and those left out are counted", () => {
  const throttle = new EventThrottle();
  const told = Array.from({ length: 15 }, () => throttle.admit("x", 1000));
  expect(told).toEqual([...new Array(10).fill(0), ...new Array(5).fill(undefined)]);
  expect(throttle.admit("y", 1000)).toBe(0);
  expect(throttle.admit("x", 11e6)).toBe(5);
});

describe("the receiver", () => {
  interface Seen {
    opcode: number;
    ahs: number;
    data: string;
    good: boolean;
  }
  function record(receiver: { value?: Receiver }, disposition: (n: number) => DataDisposition) {
    const seen: Seen[] = [];
    let streamed = "";
    const faults: string[] = [];
    receiver.value = new Receiver({
      onHeader(header, at, ahsBytes) {
        seen.push({ opcode: header[at]!, ahs: ahsBytes, data: "", good: true });
        streamed = "";
        return disposition(seen.length);
      },
      onData(chunk, start, end) {
        streamed += chunk.toString("hex", start, end);
      },
      onEnd(data, good) {
        const last = seen.at(-1)!;
        last.data = streamed === "" ? data.toString("hex") : streamed;
        last.good = good;
      },
      onFault: (fault) => faults.push(fault),
    });
    return { seen, faults };
  }

  function pdu(opcode: number, ahsWords: number, data: Uint8Array, digests: boolean): Buffer {
    const header = Buffer.alloc(48 + ahsWords * 4, 0x11);
    header[0] = opcode;
    header[4] = ahsWords;
    header.writeUIntBE(data.length, 5, 3);
    const padded = Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
    const crc = (bytes: Uint8Array): Buffer => {
      const digest = Buffer.alloc(4);
      writeDigest(digest, 0, dataCrc32c(bytes));
      return digest;
    };
    if (!digests) return Buffer.concat([header, padded]);
    return Buffer.concat([header, crc(header), padded, data.length > 0 ? crc(padded) : Buffer.alloc(0)]);
  }

  test("cuts the same PDUs out of any chunks", () => {
    const onePdu = fc.record({ opcode: fc.nat(0x3f), ahsWords: fc.nat(3), data: fc.uint8Array({ maxLength: 100 }) });
    fc.assert(
      fc.property(
        fc.array(onePdu, { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1 }),
        fc.boolean(),
        fc.nat(3),
        (pdus, cuts, digests, kind) => {
          const holder: { value?: Receiver } = {};
          const waiting: boolean[] = [];
          const { seen, faults } = record(holder, (n) => {
            const wait = (n + kind) % 3 === 0;
            waiting.push(wait);
            return wait ? DATA.wait : n % 2 === 0 ? DATA.stream : DATA.collect;
          });
          const receiver = holder.value!;
          receiver.headerDigest = digests;
          receiver.dataDigest = digests;
          const bytes = Buffer.concat(pdus.map(({ opcode, ahsWords, data }) => pdu(opcode, ahsWords, data, digests)));
          let at = 0;
          for (let n = 0; at < bytes.length; n += 1) {
            const next = at + cuts[n % cuts.length]!;
            receiver.feed(Buffer.from(bytes.subarray(at, next)));
            at = next;
            while (receiver.paused) receiver.decide(DATA.collect);
          }
          expect(faults).toEqual([]);
          expect(seen).toEqual(
            pdus.map(({ opcode, ahsWords, data }) => ({
              opcode,
              ahs: ahsWords * 4,
              data: Buffer.from(data).toString("hex"),
              good: true,
            })),
          );
        },
      ),
    );
  });

  test("keeps what comes while it is paused, and goes on where it stopped", () => {
    const holder: { value?: Receiver } = {};
    const { seen } = record(holder, () => DATA.collect);
    const receiver = holder.value!;
    receiver.pause();
    receiver.feed(Buffer.concat([pdu(1, 0, Buffer.from("abc"), false), pdu(2, 0, Buffer.alloc(0), false)]));
    receiver.feed(pdu(3, 0, Buffer.alloc(0), false));
    expect(seen).toEqual([]);
    receiver.resume();
    expect(seen.map(({ opcode }) => opcode)).toEqual([1, 2, 3]);
  });

  test("stops at a segment over the limit, and at a wrong header digest", () => {
    const holder: { value?: Receiver } = {};
    const { seen, faults } = record(holder, () => DATA.collect);
    holder.value!.dataBytesMax = 16;
    holder.value!.feed(Buffer.concat([pdu(1, 0, Buffer.alloc(17), false), pdu(1, 0, Buffer.alloc(0), false)]));
    expect({ seen, faults }).toEqual({ seen: [], faults: ["dataSegmentLength"] });

    const other: { value?: Receiver } = {};
    const { faults: digestFaults } = record(other, () => DATA.collect);
    other.value!.headerDigest = true;
    const bytes = pdu(1, 0, Buffer.alloc(0), true);
    bytes[20]! ^= 1;
    other.value!.feed(bytes);
    expect(digestFaults).toEqual(["headerDigest"]);
  });

  test("says when a data digest is wrong, wherever the wrong bit is", () => {
    const good = pdu(1, 0, Buffer.from("hello"), true);
    for (let byte = 52; byte < good.length; byte += 1) {
      const holder: { value?: Receiver } = {};
      const { seen } = record(holder, () => DATA.collect);
      holder.value!.headerDigest = true;
      holder.value!.dataDigest = true;
      const bytes = Buffer.from(good);
      bytes[byte]! ^= 0x10;
      holder.value!.feed(bytes);
      expect(seen[0]!.good).toBe(false);
    }
  });
});
