/** One session that asks a logical unit how it is, one command at a time: what a multipath daemon's path checker sees. */
import { read10, write10 } from "./initiator.ts";
import { type CommandAnswer, PipelinedSession } from "./pipelined-session.ts";

const STATES: Readonly<Record<number, string>> = { 0: "optimized", 1: "nonOptimized", 3: "unavailable", 15: "transitioning" };
const REPORT_BYTES = 255;
const SECTOR_BYTES = 512;
const GROUP_BYTES = 12;

export class UnitProbe {
  readonly #session: PipelinedSession;
  readonly #lun: number;

  static async open(port: number, targetName: string, lun = 0): Promise<UnitProbe> {
    return new UnitProbe(await PipelinedSession.open({ port, targetName }), lun);
  }

  private constructor(session: PipelinedSession, lun: number) {
    this.#session = session;
    this.#lun = lun;
  }

  close(): void {
    this.#session.close();
  }

  /** "good", the sense, or the status: of TEST UNIT READY. */
  async ready(): Promise<string> {
    return said(await this.#session.execute(Buffer.alloc(6), { lun: this.#lun }));
  }

  async read(sector: number): Promise<string> {
    return said(await this.#session.execute(read10(sector, 1), { lun: this.#lun, readBytes: SECTOR_BYTES }));
  }

  async write(sector: number): Promise<string> {
    const dataOut = Buffer.alloc(SECTOR_BYTES, 0x11);
    return said(await this.#session.execute(write10(sector, 1), { lun: this.#lun, dataOut }));
  }

  /** REPORT TARGET PORT GROUPS: state by group. */
  async groups(): Promise<Record<number, string>> {
    const cdb = Buffer.alloc(12);
    cdb[0] = 0xa3;
    cdb[1] = 0x0a;
    cdb.writeUInt32BE(REPORT_BYTES, 6);
    const { data } = await this.#session.execute(cdb, { lun: this.#lun, readBytes: REPORT_BYTES });
    const found: Record<number, string> = {};
    for (let at = 4; at < data.length; at += GROUP_BYTES)
      found[data.readUInt16BE(at + 2)] = STATES[data[at]! & 0x0f] ?? `${data[at]}`;
    return found;
  }
}

function said({ status, sense }: CommandAnswer): string {
  return sense || (status === 0 ? "good" : `status ${status}`);
}
