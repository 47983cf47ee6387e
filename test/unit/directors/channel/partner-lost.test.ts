/**
 * Two directors with targets, device servers and the channel between them, in one thread; one of them dies at any point.
 * What hosts were told is true, nothing is executed twice, nothing that a dead director asked for is executed, no frame is lost.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Channel } from "../../../../directors/channel/channel.ts";
import { CHANNEL_COUNTERS } from "../../../../directors/channel/channel-counters.ts";
import type { DirectorLife } from "../../../../directors/director-messages.ts";
import { TurnEnd } from "../../../../directors/turn-end.ts";
import { counterBlock } from "../../../../drivers/shared-memory/counters.ts";
import { raiseThreadEpoch } from "../../../../drivers/shared-memory/epoch.ts";
import { createGlobalMemory } from "../../../../drivers/shared-memory/global-memory.ts";
import { CHANNEL_REQUEST_WORD, channelRequestWords, threadNumber } from "../../../../drivers/shared-memory/layout.ts";
import type { Routing } from "../../../../src/control/contract.ts";
import { READ_10 } from "../../../../src/scsi/cdb/read.ts";
import { RESERVE_6 } from "../../../../src/scsi/cdb/reserve.ts";
import { TEST_UNIT_READY } from "../../../../src/scsi/cdb/test-unit-ready.ts";
import { UNMAP } from "../../../../src/scsi/cdb/unmap.ts";
import { WRITE_10 } from "../../../../src/scsi/cdb/write.ts";
import { WRITE_SAME_10 } from "../../../../src/scsi/cdb/write-same.ts";
import { DeviceServer } from "../../../../src/scsi/device-server.ts";
import { HELD_MICROSECONDS } from "../../../../src/scsi/held-tasks.ts";
import { Target } from "../../../../src/scsi/target.ts";
import { STATUS } from "../../../../src/scsi/task.ts";
import type { BlockIo } from "../../../../src/volume/block-io.ts";
import { CountedFrames } from "../../../support/counted-frames.ts";
import { MemoryBlocks } from "../../../support/memory-blocks.ts";
import { type Answer, ScsiInitiator } from "../../../support/scsi-initiator.ts";

const FRAMES = 512;
const VOLUME_BYTES = 128 * 4096;
const C = CHANNEL_COUNTERS.slots;

/** Keeps what was written, in order: the value, and who asked. */
class WrittenBlocks extends MemoryBlocks {
  readonly written: { value: number; nexus: number; request: number; requesterEpoch: number; block: number }[] = [];
  readonly #frames: CountedFrames;

  constructor(frames: CountedFrames) {
    super(frames);
    this.#frames = frames;
  }

  override write(io: BlockIo): void {
    const { nexus, request, requesterEpoch, offsetBytes, run } = io;
    const value = this.#frames.view(run.frames[0]!).readUInt32LE(run.phase);
    this.written.push({ value, nexus, request, requesterEpoch, block: offsetBytes / 4096 });
    super.write(io);
  }
}

interface Director {
  readonly frames: CountedFrames;
  readonly blocks: WrittenBlocks;
  readonly server: DeviceServer;
  readonly channel: Channel;
  readonly target: Target;
}

/** Volume 1 is LUN 0, director 1's; volume 2 is LUN 1, director 0's. */
class TwoDirectors {
  readonly global;
  readonly directors: [Director, Director];
  ringSlots: number;
  now = 1e9;
  /** As main knows them. */
  readonly #lives: DirectorLife[];

  constructor(ringSlots = 1024) {
    this.ringSlots = ringSlots;
    this.global = createGlobalMemory({
      directorCount: 2,
      poolCount: 0,
      driveCount: 0,
      poolReachedBy: [],
      frameCount: 4 * FRAMES,
      stagingBytesPerPool: 0,
      mailboxBytes: 0,
      channelRingSlots: ringSlots,
    }).global;
    this.global.clock.nowMicroseconds = () => this.now;
    this.#lives = [this.#raise(0), this.#raise(1)];
    this.directors = [this.#start(0, 0), this.#start(1, FRAMES)];
    this.directors[1].blocks.addVolume(1, VOLUME_BYTES, 4096);
    this.directors[0].blocks.addVolume(2, VOLUME_BYTES, 4096);
    this.route({});
  }

  #raise(director: number): DirectorLife {
    return { director, epoch: raiseThreadEpoch(this.global, threadNumber(this.global.layout, "director", director)) };
  }

  #start(directorIndex: 0 | 1, firstFrame: number): Director {
    const { global } = this;
    const frames = new CountedFrames(global, firstFrame, FRAMES);
    const blocks = new WrittenBlocks(frames);
    const ports = [0, 1].map((index) => ({ directorIndex: index, groupTag: index + 1 }));
    const server = new DeviceServer({
      blocks,
      frames,
      global,
      identity: { targetName: "iqn.2026-11.test:array", ports, directorIndex },
    });
    const turnEnd = new TurnEnd(() => {});
    const onPartnerBack = (partner: Parameters<Target["announceNexuses"]>[0]) => target.announceNexuses(partner);
    const channel = new Channel({
      global,
      directorIndex,
      frames,
      server,
      turnEnd,
      executed: server.executed,
      onPartnerBack,
      partners: [this.#lives[1 - directorIndex]!],
    });
    const remote = (index: number) => channel.clientTo(index);
    const target = new Target({ directorIndex, directorCount: 2, frames, global, local: server, remote });
    return { frames, blocks, server, channel, target };
  }

  route(
    change: Partial<Routing["volumes"][number]>,
    directorsDown: readonly number[] = [],
    to: readonly number[] = [0, 1],
  ): void {
    const luns = [
      { lun: 0, volume: 1 },
      { lun: 1, volume: 2 },
    ];
    const volumes = [
      { volume: 1, pool: 1, owner: 1, logicalBlockBytes: 4096, ...change },
      { volume: 2, pool: 0, owner: 0, logicalBlockBytes: 4096 },
    ];
    const array = {
      formatVersion: 1,
      version: 1,
      arrayId: "array",
      targetName: "iqn.2026-11.test:array",
      nextVolume: 10,
      hosts: [],
      allowListOnly: false,
      luns,
    };
    for (const director of to) this.directors[director as 0 | 1].target.setRouting({ array, volumes, directorsDown });
  }

  /** A host whose unit attentions are told and heard. */
  host(directorIndex: 0 | 1, session: number): ScsiInitiator {
    const { target, frames } = this.directors[directorIndex];
    const host = new ScsiInitiator(target, frames, directorIndex * 65_536 + session);
    for (const lun of [0, 1, 0, 1]) {
      host.send(TEST_UNIT_READY, {}, { lun });
      this.settle();
    }
    return host;
  }

  settle(alive: readonly number[] = [0, 1]): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const director of alive) {
        const { channel, frames } = this.directors[director as 0 | 1];
        channel.flush();
        if (channel.drain()) moved = true;
        if (frames.serveWaiters()) moved = true;
      }
    }
  }

  /** Main: fences director 1 and joins it; director 0 is told. Nothing of director 1 runs from here on. */
  loseOne(): Promise<void> {
    this.#raise(1);
    return this.directors[0].channel.partnerLost(1);
  }

  /** Director 0 starts anew, and has director 1 fenced before it is through with that. */
  startBesideOneThatDies(): void {
    this.#lives[0] = this.#raise(0);
    this.#raise(1);
    this.directors[0] = this.#start(0, 2 * FRAMES);
  }

  /** Director 1 starts anew, and is fenced before director 0 hears that it is back. */
  returnAndDie(): void {
    const life = this.#raise(1);
    this.#raise(1);
    this.directors[0].channel.partnerBack(life);
  }

  /** Director 0 recovers volume 1: what the journal tells of requests, and its data. */
  takeOver(recovered: readonly { nexus: number; request: number; requesterEpoch: number }[]): void {
    const [survivor, dead] = this.directors;
    for (const request of recovered) if (request.request !== 0) survivor.server.executed.found(request);
    survivor.blocks.addVolume(1, VOLUME_BYTES, 4096);
    survivor.blocks.bytes.set(1, dead.blocks.bytes.get(1)!);
    survivor.server.adopt([1]);
    this.route({ owner: 0 }, [1], [0]);
    this.settle([0]);
  }

  /** Director 1 starts anew, and is given its volume back. */
  giveBack(): void {
    this.#lives[1] = this.#raise(1);
    this.directors[1] = this.#start(1, 2 * FRAMES);
    this.directors[0].channel.partnerBack(this.#lives[1]);
    this.route({ owner: 0 });
    this.settle();
    this.route({ owner: 0, access: "transitioning" });
    const [from, to] = this.directors;
    from.server.release([1], () => {
      to.blocks.addVolume(1, VOLUME_BYTES, 4096);
      to.blocks.bytes.set(1, from.blocks.bytes.get(1)!);
      from.blocks.removeVolume(1);
    });
    this.settle();
    to.server.adopt([1]);
    this.route({ owner: 1 });
    this.settle();
  }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function data(value: number): Uint8Array {
  const bytes = Buffer.alloc(4096, value & 0xff);
  bytes.writeUInt32LE(value);
  return bytes;
}

interface Sent {
  readonly value: number;
  readonly answer: Answer;
}

type Action =
  | { readonly kind: "near" | "far" | "through"; readonly block: number }
  | { readonly kind: "flush" | "drain"; readonly director: 0 | 1 };
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constantFrom("near", "far", "through"), block: fc.nat(3) }),
  fc.record({ kind: fc.constantFrom("flush", "drain"), director: fc.constantFrom(0, 1) }),
) as fc.Arbitrary<Action>;

describe("a director that dies at any point", () => {
  test.each([
    ["the journal has all that it executed", true, false],
    ["its journal was trimmed: only the requests' table tells", false, false],
    ["it died between the journal and the table", true, true],
  ] as const)("has what others asked of it executed once: %s", (_name, journal, tableLost) => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), fc.constantFrom(2, 4, 1024), (actions, ringSlots) => {
        const array = new TwoDirectors(ringSlots);
        const [survivor, dead] = array.directors;
        const far = array.host(0, 1); // its host is at director 0, its volume at director 1
        const near = array.host(1, 2);
        const through = array.host(1, 3); // by director 1 to director 0's volume
        const sent: Sent[] = [];
        const lost: Sent[] = [];
        let value = 0;
        for (const one of actions) {
          if ("director" in one) {
            array.directors[one.director].channel[one.kind]();
            continue;
          }
          value += 1;
          const lun = one.kind === "through" ? 1 : 0;
          const host = { near, far, through }[one.kind];
          const answer = host.send(
            WRITE_10,
            { logicalBlockAddress: one.block, transferLength: 1 },
            { dataOut: data(value), lun },
          );
          (one.kind === "far" ? sent : lost).push({ value, answer });
        }
        const doneBefore = survivor.blocks.written.length;
        const recovered = dead.blocks.written.slice();
        if (tableLost) {
          for (let token = 0; token < 1024; token += 1)
            array.global.i32[channelRequestWords(array.global.layout, 0, 1, token) + CHANNEL_REQUEST_WORD.done] = 0;
        }
        void array.loseOne();
        array.settle([0]);
        // Nothing that the dead director asked for is executed any more, and nothing of it is kept.
        expect(survivor.blocks.written.length).toBe(doneBefore);
        array.takeOver(journal ? recovered : []);
        const executed = [...recovered, ...survivor.blocks.written].map((write) => write.value);
        for (const { value: one, answer } of sent) {
          expect(answer.completions).toBe(1);
          const times = executed.filter((other) => other === one).length;
          if (answer.status === STATUS.GOOD) expect(times).toBe(1);
          else expect([answer.sense, times]).toEqual(["06/2a/06", 0]);
        }
        expect(new Set(executed).size).toBe(executed.length);
        expect([survivor.frames.taken.size, array.directors[0].channel.inFlight]).toEqual([0, 0]);
        // It comes back, and everything goes on.
        array.giveBack();
        const again = far.send(WRITE_10, { transferLength: 1 }, { dataOut: data(1000), lun: 0 });
        array.settle();
        const once =
          again.status === STATUS.GOOD ? again : far.send(WRITE_10, { transferLength: 1 }, { dataOut: data(1000), lun: 0 });
        array.settle();
        expect(once.status).toBe(STATUS.GOOD);
        expect(array.directors[1].blocks.bytes.get(1)![0]).toBe(1000 & 0xff);
        expect([survivor.frames.taken.size, array.directors[1].frames.taken.size]).toEqual([0, 0]);
      }),
      { numRuns: 150 },
    );
  });

  test("a repeat does not undo what another host wrote after its first execution", () => {
    const array = new TwoDirectors();
    const far = array.host(0, 1);
    const near = array.host(1, 2);
    const first = far.send(WRITE_10, { transferLength: 1 }, { dataOut: data(1) });
    array.directors[0].channel.flush();
    array.directors[1].channel.drain(); // executed, its answer never leaves
    expect(near.send(WRITE_10, { transferLength: 1 }, { dataOut: data(2) }).status).toBe(STATUS.GOOD);
    const recovered = array.directors[1].blocks.written.slice();
    void array.loseOne();
    array.takeOver(recovered);
    expect(first.status).toBe(STATUS.GOOD);
    far.send(TEST_UNIT_READY);
    expect(far.send(READ_10, { transferLength: 1 }, { lun: 0 }).data[0]).toBe(2);
  });

  test("answers that it gave before it died count, and its frames are kept until they are sent", async () => {
    const array = new TwoDirectors();
    const far = array.host(0, 1);
    far.send(WRITE_10, { transferLength: 1 }, { dataOut: data(7) });
    array.settle();
    far.autoRelease = false;
    const read = far.send(READ_10, { transferLength: 1 });
    const other = far.send(TEST_UNIT_READY);
    array.directors[0].channel.flush();
    array.directors[1].channel.drain();
    array.directors[1].channel.flush(); // published, not yet taken
    let released = false;
    const lost = array.loseOne().then(() => {
      released = true;
    });
    await nextTurn();
    expect(released).toBe(false);
    expect([read.status, read.data[0], other.status]).toEqual([STATUS.GOOD, 7, STATUS.GOOD]);
    await array.directors[0].channel.partnerLost(1); // told twice: it is down already
    far.releaseAll();
    await lost;
    expect(array.directors[0].channel.inFlight).toBe(0);
  });

  test("nothing of a fenced director is begun, though main has not joined it yet", () => {
    const array = new TwoDirectors();
    const through = array.host(1, 3);
    const [owner] = array.directors;
    through.send(WRITE_10, { transferLength: 1 }, { dataOut: data(1), lun: 1 });
    array.directors[1].channel.flush();
    raiseThreadEpoch(array.global, threadNumber(array.global.layout, "director", 1));
    // It wakes up, and goes on as if nothing had been.
    through.send(WRITE_10, { transferLength: 1 }, { dataOut: data(2), lun: 1 });
    array.settle();
    expect(owner.blocks.written).toEqual([]);
    expect(counterBlock(array.global, "channel", 0)[C.messagesDropped]).toBe(2);
  });

  test("a write of it that waits for frames, or in several steps, goes no further", () => {
    const array = new TwoDirectors();
    const through = array.host(1, 3);
    const [owner] = array.directors;
    const hog = new Int32Array(FRAMES);
    owner.frames.tryTake(FRAMES - 1, hog, 0);
    through.send(WRITE_10, { transferLength: 2 }, { dataOut: new Uint8Array(8192).fill(1), lun: 1 }); // waits for two frames
    array.settle();
    for (let n = 0; n < 63; n += 1) owner.frames.give(hog[n]!);
    array.directors[0].blocks.held = true;
    raiseThreadEpoch(array.global, threadNumber(array.global.layout, "director", 1));
    owner.frames.serveWaiters();
    expect(owner.blocks.written).toEqual([]);
    void array.directors[0].channel.partnerLost(1);
    array.settle([0]);
    for (let n = 63; n < FRAMES - 1; n += 1) owner.frames.give(hog[n]!);
    expect([owner.blocks.written.length, owner.frames.taken.size]).toEqual([0, 0]);
  });

  test("WRITE SAME of a dead director stops between two pieces", () => {
    const array = new TwoDirectors();
    const through = array.host(1, 3);
    const [owner] = array.directors;
    owner.blocks.held = true;
    through.send(WRITE_SAME_10, { transferLength: 128 }, { dataOut: data(5), lun: 1 });
    array.settle();
    expect(owner.blocks.written.length).toBe(1);
    void array.loseOne();
    owner.blocks.held = false;
    while (owner.blocks.step());
    // Of two pieces of 256 KiB.
    expect(owner.blocks.written.length).toBe(1);
    expect(owner.frames.taken.size).toBe(0);
  });

  test("commands of several steps are left to their host to repeat; those that only ask are repeated", () => {
    const array = new TwoDirectors();
    const far = array.host(0, 1);
    const list = Buffer.alloc(24);
    list.writeUInt16BE(22, 0);
    list.writeUInt16BE(16, 2);
    list.writeUInt32BE(1, 16);
    const unmap = far.send(UNMAP, { parameterListLength: 24 }, { dataOut: list });
    const reserve = far.send(RESERVE_6, {});
    array.directors[0].channel.flush();
    void array.loseOne();
    expect([unmap.status, reserve.completions]).toEqual([STATUS.BUSY, 0]);
    array.takeOver([]);
    expect(reserve.sense).toBe("06/2a/06");
    expect(array.directors[0].frames.taken.size).toBe(0);
  });

  test("what can't be repeated in time is told so: hosts try again", () => {
    const array = new TwoDirectors();
    const far = array.host(0, 1);
    const write = far.send(WRITE_10, { transferLength: 1 }, { dataOut: data(1) });
    void array.loseOne();
    array.now += HELD_MICROSECONDS;
    array.directors[0].target.tick();
    expect(write.sense).toBe("02/04/0a");
    expect(array.directors[0].frames.taken.size).toBe(0);
  });

  test("a reset that it had not answered is done by the next owner", () => {
    const array = new TwoDirectors();
    const far = array.host(0, 1);
    const outcomes: boolean[] = [];
    array.directors[0].target.resetLogicalUnit(far.nexus, 0, (exists) => outcomes.push(exists));
    array.directors[0].channel.flush();
    void array.loseOne();
    expect(outcomes).toEqual([]);
    array.takeOver([]);
    expect(outcomes).toEqual([true]);
    expect(far.send(TEST_UNIT_READY).sense).toBe("06/29/03");
  });

  test("is lost like any other where its partner was starting meanwhile: what that one asks of it waits for the next owner", async () => {
    const array = new TwoDirectors();
    array.startBesideOneThatDies();
    array.route({}, [], [0]);
    const [survivor] = array.directors;
    const far = new ScsiInitiator(survivor.target, survivor.frames, 9);
    const write = far.send(WRITE_10, { transferLength: 1 }, { dataOut: data(1), lun: 0 });
    array.settle([0]);
    await survivor.channel.partnerLost(1);
    expect(write.completions).toBe(0);
    array.takeOver([]);
    expect([write.completions, survivor.channel.inFlight, survivor.frames.taken.size]).toEqual([1, 0, 0]);
  });

  test("is lost like any other where it dies again before its partner hears that it is back", async () => {
    const array = new TwoDirectors();
    await array.loseOne();
    array.takeOver([]);
    array.returnAndDie();
    await array.directors[0].channel.partnerLost(1);
    // It comes back after all.
    array.giveBack();
    const answer = array.host(0, 1).send(TEST_UNIT_READY, {}, { lun: 0 });
    array.settle();
    expect(answer.status).toBe(STATUS.GOOD);
  });

  test("finds its partner's nexuses when it is back, and none of its own life before", () => {
    const array = new TwoDirectors();
    const far = array.host(0, 1);
    const near = array.host(1, 2);
    expect(near.send(RESERVE_6, {}, { lun: 1 }).completions).toBe(0);
    array.settle();
    expect(far.send(TEST_UNIT_READY, {}, { lun: 1 }).status).toBe(STATUS.RESERVATION_CONFLICT);
    void array.loseOne();
    // Its reservation went with its nexus.
    expect(far.send(TEST_UNIT_READY, {}, { lun: 1 }).status).toBe(STATUS.GOOD);
    array.takeOver([]);
    expect(far.send(RESERVE_6).sense).toBe("06/2a/06");
    expect(far.send(RESERVE_6).status).toBe(STATUS.GOOD);
    array.giveBack();
    const anew = array.host(1, 2);
    expect(anew.send(TEST_UNIT_READY).status).toBe(STATUS.RESERVATION_CONFLICT);
  });
});
