/**
 * A session with many commands in flight over real TCP: what a load generator needs of an initiator.
 *
 * Keeps within the command window, answers R2Ts, and tells commands whose answer never came (the array was killed) from
 * those that failed. Asked for a logout it sends no more, and logs out when what is under way has ended.
 */
import type { ASYNC_MESSAGE } from "../../directors/front-end/iscsi/pdu/async-message.ts";
import { LOGOUT_REQUEST } from "../../directors/front-end/iscsi/pdu/logout-request.ts";
import { NOP_OUT } from "../../directors/front-end/iscsi/pdu/nop-out.ts";
import type { SCSI_COMMAND } from "../../directors/front-end/iscsi/pdu/scsi-command.ts";
import { Initiator, type ReceivedPdu } from "./initiator.ts";

export interface CommandOptions {
  readonly lun: number;
  readonly dataOut?: Buffer;
  readonly readBytes?: number;
}

export interface CommandAnswer {
  /** SAM status; undefined when the connection ended before it came. */
  readonly status: number | undefined;
  readonly data: Buffer;
  /** "key/asc/ascq" in hexadecimal, or "". */
  readonly sense: string;
}

interface Pending {
  readonly dataOut: Buffer | undefined;
  readonly pieces: Buffer[];
  readonly resolve: (answer: CommandAnswer) => void;
}

export interface OpenSession {
  readonly port: number;
  readonly targetName: string;
  /** No unsolicited data: the target asks for everything by R2T. */
  readonly solicited?: boolean;
}

const LOST: CommandAnswer = { status: undefined, data: Buffer.alloc(0), sense: "" };
const UNSOLICITED_BYTES_MAX = 262_144;
const UNIT_ATTENTIONS_MAX = 4;
const REQUESTS_LOGOUT = 1;
const WAITING_FOR_LOGOUT = 0x0c;
/** In the header that a Reject brings back. */
const TASK_TAG_AT = 16;
const RESERVED = 0xffffffff;

export class PipelinedSession {
  readonly #initiator: Initiator;
  readonly #pending = new Map<number, Pending>();
  #maxCmdSN: number;
  readonly #windowWaiters: (() => void)[] = [];
  #error: Error | undefined;
  /** The target asked for a logout. */
  #leaving = false;

  private constructor(initiator: Initiator, maxCmdSN: number) {
    this.#initiator = initiator;
    this.#maxCmdSN = maxCmdSN;
    initiator.deliver = (pdu) => this.#deliver(pdu);
  }

  static async open({ port, targetName, solicited = false }: OpenSession): Promise<PipelinedSession> {
    const initiator = await Initiator.connect(port);
    const response = await initiator.login({
      targetName,
      keys: {
        InitialR2T: solicited ? "Yes" : "No",
        ImmediateData: solicited ? "No" : "Yes",
        FirstBurstLength: `${UNSOLICITED_BYTES_MAX}`,
        MaxBurstLength: "262144",
        MaxRecvDataSegmentLength: "262144",
      },
    });
    if (response.fields.statusClass !== 0) throw new Error(`login failed with class ${response.fields.statusClass}`);
    return new PipelinedSession(initiator, response.fields.maxCmdSN);
  }

  get isClosed(): boolean {
    return this.#initiator.isClosed;
  }

  /** What the target did against the protocol; undefined as long as it did nothing. */
  get error(): Error | undefined {
    return this.#error;
  }

  async execute(cdb: Buffer, { lun, dataOut, readBytes }: CommandOptions): Promise<CommandAnswer> {
    while (!this.isClosed && !this.#leaving && ((this.#maxCmdSN - this.#initiator.cmdSN) | 0) < 0) {
      await new Promise<void>((resolve) => this.#windowWaiters.push(resolve));
    }
    if (this.isClosed || this.#leaving) return LOST;
    const fields: Partial<SCSI_COMMAND> = {
      lun: BigInt(lun) << 48n,
      read: readBytes !== undefined,
      write: dataOut !== undefined,
      expectedDataTransferLength: dataOut?.length ?? readBytes ?? 0,
    };
    return new Promise((resolve) => {
      const immediate = dataOut?.subarray(0, this.#immediateBytes());
      const tag = this.#initiator.sendCommand(cdb, fields, immediate === undefined ? {} : { data: immediate });
      this.#pending.set(tag, { dataOut, pieces: [], resolve });
    });
  }

  /** Takes the unit attentions of a new nexus. @throws Error when the unit is not ready after that */
  async testUnitReady(lun: number): Promise<void> {
    let answer = LOST;
    for (let n = 0; n < UNIT_ATTENTIONS_MAX; n++) {
      answer = await this.execute(Buffer.alloc(6), { lun });
      if (answer.status === 0) return;
    }
    throw new Error(`LUN ${lun} is not ready: status ${answer.status}, sense ${answer.sense || "none"}`);
  }

  close(): void {
    this.#initiator.destroy();
  }

  #immediateBytes(): number {
    const { keys } = this.#initiator;
    if (keys.get("ImmediateData") !== "Yes") return 0;
    return Math.min(UNSOLICITED_BYTES_MAX, Number(keys.get("FirstBurstLength")), Number(keys.get("MaxRecvDataSegmentLength")));
  }

  #deliver(pdu: ReceivedPdu | undefined): void {
    try {
      if (pdu !== undefined) {
        this.#take(pdu);
        return;
      }
    } catch (error) {
      this.#error ??= error as Error;
      this.#initiator.destroy();
    }
    for (const { resolve } of this.#pending.values()) resolve(LOST);
    this.#pending.clear();
    this.#wake();
  }

  #take(pdu: ReceivedPdu): void {
    const { fields } = pdu;
    if (((fields.maxCmdSN - this.#maxCmdSN) | 0) > 0) {
      this.#maxCmdSN = fields.maxCmdSN;
      this.#wake();
    }
    if (pdu.name === "NOP-In") {
      this.#answerPing(pdu);
      return;
    }
    if (pdu.name === "Asynchronous Message") {
      this.#told(fields);
      return;
    }
    if (pdu.name === "Logout Response" && this.#leaving) {
      this.#initiator.destroy();
      return;
    }
    if (pdu.name === "Reject" && this.#leaving && fields.reason === WAITING_FOR_LOGOUT) {
      // It was on its way when the logout was asked for, and is not executed.
      const tag = pdu.data.readUInt32BE(TASK_TAG_AT);
      this.#pending.get(tag)?.resolve(LOST);
      this.#pending.delete(tag);
      this.#leaveWhenDone();
      return;
    }
    const pending = this.#pending.get(fields.initiatorTaskTag);
    if (pending === undefined) throw new Error(`${pdu.name} of a task that is not known`);
    if (pdu.name === "R2T") this.#initiator.answerR2T(fields, pending.dataOut!);
    else if (pdu.name === "SCSI Data-In") {
      pending.pieces.push(pdu.data);
      if (fields.statusPresent) this.#finish(fields.initiatorTaskTag, pending, fields.status, "");
    } else if (pdu.name === "SCSI Response") {
      this.#finish(fields.initiatorTaskTag, pending, fields.status, senseOf(pdu.data));
    } else throw new Error(`${pdu.name} during load`);
  }

  #told({ asyncEvent }: ASYNC_MESSAGE): void {
    if (asyncEvent !== REQUESTS_LOGOUT) return; // it closes, or has told a host that did not log out
    this.#leaving = true;
    this.#wake();
    this.#leaveWhenDone();
  }

  #leaveWhenDone(): void {
    if (!this.#leaving || this.#pending.size > 0) return;
    const { cmdSN, expStatSN, cid } = this.#initiator;
    this.#initiator.send(LOGOUT_REQUEST, {
      immediate: true,
      final: true,
      initiatorTaskTag: this.#initiator.tag(),
      cid,
      cmdSN,
      expStatSN,
    });
  }

  #answerPing({ fields }: ReceivedPdu): void {
    if (fields.targetTransferTag === RESERVED) return;
    const { cmdSN, expStatSN } = this.#initiator;
    const { lun, targetTransferTag } = fields;
    this.#initiator.send(NOP_OUT, {
      immediate: true,
      final: true,
      lun,
      initiatorTaskTag: RESERVED,
      targetTransferTag,
      cmdSN,
      expStatSN,
    });
  }

  #finish(tag: number, pending: Pending, status: number, sense: string): void {
    this.#pending.delete(tag);
    this.#leaveWhenDone();
    const data = pending.pieces.length === 1 ? pending.pieces[0]! : Buffer.concat(pending.pieces);
    pending.resolve({ status, data, sense });
  }

  #wake(): void {
    for (const resolve of this.#windowWaiters.splice(0)) resolve();
  }
}

function senseOf(data: Buffer): string {
  if (data.length === 0) return "";
  return [data[4]! & 15, data[14]!, data[15]!].map((byte) => byte.toString(16).padStart(2, "0")).join("/");
}
