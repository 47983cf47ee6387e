/**
 * Pools that move on command while hosts write and read on both paths: no host sees an error, nothing is lost or stale.
 * A unit attention (ASYMMETRIC ACCESS STATE CHANGED) is no error: it says that the paths are others now, and the command is sent again.
 * `VARRAY_MOVE_ROUNDS` repeats it.
 */
import { afterEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { read10, write10 } from "../support/initiator.ts";
import { type CommandAnswer, type CommandOptions, PipelinedSession } from "../support/pipelined-session.ts";
import { Random } from "../support/random.ts";

const ROUNDS = Number(process.env.VARRAY_MOVE_ROUNDS ?? 3);
const SECTOR_BYTES = 512;
const SECTORS_PER_WORKER = 1024;
const SECTORS_MAX = 64;
const WORKERS = 3;
const ATTENTIONS_MAX = 4;

let array: RunningArray | undefined;
afterEach(async () => {
  await array?.remove();
  array = undefined;
});

/** Writes and reads back, in sectors of its own, through one portal, until `stop`. */
class Host {
  readonly problems: string[] = [];
  attentions = 0;
  verified = 0;
  #over = false;
  readonly #session: PipelinedSession;
  readonly #work: Promise<unknown>;

  static async start(lun: number, portal: number): Promise<Host> {
    const session = await PipelinedSession.open({ port: array!.portalPorts[portal]!, targetName: array!.targetName });
    await session.testUnitReady(lun);
    return new Host(session, lun, portal);
  }

  private constructor(session: PipelinedSession, lun: number, portal: number) {
    this.#session = session;
    const workers = Array.from({ length: WORKERS }, (_, worker) => this.#worker(lun, portal * WORKERS + worker));
    this.#work = Promise.all(workers);
  }

  async stop(): Promise<void> {
    this.#over = true;
    await this.#work;
    this.#session.close();
  }

  async #worker(lun: number, place: number): Promise<void> {
    const random = new Random(lun * 100 + place + 1);
    while (!this.#over && this.problems.length === 0) {
      const sectors = random.between(1, SECTORS_MAX);
      const sector = place * SECTORS_PER_WORKER + random.between(0, SECTORS_PER_WORKER - sectors);
      const dataOut = Buffer.alloc(sectors * SECTOR_BYTES, random.between(1, 255));
      await this.#good(write10(sector, sectors), { lun, dataOut });
      const { data } = await this.#good(read10(sector, sectors), { lun, readBytes: dataOut.length });
      if (!data.equals(dataOut)) this.problems.push(`sector ${sector} of LUN ${lun} is not as it was written`);
      this.verified += 1;
    }
  }

  async #good(cdb: Uint8Array, options: CommandOptions): Promise<CommandAnswer> {
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#session.execute(Buffer.from(cdb), options);
      if (answer.status === 0) return answer;
      if (!answer.sense.startsWith("06/2a/06") || attempt === ATTENTIONS_MAX) {
        this.problems.push(answer.status === undefined ? "the connection ended" : `status ${answer.status} ${answer.sense}`);
        return answer;
      }
      this.attentions += 1;
    }
  }
}

async function command(path: string, body?: object): Promise<void> {
  const response = await array!.api(path, { method: "POST", ...(body === undefined ? {} : { body }) });
  expect(response.status, await response.text()).toBe(200);
}

async function owners(): Promise<string[]> {
  const { pools } = (await (await array!.api("/api/v1/pools")).json()) as { pools: { owner: string }[] };
  return pools.map(({ owner }) => owner);
}

describe("pools that move under load", () => {
  test(`to the other director and back, ${ROUNDS} times, without an error on any path`, {
    timeout: 60_000 * (ROUNDS + 1),
  }, async () => {
    array = await startArray();
    const hosts = await Promise.all([Host.start(0, 0), Host.start(0, 1), Host.start(1, 0), Host.start(1, 1)]);
    for (let round = 0; round < ROUNDS; round++) {
      await command("/api/v1/pools/A/move", { to: "1B" });
      await command("/api/v1/pools/B/move", { to: "1A" });
      expect(await owners()).toEqual(["1B", "1A"]);
      await command("/api/v1/pools/A/move", { to: "1A" });
      await command("/api/v1/pools/B/move", { to: "1B" });
      expect(await owners()).toEqual(["1A", "1B"]);
    }
    const before = hosts.map(({ verified }) => verified);
    await expect.poll(() => hosts.every(({ verified }, n) => verified > before[n]!)).toBe(true);
    await Promise.all(hosts.map((host) => host.stop()));
    for (const host of hosts) {
      expect(host.problems).toEqual([]);
      expect(host.attentions).toBeGreaterThan(0);
    }
  });

  test("a director that is restarted: hosts at its partner's portal see no error, and all is as it was", {
    timeout: 60_000,
  }, async () => {
    array = await startArray();
    const hosts = await Promise.all([Host.start(0, 1), Host.start(1, 1)]);
    await command("/api/v1/directors/1A/restart");
    await expect.poll(owners, { timeout: 20_000 }).toEqual(["1A", "1B"]);
    await Promise.all(hosts.map((host) => host.stop()));
    for (const host of hosts) expect(host.problems).toEqual([]);
    const late = await Host.start(0, 0);
    await expect.poll(() => late.verified).toBeGreaterThan(3);
    await late.stop();
    expect(late.problems).toEqual([]);
  });
});
