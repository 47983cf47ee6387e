/**
 * A director that is restarted on command, as the hosts at its own portal see it: asked to log out (Asynchronous Message 1), told
 * that they are dropped if they don't, and served by the other path meanwhile. And initiators that are not ours.
 */
import { afterEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { Initiator } from "../support/initiator.ts";
import { hasTools, runToolBeside } from "../support/tools.ts";
import { TwoPathLoad } from "../support/two-paths/two-path-load.ts";

const SEED = Number(process.env.VARRAY_FAILOVER_SEED ?? Math.floor(Math.random() * 2 ** 31));
const WAIT = { timeout: 60_000, interval: 100 };
const LOAD_MILLISECONDS = 1000;
const PERF_MILLISECONDS = 45_000;
const SLEEPER = "iqn.2026-11.test:sleeper";

let array: RunningArray | undefined;
let load: TwoPathLoad | undefined;
afterEach(async () => {
  load?.close();
  await array?.remove();
  load = undefined;
  array = undefined;
});

function restart(): Promise<Response> {
  return array!.api("/api/v1/directors/1A/restart", { method: "POST" });
}

async function eventsOf(wanted: string): Promise<string[]> {
  const { events } = (await (await array!.api("/api/v1/events?limit=1000")).json()) as {
    events: { type: string; message: string }[];
  };
  return events.filter(({ type }) => type === wanted).map(({ message }) => message);
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

describe("a director that is restarted on command", () => {
  test("asks its sessions to log out, and ends those that don't; hosts with another path go on", {
    timeout: 180_000,
  }, async () => {
    array = await startArray();
    const { portalPorts, targetName } = array;
    load = new TwoPathLoad({
      ...{ ports: portalPorts, targetName, luns: [0, 1], sectors: 512, fillSectors: 8192 },
      ...{ hosts: 2, workersPerHost: 2, seed: SEED },
    });
    await load.open();
    const sleeper = await Initiator.open(portalPorts[0]!, { targetName, initiatorName: SLEEPER });
    const received: number[][] = [];
    let ended = false;
    sleeper.deliver = (pdu) => {
      if (pdu === undefined) ended = true;
      else if (pdu.name === "Asynchronous Message") received.push([pdu.fields.asyncEvent, pdu.fields.parameter1]);
    };
    load.start();
    await rest(LOAD_MILLISECONDS);
    const restarted = restart();
    await expect.poll(() => ended, WAIT).toBe(true);
    expect(received).toEqual([
      [1, 0],
      [2, sleeper.cid],
    ]);
    expect((await restarted).status).toBe(200);
    await expect.poll(() => load!.allPathsUp, WAIT).toBe(true);
    expect(await eventsOf("session.logout")).toContain(`session of ${SLEEPER} at 1A ended: its director is restarted on command`);
    await rest(LOAD_MILLISECONDS);
    const { violations } = await load.stopAndJudge();
    expect(violations, `seed ${SEED}\n${array.log.slice(-3000)}`).toEqual([]);
  });

  test.skipIf(!hasTools("iscsi-perf", "iscsi-ls"))(
    "libiscsi lives through it, comes back, and lives through a stop",
    {
      timeout: 180_000,
    },
    async () => {
      array = await startArray();
      const perf = runToolBeside("iscsi-perf", ["-t", "600", "-r", "-m", "16", array.lunUrl(0)], {
        timeoutMilliseconds: PERF_MILLISECONDS,
      });
      const sessions = (type: string) => async (): Promise<number> =>
        (await eventsOf(type)).filter((message) => message.includes("libiscsi:iscsi-perf")).length;
      await expect.poll(sessions("session.login"), WAIT).toBe(1);
      await rest(LOAD_MILLISECONDS);
      expect((await restart()).status).toBe(200);
      await expect.poll(sessions("session.login"), WAIT).toBe(2);
      const listed = await runToolBeside("iscsi-ls", ["-s", `iscsi://${array.portals[0]}`]);
      expect([listed.status, listed.output]).toEqual([0, expect.stringContaining("Lun:0")]);
      expect((await array.stop()).status).toBe(0);
      // Whether it gives up or tries to come back until it is ended: it says so, as no crash does.
      expect((await perf).output).toMatch(/finished\.|ABORTED!/);
    },
  );
});
