/** A portal on a free port of loopback, before the real SCSI target and volumes in memory. */

import { FRONT_END_COUNTERS } from "../../directors/front-end/front-end-counters.ts";
import type { Access } from "../../directors/front-end/iscsi/login/access.ts";
import { Portal, type PortalOptions } from "../../directors/front-end/portal.ts";
import { TurnEnd } from "../../directors/turn-end.ts";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import type { Config } from "../../src/config/config.ts";
import type { ArrayEvent } from "../../src/control/contract.ts";
import type { CountedFrames } from "./counted-frames.ts";
import type { MemoryBlocks } from "./memory-blocks.ts";
import { TARGET_NAME, type TestTarget, testTarget } from "./scsi-target.ts";

export interface PortalFixture {
  readonly portal: Portal;
  readonly port: number;
  readonly blocks: MemoryBlocks;
  readonly frames: CountedFrames;
  readonly events: ArrayEvent[];
  readonly access: { -readonly [Name in keyof Access]: Access[Name] };
  /** Value of a counter of the front end. */
  counter(name: keyof typeof FRONT_END_COUNTERS.slots): number;
  close(): Promise<void>;
}

export interface PortalFixtureOptions {
  readonly iscsi?: Partial<Config["iscsi"]>;
  readonly access?: Partial<Access>;
  readonly portal?: Partial<Pick<PortalOptions, "limits" | "readBudgetBytes" | "writeBytesMax" | "units">>;
  readonly host?: string;
  readonly port?: number;
  readonly open?: boolean;
  /** Instead of one of its own. */
  readonly target?: TestTarget;
  /** Empty: as the configuration of a wildcard address without `advertise`. */
  readonly advertise?: "";
}

const ISCSI: Config["iscsi"] = {
  loginTimeoutSeconds: 5,
  idlePingSeconds: 60,
  idleTimeoutSeconds: 120,
  sessionsPerDirectorMax: 16,
  connectionsPerAddressMax: 64,
  commandWindow: 32,
  maxRecvDataSegmentBytes: 65_536,
  firstBurstBytes: 65_536,
  maxBurstBytes: 131_072,
};

function portalConfig(options: PortalFixtureOptions = {}): Config {
  const { host = "127.0.0.1", port = 0 } = options;
  const director = (index: number) => ({
    name: index === 0 ? "1A" : "1B",
    index,
    engine: 1,
    portal: { host, port, advertise: options.advertise ?? `array.example:${3260 + index}`, groupTag: index + 1 },
  });
  return {
    targetName: TARGET_NAME,
    directors: [director(0), director(1)],
    memory: { frameBytes: 24 << 20 },
    iscsi: { ...ISCSI, ...options.iscsi },
    open: options.open ?? false,
  } as unknown as Config;
}

export async function openPortal(options: PortalFixtureOptions = {}): Promise<PortalFixture> {
  const target = options.target ?? testTarget();
  const events: ArrayEvent[] = [];
  const access: PortalFixture["access"] = {
    targetName: TARGET_NAME,
    hosts: [],
    allowListOnly: false,
    luns: [0, 1, 2],
    ...options.access,
  };
  const config = portalConfig(options);
  const portal = new Portal({
    config,
    director: config.directors[0]!,
    global: target.global,
    frames: target.frames,
    units: target.targets[0],
    turnEnd: new TurnEnd(),
    access: () => access,
    onEvent: (event) => events.push(event),
    tickMilliseconds: 20,
    ...options.portal,
  });
  await portal.listen();
  const block = counterBlock(target.global, "frontEnd", 0);
  return {
    portal,
    port: Number(portal.address!.split(":")[1]),
    blocks: target.blocks[0],
    frames: target.frames,
    events,
    access,
    counter: (name) => block[FRONT_END_COUNTERS.slots[name]]!,
    close: () => portal.close({ graceSeconds: 0, why: "the test is over" }),
  };
}
