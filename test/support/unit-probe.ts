/** One session that asks a logical unit how it is, one command at a time: what a multipath daemon's path checker sees. */
import { Initiator, read10, write10 } from "./initiator.ts";

const STATES: Readonly<Record<number, string>> = { 0: "optimized", 1: "nonOptimized", 3: "unavailable", 15: "transitioning" };
const REPORT_BYTES = 255;
const SECTOR_BYTES = 512;

export class UnitProbe {
  readonly #initiator: Initiator;
  readonly #lun: bigint;

  /** @param name - of its own, so that it is no session of the load's */
  static async open(port: number, targetName: string, { lun = 0, name = "iqn.2026-11.test:probe" } = {}): Promise<UnitProbe> {
    return new UnitProbe(await Initiator.open(port, { targetName, initiatorName: name }), lun);
  }

  private constructor(initiator: Initiator, lun: number) {
    this.#initiator = initiator;
    this.#lun = BigInt(lun) << 48n;
  }

  close(): void {
    this.#initiator.destroy();
  }

  /** "good", the sense, or the status: of TEST UNIT READY. */
  async ready(): Promise<string> {
    return said(await this.#initiator.command(Buffer.alloc(6), { lun: this.#lun }));
  }

  async read(sector: number): Promise<string> {
    const fields = { lun: this.#lun, read: true, expectedDataTransferLength: SECTOR_BYTES };
    return said(await this.#initiator.command(read10(sector, 1), fields));
  }

  async write(sector: number): Promise<string> {
    const data = Buffer.alloc(SECTOR_BYTES, 0x11);
    const fields = { lun: this.#lun, write: true, expectedDataTransferLength: SECTOR_BYTES };
    const immediate = this.#initiator.keys.get("ImmediateData") === "No" ? Buffer.alloc(0) : data;
    const tag = this.#initiator.sendCommand(write10(sector, 1), fields, { data: immediate });
    return said(await this.#initiator.result(tag, (r2t) => this.#initiator.answerR2T(r2t, data)));
  }

  /** REPORT TARGET PORT GROUPS: state by group. */
  async groups(): Promise<Record<number, string>> {
    const cdb = Buffer.alloc(12);
    cdb[0] = 0xa3;
    cdb[1] = 0x0a;
    cdb.writeUInt32BE(REPORT_BYTES, 6);
    const { data } = await this.#initiator.command(cdb, { lun: this.#lun, read: true, expectedDataTransferLength: REPORT_BYTES });
    const found: Record<number, string> = {};
    for (let at = 4; at < data.length; at += 12) found[data.readUInt16BE(at + 2)] = STATES[data[at]! & 0x0f] ?? `${data[at]}`;
    return found;
  }
}

function said({ status, sense }: { status: number; sense: string }): string {
  return sense || (status === 0 ? "good" : `status ${status}`);
}
