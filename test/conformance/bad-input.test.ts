/**
 * Bad input to a whole array over real TCP: a hostile session beside sessions that verify what they write, and a data folder
 * that was tampered with. Single rows of bad input are in test/unit/front-end, test/unit/scsi and test/unit/control; starts
 * with a bad configuration, a format that is not known and a folder that is held are in start.test.ts; more damage is in
 * damage.test.ts.
 *
 * VARRAY_FUZZ_SEED repeats a run, VARRAY_FUZZ_SESSIONS makes it longer.
 */
import { copyFileSync, existsSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LOGIN_REQUEST } from "../../directors/front-end/iscsi/pdu/login-request.ts";
import { SCSI_COMMAND } from "../../directors/front-end/iscsi/pdu/scsi-command.ts";
import { type RunningArray, startArray } from "../support/array.ts";
import { PduFuzzer } from "../support/fuzz-pdus.ts";
import { Initiator, write10 } from "../support/initiator.ts";
import { PipelinedSession } from "../support/pipelined-session.ts";
import { residentBytes } from "../support/process-memory.ts";
import { Random } from "../support/random.ts";
import { VerifyingSession } from "../support/verified-load.ts";

const SEED = Number(process.env.VARRAY_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));
const FUZZ_SESSIONS = Number(process.env.VARRAY_FUZZ_SESSIONS ?? 300);
const PDUS_PER_SESSION_MAX = 40;
/** LUN that the hostile session may write to; the verified ones are 0 and 1. */
const FUZZ_LUN = 2;
const AT_ONCE = 16;
const GROWTH_BYTES_MAX = 32 * 2 ** 20;
const FORGET_MILLISECONDS_MAX = 20_000;

describe(`a hostile session, seed ${SEED}`, () => {
  let array: RunningArray;
  let others: VerifyingSession[];
  let pid: number;
  /** What the process held once everything was warm. */
  let before: number;

  beforeAll(async () => {
    array = await startArray();
    pid = array.pid;
    const body = { name: "hostile", pool: "A", sizeBytes: 256 * 2 ** 20, lun: FUZZ_LUN };
    const made = await array.api("/api/v1/volumes", { method: "POST", body });
    expect(made.status, await made.text()).toBe(201);
    const warm = await verifying();
    await fuzz(new Random(SEED), 60);
    await sleep(2000);
    for (const session of warm) await session.stop();
    before = residentBytes(pid);
  }, 60_000);
  afterAll(async () => {
    await array?.remove();
  });
  beforeEach(async () => {
    others = await verifying();
  });
  /** Whatever a test did: the others went on with what they wrote, and nothing of the hostile ones is left. */
  afterEach(async () => {
    const verifiedBefore = others.map(({ verified }) => verified);
    await sleep(300);
    for (const session of others) await session.stop();
    expect(others.flatMap(({ problems }) => problems)).toEqual([]);
    for (const [index, { verified }] of others.entries()) expect(verified).toBeGreaterThan(verifiedBefore[index]!);
    expect(array.pid).toBe(pid);
    expect((await array.api("/healthz")).status).toBe(200);
    await forgotten();
    expect(residentBytes(pid) - before).toBeLessThan(GROWTH_BYTES_MAX);
  }, 60_000);

  /** Each director, and each LUN through either. */
  function verifying(): Promise<VerifyingSession[]> {
    const ways = [0, 1].flatMap((portal) => [0, 1].map((lun) => ({ portal, lun })));
    return Promise.all(
      ways.map(({ portal, lun }) =>
        VerifyingSession.start({
          port: array.portalPorts[portal]!,
          targetName: array.targetName,
          lun,
          seed: SEED + 2 * portal + lun,
          // No two of them write one place.
          firstSector: portal << 20,
        }),
      ),
    );
  }

  async function forgotten(): Promise<void> {
    const end = Date.now() + FORGET_MILLISECONDS_MAX;
    for (;;) {
      const { sessions } = (await (await array.api("/api/v1/sessions")).json()) as { sessions: unknown[] };
      if (sessions.length === 0) return;
      if (Date.now() > end) throw new Error(`${sessions.length} sessions are left`);
      await sleep(100);
    }
  }

  async function fuzz(random: Random, sessions: number): Promise<number> {
    let pdus = 0;
    let left = sessions;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (left > 0) {
          left -= 1;
          const sent = await fuzzSession(random);
          pdus += sent;
        }
      }),
    );
    return pdus;
  }

  async function fuzzSession(random: Random): Promise<number> {
    const keys = { HeaderDigest: random.chance(0.5) ? "CRC32C" : "None", MaxRecvDataSegmentLength: "65536" };
    const initiator = await Initiator.open(array.portalPorts[random.between(0, 1)]!, { targetName: array.targetName, keys });
    initiator.deliver = () => {};
    const fuzzer = new PduFuzzer(random, FUZZ_LUN);
    let pdus = 0;
    for (; pdus < PDUS_PER_SESSION_MAX && !initiator.isClosed; pdus += 1) {
      const bytes = fuzzer.next(initiator);
      const cut = random.chance(0.02) ? random.between(1, bytes.length) : bytes.length;
      initiator.raw(bytes.subarray(0, cut));
      if (cut < bytes.length) break;
      if (random.chance(0.2)) await sleep(1);
    }
    await sleep(random.between(0, 20));
    if (random.chance(0.5)) initiator.socket.resetAndDestroy();
    else initiator.destroy();
    return pdus;
  }

  test("of mutated and random PDUs", async () => {
    expect(await fuzz(new Random(SEED + 1), FUZZ_SESSIONS)).toBeGreaterThan(4 * FUZZ_SESSIONS);
  }, 120_000);

  test("whose login is cut off at every length", async () => {
    const whole = await loginBytes();
    await inTurns(whole.length, async (length) => {
      const initiator = await Initiator.connect(array.portalPorts[length % 2]!);
      initiator.raw(whole.subarray(0, length));
      initiator.socket.end();
      await gone(initiator);
    });
  }, 120_000);

  test("whose command with immediate data is cut off at every length", async () => {
    const data = Buffer.alloc(64, 0xa5);
    const whole = 48 + data.length;
    await inTurns(whole, async (length) => {
      const initiator = await Initiator.open(array.portalPorts[length % 2]!, { targetName: array.targetName });
      initiator.deliver = () => {};
      const cdb = Buffer.concat([write10(0, 1), Buffer.alloc(6)]).toString("hex");
      const fields = { final: true, write: true, attribute: 1, lun: BigInt(FUZZ_LUN) << 48n, initiatorTaskTag: 1, cdb };
      const bhs = SCSI_COMMAND.encode({
        ...fields,
        expectedDataTransferLength: 512,
        cmdSN: 1,
        expStatSN: 1,
        dataSegmentLength: 64,
      });
      initiator.raw(Buffer.concat([bhs, data]).subarray(0, length));
      if (length % 2 === 0) initiator.socket.end();
      else initiator.socket.resetAndDestroy();
      await gone(initiator);
    });
  }, 120_000);

  test("that logs in and out as fast as it can", async () => {
    await inTurns(500, async (n) => {
      const initiator = await Initiator.open(array.portalPorts[n % 2]!, { targetName: array.targetName });
      if (n % 3 !== 0) await initiator.logout({ immediate: true, reason: 0 });
      initiator.destroy();
    });
  }, 120_000);

  async function loginBytes(): Promise<Buffer> {
    const probe = await Initiator.connect(array.portalPorts[0]!);
    const data = Initiator.text({ ...probe.identity({ targetName: array.targetName }), HeaderDigest: "CRC32C,None" });
    probe.destroy();
    const fields = { immediate: true, transit: true, currentStage: 1, nextStage: 3, isid: "80cafe000001", cid: 1, cmdSN: 1 };
    return Buffer.concat([LOGIN_REQUEST.encode({ ...fields, dataSegmentLength: data.length }), data]);
  }

  async function inTurns(count: number, one: (n: number) => Promise<void>): Promise<void> {
    let next = 0;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < count) {
          next += 1;
          await one(next - 1);
        }
      }),
    );
  }

  async function gone(initiator: Initiator): Promise<void> {
    const end = Date.now() + FORGET_MILLISECONDS_MAX;
    while (!initiator.isClosed) {
      if (Date.now() > end) throw new Error("the connection is not closed");
      await sleep(2);
    }
  }
});

describe("a data folder that was tampered with", () => {
  let array: RunningArray;
  beforeEach(async () => {
    array = await startArray();
    // Something that only the journal holds.
    for (const lun of [0, 1]) {
      const session = await PipelinedSession.open({ port: array.portalPorts[0]!, targetName: array.targetName });
      await session.testUnitReady(lun);
      const written = await session.execute(write10(0, 8), { lun, dataOut: Buffer.alloc(4096, 0x5a) });
      expect(written.status).toBe(0);
      session.close();
    }
    await array.kill9();
  });
  afterEach(async () => {
    await array.remove();
  });

  function journal(pool: string): string {
    const folder = join(array.dataFolder, "journals");
    const name = readdirSync(folder).find((file) => file.startsWith(pool));
    if (name === undefined) throw new Error(`no journal of pool ${pool} in ${readdirSync(folder).join(" ")}`);
    return join(folder, name);
  }

  /** Pool A is refused and says which volume that costs; pool B serves what it has. */
  async function expectPoolARefused(why: RegExp): Promise<void> {
    await array.restart();
    expect(array.log).toMatch(why);
    expect(array.log).toContain("Volumes concerned: volume-0");
    const { pools } = (await (await array.api("/api/v1/pools")).json()) as { pools: { name: string; state: string }[] };
    expect(pools.map(({ name, state }) => `${name} ${state}`)).toEqual([
      "A failed",
      expect.stringMatching(/^B (online|open|optimal)$/),
    ]);
    const session = await PipelinedSession.open({ port: array.portalPorts[1]!, targetName: array.targetName });
    await session.testUnitReady(1);
    const read = Buffer.from([0x28, 0, 0, 0, 0, 0, 0, 0, 8, 0]);
    const { data } = await session.execute(read, { lun: 1, readBytes: 4096 });
    expect(data.equals(Buffer.alloc(4096, 0x5a))).toBe(true);
    session.close();
  }

  test("whose journal is another pool's", async () => {
    copyFileSync(journal("B"), journal("A"));
    await expectPoolARefused(/pool A is not opened: this is journal \w+, the drives belong to journal \w+/);
  });

  test("whose journal was cut short", async () => {
    truncateSync(journal("A"), 1 << 20);
    await expectPoolARefused(/pool A is not opened: the journal has 1048576 bytes/);
  });

  test("with a drive whose label is garbage: degraded, and the drive is left as it is", async () => {
    const meta = join(array.dataFolder, "drives", "01", "meta");
    for (const file of readdirSync(meta)) writeFileSync(join(meta, file), "garbage");
    await array.restart();
    expect(array.log).toContain("degraded");
    expect(existsSync(join(meta, "CURRENT"))).toBe(true);
  });
});
