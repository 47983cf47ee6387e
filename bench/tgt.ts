/**
 * The references: tgt, the Linux SCSI target in user space, as it comes ("stock") and as well as it can be set up ("tuned").
 *
 * Both serve a file of 1 GiB in tmpfs: no disk, no journal, no parity. That is the bar. Tuned is: large segments and
 * bursts; a malloc that keeps its pages, because a fresh mapping for each large command costs more than the I/O; large
 * reads through four I/O threads, everything else through a second LUN on the same file by libaio, which needs no thread.
 */
import type { ChildProcess } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, listens } from "./free-port.ts";
import { end, run, start } from "./started.ts";

const FILE_BYTES = 1 << 30;
const START_TRIES_MAX = 5;
const START_MILLISECONDS_MAX = 5000;
const ADMIN_MILLISECONDS_MAX = 10_000;
/** Above this, reads are faster through I/O threads than by libaio. */
const LARGE_READ_BYTES = 16_384;

const TUNED_MALLOC = {
  MALLOC_MMAP_THRESHOLD_: "67108864",
  MALLOC_TRIM_THRESHOLD_: "1073741824",
  MALLOC_TOP_PAD_: "67108864",
};
const TUNED_KEYS = {
  MaxRecvDataSegmentLength: 262144,
  MaxXmitDataSegmentLength: 262144,
  MaxBurstLength: 1048576,
  FirstBurstLength: 262144,
  InitialR2T: "No",
  ImmediateData: "Yes",
  MaxOutstandingR2T: 8,
};

export type TgtKind = "stock" | "tuned";

export class Tgt {
  readonly kind: TgtKind;
  readonly #folder: string;
  #child: ChildProcess | undefined;
  #port = 0;
  #hasLibaio = false;

  private constructor(kind: TgtKind, folder: string) {
    this.kind = kind;
    this.#folder = folder;
  }

  /** @param memoryFolder - a folder in tmpfs, for the backing file, the control socket and the log */
  static async start(kind: TgtKind, memoryFolder: string): Promise<Tgt> {
    const folder = join(memoryFolder, kind);
    mkdirSync(folder);
    const tgt = new Tgt(kind, folder);
    await tgt.#startDaemon();
    await tgt.#makeUnits();
    return tgt;
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** False where libaio could not be had: the tuned reference is then slower than it could be. */
  get isFullyTuned(): boolean {
    return this.kind === "stock" || this.#hasLibaio;
  }

  /** The unit that is best for such an I/O. */
  url(io: { readonly bytes: number; readonly isRead: boolean }): string {
    const large = io.isRead && io.bytes > LARGE_READ_BYTES;
    return `iscsi://127.0.0.1:${this.#port}/${this.#target}/${this.#hasLibaio && !large ? 2 : 1}`;
  }

  async stop(): Promise<void> {
    // It ignores SIGTERM while it has targets.
    if (this.#child !== undefined) await end(this.#child, "SIGKILL", ADMIN_MILLISECONDS_MAX);
  }

  get #target(): string {
    return `iqn.2026-11.io.varray.bench:${this.kind}`;
  }

  get #environment(): NodeJS.ProcessEnv {
    const tuning = this.kind === "tuned" ? TUNED_MALLOC : {};
    return { ...process.env, ...tuning, TGT_IPC_SOCKET: join(this.#folder, "socket") };
  }

  async #startDaemon(): Promise<void> {
    const logFile = join(this.#folder, "log");
    writeFileSync(logFile, "");
    for (let attempt = 0; attempt < START_TRIES_MAX; attempt++) {
      this.#port = await freePort();
      const log = openSync(logFile, "a");
      const threads = this.kind === "tuned" ? ["-t", "4"] : [];
      const child = start("tgtd", ["-f", "-C", "0", "--iscsi", `portal=127.0.0.1:${this.#port}`, ...threads], {
        env: this.#environment,
        stdio: ["ignore", log, log],
      });
      closeSync(log);
      this.#child = child;
      const deadline = performance.now() + START_MILLISECONDS_MAX;
      while (performance.now() < deadline && child.exitCode === null) {
        if ((await this.#admin("--mode", "system", "--op", "show")) && (await listens(this.#port))) return;
        await sleep(100);
      }
      await this.stop();
    }
    throw new Error(`${this.kind} tgtd did not start: ${readFileSync(logFile, "utf8")}`);
  }

  async #makeUnits(): Promise<void> {
    const file = join(this.#folder, "disk");
    writeFileSync(file, "");
    truncateSync(file, FILE_BYTES);
    const must = async (...args: string[]) => {
      if (!(await this.#admin(...args))) throw new Error(`tgtadm ${args.join(" ")} failed`);
    };
    const unit = (lun: number, type: string) =>
      this.#admin(
        "--mode",
        "logicalunit",
        "--op",
        "new",
        "--tid",
        "1",
        "--lun",
        `${lun}`,
        ...["--bstype", type, "--backing-store", file],
      );
    await must("--mode", "target", "--op", "new", "--tid", "1", "--targetname", this.#target);
    if (this.kind === "tuned") {
      for (const [name, value] of Object.entries(TUNED_KEYS))
        await must("--mode", "target", "--op", "update", "--tid", "1", "--name", name, "--value", `${value}`);
    }
    if (!(await unit(1, "rdwr"))) throw new Error(`${this.kind} tgt takes no unit`);
    if (this.kind === "tuned") this.#hasLibaio = await unit(2, "aio");
    await must("--mode", "target", "--op", "bind", "--tid", "1", "--initiator-address", "ALL");
  }

  async #admin(...args: string[]): Promise<boolean> {
    const { status } = await run("tgtadm", ["-C", "0", "--lld", "iscsi", ...args], {
      env: this.#environment,
      millisecondsMax: ADMIN_MILLISECONDS_MAX,
    });
    return status === 0;
  }
}
