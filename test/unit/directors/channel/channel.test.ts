import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { CHANNEL_COUNTERS } from "../../../../directors/channel/channel-counters.ts";
import { RELEASE_TOKENS_MAX, TOKENS } from "../../../../directors/channel/messages.ts";
import { signalCounts } from "../../../../drivers/shared-memory/doorbell.ts";
import { FRAME_BYTES, RING_WORD, threadNumber } from "../../../../drivers/shared-memory/layout.ts";
import { ScsiTask, STATUS, TASK_ATTRIBUTE } from "../../../../src/scsi/task.ts";
import { type ChannelPair, makePair, pattern, submit } from "../../../support/channel-pair.ts";
import { gather, UNIT_COMMAND, type UnitResult } from "../../../support/memory-unit.ts";

const C = CHANNEL_COUNTERS.slots;

const arbitraryCommand = fc
  .record({
    command: fc.constantFrom(...Object.values(UNIT_COMMAND)),
    offset: fc.integer({ min: 0, max: 80_000 }),
    bytes: fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 60_000, max: 100_000 })),
    seed: fc.nat(255),
  })
  .map((command) => (command.command === UNIT_COMMAND.nothing ? { ...command, bytes: 0 } : command));

/** Messages that ever went from the director that is asked to the owner. */
function messagesSent({ global }: ChannelPair): number {
  return global.i32[global.layout.channelRings[0]![1]!.address / 4 + RING_WORD.head]!;
}

/** Times that the asked director looked at the owner's doorbell, to ring it if it slept. */
function timesRung({ global }: ChannelPair): number {
  const { sent, saved } = signalCounts(global, threadNumber(global.layout, "director", 0));
  return sent + saved;
}

/** Reads one byte of each of `count` blocks; they are answered, and pinned until released. */
function answeredReads(pair: ChannelPair, count: number): ScsiTask[] {
  const reads: ScsiTask[] = [];
  for (let n = 0; n < count; n += 1) {
    const read = { command: UNIT_COMMAND.read, offset: n * FRAME_BYTES, bytes: 1, seed: 0 };
    submit(pair.asked, pair.asked.channel.clientTo(1), read, (_result, task) => reads.push(task));
  }
  pair.settle();
  expect(reads.length).toBe(count);
  return reads;
}

afterEach(() => {
  vi.useRealTimers();
});

describe("channel between two directors", () => {
  test("answers random tasks as the owner does locally, and leaks no frame", () => {
    fc.assert(
      fc.property(fc.array(arbitraryCommand, { minLength: 1, maxLength: 25 }), fc.boolean(), (commands, tight) => {
        const unitBytes = 200_000;
        const pair = makePair({ unitBytes, frames: 1024, ...(tight ? { ringSlots: 2, ownerFrames: 256 } : {}) });
        const local = makePair({ unitBytes, frames: 256 }).asked;
        const remote: UnitResult[] = [];
        const expected: UnitResult[] = [];
        const client = pair.asked.channel.clientTo(1);
        const release: ScsiTask[] = [];
        commands.forEach((command, n) => {
          submit(pair.asked, client, command, (result, task) => {
            remote[n] = result;
            release.push(task);
          });
          submit(local, local.unit, command, (result, task) => {
            expected[n] = result;
            task.release();
          });
          local.unit.step();
        });
        // In order of arrival at the unit: the commands are ordered ones. Releases may be late.
        do {
          pair.settle();
          for (const task of release.splice(0)) task.release();
        } while (pair.asked.channel.inFlight > 0);
        pair.settle();
        expect(remote).toEqual(expected);
        expect(Buffer.compare(pair.owner.unit.bytes, local.unit.bytes)).toBe(0);
        expect([pair.asked.frames.taken.size, pair.owner.frames.taken.size]).toEqual([0, 0]);
        expect(pair.asked.channel.inFlight).toBe(0);
        expect(pair.asked.counters[C.requestsInFlight]).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    { lun: 16_383, attribute: TASK_ATTRIBUTE.headOfQueue, readFlag: true, writeFlag: false, expectedTransferBytes: 2 ** 31 - 1 },
    { lun: -1, attribute: TASK_ATTRIBUTE.untagged, readFlag: false, writeFlag: true, expectedTransferBytes: -1 },
  ])("carries the request as it came: $lun", (fields) => {
    const pair = makePair();
    const request = { nexus: 65_537, volume: 99, initiatorTaskTag: 0xffff_fffa, ...fields };
    const task = Object.assign(new ScsiTask(() => {}), request);
    pair.asked.channel.clientTo(1).submit(task);
    pair.settle();
    expect(pair.owner.unit.lastRequest).toEqual(request);
  });

  test("an expected length over 2 GiB arrives as one beyond every transfer, not as none", () => {
    const pair = makePair();
    const task = Object.assign(new ScsiTask(() => {}), { writeFlag: true, expectedTransferBytes: 2 ** 32 - 512 });
    pair.asked.channel.clientTo(1).submit(task);
    pair.settle();
    expect(pair.owner.unit.lastRequest).toMatchObject({ expectedTransferBytes: 2 ** 31 - 1 });
  });

  test("carries a transfer of the largest size, out and in, at any phase", () => {
    const pair = makePair();
    const client = pair.asked.channel.clientTo(1);
    const bytes = 4 * 2 ** 20;
    const write = { command: UNIT_COMMAND.write, offset: 1536, bytes, seed: 3 };
    const seen: UnitResult[] = [];
    submit(pair.asked, client, write, (result) => seen.push(result));
    pair.settle();
    let read: ScsiTask | undefined;
    submit(pair.asked, client, { ...write, command: UNIT_COMMAND.read }, (result, task) => {
      seen.push(result);
      read = task;
    });
    pair.settle();
    expect(seen[1]!.data).toBe(Buffer.from(pattern(write)).toString("base64"));
    expect(read!.dataIn.frameCount).toBe(1025);
    expect(pair.owner.frames.taken.size).toBe(1027); // pinned, and two list frames
    read!.release();
    pair.settle();
    expect([pair.asked.frames.taken.size, pair.owner.frames.taken.size]).toEqual([0, 0]);
    expect(pair.owner.counters[C.bytesCopied]).toBe(bytes);
  });

  test("keeps the owner's data-in frames as they are until the release", () => {
    const pair = makePair();
    const client = pair.asked.channel.clientTo(1);
    pair.owner.unit.bytes.fill(0x5a);
    let read: ScsiTask | undefined;
    submit(pair.asked, client, { command: UNIT_COMMAND.read, offset: 100, bytes: 5000, seed: 0 }, (_result, task) => {
      read = task;
    });
    pair.settle();
    pair.settle();
    expect(gather(pair.asked.frames, read!.dataIn).every((byte) => byte === 0x5a)).toBe(true);
    read!.release();
    read!.release();
    pair.settle();
    expect(pair.owner.frames.taken.size).toBe(0);
  });

  test("sends the releases of a turn in few messages, which wake nobody", () => {
    vi.useFakeTimers();
    const pair = makePair();
    const reads = answeredReads(pair, 2 * RELEASE_TOKENS_MAX + 1);
    const before = { messages: messagesSent(pair), rung: timesRung(pair) };
    for (const task of reads) task.release();
    pair.asked.channel.flush();
    expect(messagesSent(pair) - before.messages).toBe(3);
    expect(timesRung(pair)).toBe(before.rung);
    pair.owner.channel.drain();
    expect(pair.owner.frames.taken.size).toBe(0);
  });

  test("tells the owner of releases in the end, when no request takes them along", () => {
    vi.useFakeTimers();
    const pair = makePair();
    const [first, second] = answeredReads(pair, 2);
    const before = timesRung(pair);
    first!.release();
    pair.asked.channel.flush();
    second!.release();
    pair.asked.channel.flush();
    expect(timesRung(pair)).toBe(before);
    vi.runAllTimers();
    expect(timesRung(pair)).toBe(before + 1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("lets releases leave before the request that follows them, under one ring", () => {
    vi.useFakeTimers();
    const pair = makePair({ ownerFrames: 256 });
    const client = pair.asked.channel.clientTo(1);
    // All of the owner's memory is pinned: the write finds room only if the releases are ahead of it.
    const reads = answeredReads(pair, 256);
    const before = timesRung(pair);
    for (const task of reads) task.release();
    const statuses: number[] = [];
    const write = { command: UNIT_COMMAND.write, offset: 0, bytes: 256 * FRAME_BYTES, seed: 1 };
    submit(pair.asked, client, write, ({ status }) => statuses.push(status));
    pair.asked.channel.flush();
    expect(timesRung(pair)).toBe(before + 1);
    pair.owner.channel.drain();
    expect(pair.owner.counters[C.frameWaits]).toBe(0);
    pair.settle();
    expect(statuses).toEqual([STATUS.GOOD]);
    vi.runAllTimers();
    expect(timesRung(pair)).toBe(before + 1);
  });

  test("whatever the order in which both ends get their turns, each command ends once and every frame comes back", () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: arbitraryCommand.map((command) => ({ do: "submit" as const, command })) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const), pick: fc.nat() }) },
      {
        weight: 6,
        arbitrary: fc.constantFrom(
          { do: "askedFlush" as const },
          { do: "askedDrain" as const },
          { do: "ownerFlush" as const },
          { do: "ownerDrain" as const },
          { do: "ownerWorks" as const },
        ),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.constantFrom(2, 4, 64), (steps, ringSlots) => {
        const pair = makePair({ ringSlots, frames: 4096, ownerFrames: 256, unitBytes: 200_000 });
        const client = pair.asked.channel.clientTo(1);
        const unreleased: ScsiTask[] = [];
        const ends = new Map<number, number>();
        let submitted = 0;
        for (const each of steps) {
          if (each.do === "submit") {
            const number = submitted++;
            submit(pair.asked, client, each.command, (_result, task) => {
              ends.set(number, (ends.get(number) ?? 0) + 1);
              unreleased.push(task);
            });
          } else if (each.do === "release") {
            const [task] = unreleased.splice(each.pick % Math.max(1, unreleased.length), 1);
            task?.release();
          } else if (each.do === "askedFlush") pair.asked.channel.flush();
          else if (each.do === "askedDrain") pair.asked.channel.drain();
          else if (each.do === "ownerFlush") pair.owner.channel.flush();
          else if (each.do === "ownerDrain") pair.owner.channel.drain();
          else pair.owner.unit.step();
        }
        do {
          pair.settle();
          for (const task of unreleased.splice(0)) task.release();
        } while (pair.asked.channel.inFlight > 0);
        pair.settle();
        expect([...ends.values()]).toEqual(Array.from({ length: submitted }, () => 1));
        expect([pair.asked.frames.taken.size, pair.owner.frames.taken.size]).toEqual([0, 0]);
        expect(pair.asked.counters[C.requestsInFlight]).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("counts what is not answered: neither what waits for a token, nor what was answered and is not released", () => {
    const pair = makePair();
    const reads: ScsiTask[] = [];
    for (let n = 0; n < TOKENS + 5; n += 1) {
      const read = { command: UNIT_COMMAND.read, offset: 0, bytes: 1, seed: 0 };
      submit(pair.asked, pair.asked.channel.clientTo(1), read, (_result, task) => reads.push(task));
    }
    expect(pair.asked.channel.unanswered).toBe(TOKENS);
    expect(pair.owner.channel.unanswered).toBe(0);
    pair.settle();
    expect(pair.asked.channel.unanswered).toBe(0);
    for (const task of reads.splice(0, 3)) task.release();
    expect(pair.asked.channel.unanswered).toBe(3); // those that waited
    pair.settle();
    for (const task of reads.splice(0)) task.release();
    pair.settle();
    expect(pair.asked.channel.unanswered).toBe(0);
  });

  test("makes what finds no token wait its turn, and loses none of it", () => {
    const pair = makePair({ ringSlots: 16 });
    const client = pair.asked.channel.clientTo(1);
    const order: number[] = [];
    const command = { command: UNIT_COMMAND.nothing, offset: 0, bytes: 0, seed: 0 };
    for (let n = 0; n < TOKENS + 3; n += 1) {
      submit(pair.asked, client, command, ({ status }) => {
        expect(status).toBe(STATUS.GOOD);
        order.push(n);
      });
    }
    expect(order).toEqual([]);
    expect(pair.asked.counters[C.requestWaits]).toBe(3);
    expect(pair.asked.counters[C.ringFullWaits]).toBe(TOKENS - 16);
    pair.settle();
    pair.settle();
    expect(order).toEqual(Array.from({ length: TOKENS + 3 }, (_, n) => n));
  });

  test("makes a large write wait while there is no frame to list its frames in", () => {
    const pair = makePair({ frames: 256, ownerFrames: 4096 });
    const client = pair.asked.channel.clientTo(1);
    const statuses: number[] = [];
    const write = { command: UNIT_COMMAND.write, offset: 0, bytes: 200 * 4096, seed: 1 };
    const hoard = new Int32Array(56);
    pair.asked.frames.tryTake(56, hoard, 0);
    submit(pair.asked, client, write, ({ status }) => statuses.push(status));
    pair.settle();
    expect(statuses).toEqual([]);
    for (const frame of hoard) pair.asked.frames.give(frame);
    pair.settle();
    expect(statuses).toEqual([STATUS.GOOD]);
    expect(pair.asked.frames.taken.size).toBe(0);
  });

  test("lets nothing overtake a write that waits for the owner's frames", () => {
    const pair = makePair({ ownerFrames: 256 });
    const client = pair.asked.channel.clientTo(1);
    const hoard = new Int32Array(256);
    pair.owner.frames.tryTake(256, hoard, 0);
    const order: string[] = [];
    submit(pair.asked, client, { command: UNIT_COMMAND.write, offset: 0, bytes: 8192, seed: 1 }, () => order.push("write"));
    submit(pair.asked, client, { command: UNIT_COMMAND.nothing, offset: 0, bytes: 0, seed: 0 }, () => order.push("nothing"));
    client.resetLogicalUnit(7, 0, (exists) => order.push(`reset ${exists}`));
    client.nexusClosed(7);
    pair.settle();
    expect(order).toEqual([]);
    expect(pair.owner.unit.log).toEqual([]);
    for (const frame of hoard) pair.owner.frames.give(frame);
    pair.settle();
    expect(pair.owner.unit.log).toEqual(["task 7", "task 7", "reset 7 0", "closed 7"]);
    expect(order.sort()).toEqual(["nothing", "reset true", "write"]);
    expect(pair.owner.counters[C.frameWaits]).toBe(2);
  });

  test("lets writes that cross each other go on in what the front end's shares leave free", () => {
    // 7 × 256 frames are held on each side; the shares (director.worker.ts) leave room for one transfer at least.
    const pair = makePair({ frames: 2304, ownerFrames: 2304 });
    const done: number[] = [];
    for (const [from, to] of [
      [pair.asked, 1],
      [pair.owner, 0],
    ] as const) {
      for (let n = 0; n < 7; n += 1) {
        submit(
          from,
          from.channel.clientTo(to),
          { command: UNIT_COMMAND.write, offset: 0, bytes: 2 ** 20, seed: n },
          ({ status }) => done.push(status),
        );
      }
    }
    pair.settle();
    expect(done.length).toBe(14);
    expect([pair.asked.frames.taken.size, pair.owner.frames.taken.size]).toEqual([0, 0]);
  });

  test.each([1, 100, 101, 216, 217, 223])("carries an initiator name of %i bytes", (length) => {
    const pair = makePair({ ringSlots: 2 });
    const client = pair.asked.channel.clientTo(1);
    const initiatorName = `iqn.${"abcdefghij".repeat(23)}`.slice(0, length);
    client.nexusOpened({ nexus: 65_540, initiatorName, isid: "00023d0a1b2c", directorIndex: 0 });
    client.nexusClosed(65_540);
    pair.settle();
    expect(pair.owner.unit.log).toEqual([`opened 65540 ${initiatorName} 00023d0a1b2c 0`, "closed 65540"]);
  });

  test("tells of a reset of a unit that does not exist", () => {
    const pair = makePair();
    const answers: boolean[] = [];
    pair.asked.channel.clientTo(1).resetLogicalUnit(1, 9, (exists) => answers.push(exists));
    pair.settle();
    expect(answers).toEqual([false]);
  });

  test("drops a message under another epoch than its partner's", () => {
    const pair = makePair();
    submit(pair.asked, pair.asked.channel.clientTo(1), { command: UNIT_COMMAND.nothing, offset: 0, bytes: 0, seed: 0 }, () => {});
    pair.asked.channel.flush();
    const slot = pair.global.layout.channelRings[0]![1]!.address / 4 + 64;
    expect(pair.global.i32[slot]).toBe(5);
    pair.global.i32[slot] = 4;
    pair.settle();
    expect([pair.owner.unit.log, pair.owner.counters[C.messagesDropped]]).toEqual([[], 1]);
  });
});
