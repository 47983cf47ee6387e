/**
 * One drive more than a pool can do without is pulled while a host writes: what the others and the journal have is read on, what
 * is not there is told, and all is there again when a drive is back.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { cdb16 } from "../support/crash/crash-load.ts";
import { type CommandAnswer, PipelinedSession } from "../support/pipelined-session.ts";
import { Random } from "../support/random.ts";

const BLOCKS = 2048;
const BLOCK_BYTES = 4096;
const BLOCK_SECTORS = 8;
const DEPTH = 8;
const SEED = Number(process.env.VARRAY_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const LUN = 0;
const MEDIUM_ERROR = "03/11/00";
const WRITE_PROTECTED = "07/27/00";
/** In transition, and what a path is told when that is over. */
const ASK_AGAIN = ["02/04/0a", "06/2a/06"];

interface Lost {
  readonly ranges: readonly { readonly firstLba: number; readonly lbaCount: number }[];
  readonly unlistedBytes: number;
}

/** Blocks as a host knows them: what was acknowledged last, and what may be there instead. */
class Host {
  readonly acknowledged = new Uint32Array(BLOCKS);
  readonly #tried = new Uint32Array(BLOCKS);
  readonly #array: RunningArray;

  constructor(array: RunningArray) {
    this.#array = array;
  }

  /** Writes blocks that `next` names, until it names none. @returns how often each sense came */
  async write(next: () => number | undefined): Promise<Map<string, number>> {
    const senses = new Map<string, number>();
    await this.#each(0, next, async (session, block) => {
      const version = this.#tried[block]! + 1;
      this.#tried[block] = version;
      const dataOut = contentOf(block, version);
      const { status, sense } = await asked(() =>
        session.execute(cdb16(0x8a, block * BLOCK_SECTORS, BLOCK_SECTORS), { lun: LUN, dataOut }),
      );
      if (status === 0) this.acknowledged[block] = version;
      senses.set(sense, (senses.get(sense) ?? 0) + 1);
    });
    return senses;
  }

  /** Reads everything. @returns the blocks that could not be read */
  async read(portal: number): Promise<number[]> {
    const unreadable: number[] = [];
    let block = 0;
    const next = () => (block < BLOCKS ? block++ : undefined);
    await this.#each(portal, next, async (session, at) => {
      const { status, sense, data } = await asked(() =>
        session.execute(cdb16(0x88, at * BLOCK_SECTORS, BLOCK_SECTORS), { lun: LUN, readBytes: BLOCK_BYTES }),
      );
      if (sense === MEDIUM_ERROR) {
        unreadable.push(at);
        return;
      }
      const says = `block ${at} at portal ${portal}, seed ${SEED}`;
      expect([status, sense], says).toEqual([0, ""]);
      const version = data.readUInt32LE(0);
      expect(data.equals(contentOf(at, version)), says).toBe(true);
      expect(version, says).toBeGreaterThanOrEqual(this.acknowledged[at]!);
      expect(version, says).toBeLessThanOrEqual(this.#tried[at]!);
      // What was read stays.
      this.acknowledged[at] = version;
    });
    return unreadable.sort((a, b) => a - b);
  }

  async #each(
    portal: number,
    next: () => number | undefined,
    work: (session: PipelinedSession, block: number) => Promise<void>,
  ): Promise<void> {
    const { portalPorts, targetName } = this.#array;
    const session = await PipelinedSession.open({ port: portalPorts[portal]!, targetName });
    const busy = new Set<number>();
    try {
      await session.testUnitReady(LUN);
      const worker = async (): Promise<void> => {
        for (let block = next(); block !== undefined; block = next()) {
          if (busy.has(block)) continue;
          busy.add(block);
          await work(session, block);
          busy.delete(block);
        }
      };
      await Promise.all(Array.from({ length: DEPTH }, worker));
    } finally {
      session.close();
    }
  }
}

function contentOf(block: number, version: number): Buffer {
  const content = Buffer.alloc(BLOCK_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 8) content.writeUInt32LE(block, content.writeUInt32LE(version, at));
  return content;
}

async function asked(ask: () => Promise<CommandAnswer>): Promise<CommandAnswer> {
  for (let n = 0; ; n++) {
    const answer = await ask();
    if (!ASK_AGAIN.includes(answer.sense) || n > 600) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** One story, told in order: each test goes on where the one before it ended. */
describe.sequential("two drives of a pool that can do without one", () => {
  let array: RunningArray;
  let host: Host;
  beforeAll(async () => {
    array = await startArray();
    host = new Host(array);
    let block = 0;
    await host.write(() => (block < BLOCKS ? block++ : undefined));
    await array.destage("A");
  });
  afterAll(() => array?.remove());

  const post = async (path: string): Promise<number> => (await array.api(`/api/v1/${path}`, { method: "POST" })).status;
  const unreadable = async (): Promise<Lost | undefined> =>
    ((await (await array.api("/api/v1/pools/A")).json()) as { unreadable?: Lost }).unreadable;

  async function eventually(what: string, is: () => Promise<boolean>): Promise<void> {
    for (let n = 0; n < 600; n++) {
      if (await is()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not in a minute: ${what}; ${JSON.stringify(await array.pool("A"))}`);
  }

  test("pulled while a host writes: it is told WRITE PROTECTED, and nothing else", async () => {
    const random = new Random(SEED);
    let isReadOnly = false;
    // Half of it: what is written may all be in the journal, and is read from there.
    const load = host.write(() => (isReadOnly ? undefined : random.between(0, BLOCKS / 2 - 1)));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await post("drives/01/pull")).toBe(200);
    // The one that is noticed first is out, and can't come back without the other.
    await eventually("the first is out", async () => (await array.pool("A")).drives[1]!.state === "missing");
    expect(await post("drives/03/pull")).toBe(200);
    await eventually("it is read-only", async () => (await array.pool("A")).state === "readonly");
    isReadOnly = true;
    const senses = await load;
    expect([...senses.keys()].filter((sense) => sense !== "" && sense !== WRITE_PROTECTED)).toEqual([]);
    let block = 0;
    const refused = await host.write(() => (block < 32 ? block++ : undefined));
    expect([...refused]).toEqual([[WRITE_PROTECTED, 32]]);
  });

  test("the rest is read at both portals, and what can't be is told, by LBA", async () => {
    const found = await host.read(0);
    expect(found.length).toBeGreaterThan(0);
    expect(found.length).toBeLessThan(BLOCKS);
    expect(await host.read(1)).toEqual(found);
    await eventually("it is told", async () => (await unreadable()) !== undefined);
    const { ranges, unlistedBytes } = (await unreadable())!;
    const told = ranges.flatMap(({ firstLba, lbaCount }) =>
      Array.from({ length: lbaCount / BLOCK_SECTORS }, (_, n) => firstLba / BLOCK_SECTORS + n),
    );
    expect(told.length + unlistedBytes / BLOCK_BYTES).toBe(found.length);
    expect(told.filter((block) => !found.includes(block))).toEqual([]);
  });

  test("changes of the pool are refused, changes of the array are not", async () => {
    expect((await array.api("/api/v1/pools/A/destage", { method: "POST" })).status).toBe(409);
    const added = await array.api("/api/v1/hosts", {
      method: "POST",
      body: { name: "host-1", initiatorName: "iqn.2026-11.test:host-1" },
    });
    expect(added.status).toBe(201);
  });

  test("one put back: all is there, and it takes writes again", async () => {
    expect(await post("drives/03/insert")).toBe(200);
    await eventually("it is served whole", async () => (await array.pool("A")).state === "degraded");
    expect(await host.read(0)).toEqual([]);
    const random = new Random(SEED + 1);
    let left = 500;
    const senses = await host.write(() => (left-- > 0 ? random.between(0, BLOCKS - 1) : undefined));
    expect([...senses.keys()]).toEqual([""]);
    expect(await post("drives/01/insert")).toBe(200);
    await eventually("it has both", async () => (await array.pool("A")).state === "optimal");
    expect(await host.read(1)).toEqual([]);
  });
});
