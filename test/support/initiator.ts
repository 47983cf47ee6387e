/**
 * An iSCSI initiator for tests: real TCP, any keys, any PDU, right or wrong on purpose.
 *
 * It knows what the suites need and no more: one outstanding exchange at a time unless a test reads PDUs itself.
 */
import { createConnection, type Socket } from "node:net";
import { headerDigest } from "../../directors/front-end/iscsi/digest.ts";
import { ASYNC_MESSAGE } from "../../directors/front-end/iscsi/pdu/async-message.ts";
import { DATA_IN } from "../../directors/front-end/iscsi/pdu/data-in.ts";
import { DATA_OUT } from "../../directors/front-end/iscsi/pdu/data-out.ts";
import { BHS_BYTES, type Bhs, type FieldTable } from "../../directors/front-end/iscsi/pdu/define-bhs.ts";
import { LOGIN_REQUEST } from "../../directors/front-end/iscsi/pdu/login-request.ts";
import { LOGIN_RESPONSE } from "../../directors/front-end/iscsi/pdu/login-response.ts";
import { LOGOUT_REQUEST } from "../../directors/front-end/iscsi/pdu/logout-request.ts";
import { LOGOUT_RESPONSE } from "../../directors/front-end/iscsi/pdu/logout-response.ts";
import { NOP_IN } from "../../directors/front-end/iscsi/pdu/nop-in.ts";
import { NOP_OUT } from "../../directors/front-end/iscsi/pdu/nop-out.ts";
import { R2T } from "../../directors/front-end/iscsi/pdu/ready-to-transfer.ts";
import { REJECT } from "../../directors/front-end/iscsi/pdu/reject.ts";
import { SCSI_COMMAND } from "../../directors/front-end/iscsi/pdu/scsi-command.ts";
import { SCSI_RESPONSE } from "../../directors/front-end/iscsi/pdu/scsi-response.ts";
import { TASK_MANAGEMENT_REQUEST } from "../../directors/front-end/iscsi/pdu/task-management-request.ts";
import { TASK_MANAGEMENT_RESPONSE } from "../../directors/front-end/iscsi/pdu/task-management-response.ts";
import { TEXT_REQUEST } from "../../directors/front-end/iscsi/pdu/text-request.ts";
import { TEXT_RESPONSE } from "../../directors/front-end/iscsi/pdu/text-response.ts";
import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";

export const RESERVED = 0xffffffff;
const ANSWERS = [
  ASYNC_MESSAGE,
  DATA_IN,
  LOGIN_RESPONSE,
  LOGOUT_RESPONSE,
  NOP_IN,
  R2T,
  REJECT,
  SCSI_RESPONSE,
  TASK_MANAGEMENT_RESPONSE,
  TEXT_RESPONSE,
] as const;

export interface ReceivedPdu {
  readonly name: string;
  readonly bhs: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at the fields of the PDU that it expects
  readonly fields: any;
  readonly data: Buffer;
}

export interface CommandResult {
  readonly status: number;
  readonly data: Buffer;
  /** "key/asc/ascq" in hexadecimal, or "". */
  readonly sense: string;
  readonly residual: number;
  readonly pdus: readonly ReceivedPdu[];
}

export interface LoginOptions {
  readonly keys?: Readonly<Record<string, string>>;
  readonly isid?: string;
  readonly tsih?: number;
  readonly discovery?: boolean;
  readonly initiatorName?: string;
  readonly targetName?: string;
}

export interface SendOptions {
  readonly data?: Uint8Array;
  readonly ahs?: Uint8Array;
  readonly badHeaderDigest?: boolean;
  readonly badDataDigest?: boolean;
}

const TIMEOUT_MILLISECONDS = 5000;

export class Initiator {
  readonly socket: Socket;
  readonly name: string;
  headerDigest = false;
  dataDigest = false;
  cmdSN = 1;
  expStatSN = 0;
  nextTag = 1;
  cid = 1;
  isid = "";
  /** What the target answered at login. */
  keys = new Map<string, string>();
  tsih = 0;
  #buffer = Buffer.alloc(0);
  readonly #pdus: ReceivedPdu[] = [];
  #wake: (() => void) | undefined = undefined;
  isClosed = false;
  /** Takes PDUs as they come, in place of `next`; undefined stands for the end of the connection. */
  deliver: ((pdu: ReceivedPdu | undefined) => void) | undefined = undefined;

  constructor(socket: Socket, name: string) {
    this.socket = socket;
    this.name = name;
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#parse();
      this.#wake?.();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isClosed = true;
      this.#wake?.();
      this.deliver?.(undefined);
    });
  }

  static async connect(port: number, name = "iqn.2026-11.test:host"): Promise<Initiator> {
    const socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Initiator(socket, name);
  }

  /** Connects and logs in; fails the test when that does not succeed. */
  static async open(port: number, options: LoginOptions = {}): Promise<Initiator> {
    const initiator = await Initiator.connect(port, options.initiatorName);
    const response = await initiator.login(options);
    if (response.fields.statusClass !== 0 || !response.fields.transit)
      throw new Error(`login failed: ${LOGIN_RESPONSE.print(response.bhs)}`);
    return initiator;
  }

  #parse(): void {
    for (;;) {
      if (this.#buffer.length < BHS_BYTES) return;
      const dataBytes = this.#buffer.readUIntBE(5, 3);
      const head = BHS_BYTES + (this.headerDigest ? 4 : 0);
      const padded = (dataBytes + 3) & ~3;
      const total = head + padded + (this.dataDigest && dataBytes > 0 ? 4 : 0);
      if (this.#buffer.length < total) return;
      const bhs = Buffer.from(this.#buffer.subarray(0, BHS_BYTES));
      const data = Buffer.from(this.#buffer.subarray(head, head + dataBytes));
      if (this.headerDigest && this.#buffer.readUInt32LE(BHS_BYTES) !== headerDigest(bhs, 0, BHS_BYTES))
        throw new Error("header digest of the target is wrong");
      if (
        this.dataDigest &&
        dataBytes > 0 &&
        this.#buffer.readUInt32LE(head + padded) !== dataCrc32c(this.#buffer.subarray(head, head + padded))
      ) {
        throw new Error("data digest of the target is wrong");
      }
      this.#buffer = this.#buffer.subarray(total);
      const table = ANSWERS.find((answer) => answer.opcode === bhs[0]);
      if (table === undefined) throw new Error(`opcode ${bhs[0]} from the target`);
      const fields = table.decode(bhs);
      if ("statSN" in fields && (table !== DATA_IN || (bhs[1]! & 1) !== 0) && table !== R2T) {
        const ping = table === NOP_IN && (fields as NOP_IN).initiatorTaskTag === RESERVED;
        if (!ping && !(table === LOGIN_RESPONSE && (fields as LOGIN_RESPONSE).statusClass !== 0))
          this.expStatSN = ((fields.statSN as number) + 1) >>> 0;
      }
      const pdu = { name: table.name, bhs, fields, data };
      if (this.deliver === undefined) this.#pdus.push(pdu);
      else this.deliver(pdu);
    }
  }

  async #until(ready: () => boolean, what: string): Promise<void> {
    const end = Date.now() + TIMEOUT_MILLISECONDS;
    while (!ready()) {
      const left = end - Date.now();
      if (left <= 0) throw new Error(`waited in vain for ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
  }

  /** The next PDU; fails when the connection closes first. */
  async next(expected?: string): Promise<ReceivedPdu> {
    await this.#until(() => this.#pdus.length > 0 || this.isClosed, expected ?? "a PDU");
    const pdu = this.#pdus.shift();
    if (pdu === undefined) throw new Error(`the target closed the connection, ${expected ?? "a PDU"} was expected`);
    if (expected !== undefined && pdu.name !== expected)
      throw new Error(
        `${expected} was expected, ${pdu.name} came: ${JSON.stringify(pdu.fields, (_, v) => (typeof v === "bigint" ? String(v) : v))}`,
      );
    return pdu;
  }

  /** PDUs that came and were not looked at. */
  get waiting(): number {
    return this.#pdus.length;
  }

  /** Resolves when the target has closed; fails when a PDU comes instead. */
  async closed(): Promise<void> {
    await this.#until(() => this.isClosed || this.#pdus.length > 0, "the close");
    if (this.#pdus.length > 0) throw new Error(`the close was expected, ${this.#pdus[0]!.name} came`);
  }

  raw(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends a PDU with padding and the negotiated digests. */
  send<Fields extends FieldTable>(
    table: Bhs<Fields>,
    fields: Parameters<Bhs<Fields>["encode"]>[0],
    options: SendOptions = {},
  ): Buffer {
    const data = options.data ?? Buffer.alloc(0);
    const ahs = options.ahs ?? Buffer.alloc(0);
    const bhs = Buffer.from(
      table.encode({ dataSegmentLength: data.length, totalAHSLength: ahs.length / 4, ...fields } as Parameters<
        Bhs<Fields>["encode"]
      >[0]),
    );
    const header = Buffer.concat([bhs, ahs]);
    const pieces: Uint8Array[] = [header];
    if (this.headerDigest) pieces.push(le32(headerDigest(header, 0, header.length) ^ (options.badHeaderDigest ? 1 : 0)));
    if (data.length > 0) {
      const padded = Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
      pieces.push(padded);
      if (this.dataDigest) pieces.push(le32(dataCrc32c(padded) ^ (options.badDataDigest ? 1 : 0)));
    }
    this.raw(Buffer.concat(pieces));
    return bhs;
  }

  tag(): number {
    const tag = this.nextTag;
    this.nextTag += 1;
    return tag;
  }

  takeCmdSN(): number {
    const cmdSN = this.cmdSN;
    this.cmdSN = (this.cmdSN + 1) >>> 0;
    return cmdSN;
  }

  // — login —

  static text(keys: Readonly<Record<string, string>>): Buffer {
    return Buffer.from(
      Object.entries(keys)
        .map(([key, value]) => `${key}=${value}\0`)
        .join(""),
    );
  }

  loginRequest(fields: Partial<LOGIN_REQUEST>, text: Buffer | Readonly<Record<string, string>> = {}): void {
    const data = Buffer.isBuffer(text) ? text : Initiator.text(text as Record<string, string>);
    this.isid =
      fields.isid ??
      (this.isid ||
        `80${Math.floor(Math.random() * 2 ** 40)
          .toString(16)
          .padStart(10, "0")}`);
    this.send(
      LOGIN_REQUEST,
      {
        immediate: true,
        isid: this.isid,
        initiatorTaskTag: 0,
        cid: this.cid,
        cmdSN: this.cmdSN,
        expStatSN: this.expStatSN,
        ...fields,
      },
      { data },
    );
  }

  identity(options: LoginOptions = {}): Record<string, string> {
    const { targetName = "iqn.2026-11.test:array", discovery = false } = options;
    return {
      InitiatorName: this.name,
      ...(discovery ? { SessionType: "Discovery" } : { SessionType: "Normal", TargetName: targetName }),
    };
  }

  /** Straight through the operational stage. */
  async login(options: LoginOptions = {}): Promise<ReceivedPdu> {
    this.loginRequest(
      {
        transit: true,
        currentStage: 1,
        nextStage: 3,
        ...(options.isid === undefined ? {} : { isid: options.isid }),
        ...(options.tsih === undefined ? {} : { tsih: options.tsih }),
      },
      { ...this.identity(options), ...options.keys },
    );
    return this.loginResponse();
  }

  async loginResponse(): Promise<ReceivedPdu> {
    const response = await this.next("Login Response");
    for (const pair of response.data.toString().split("\0")) {
      const equals = pair.indexOf("=");
      if (equals > 0) this.keys.set(pair.slice(0, equals), pair.slice(equals + 1));
    }
    if (response.fields.statusClass === 0 && response.fields.transit && response.fields.nextStage === 3) {
      this.headerDigest = this.keys.get("HeaderDigest") === "CRC32C";
      this.dataDigest = this.keys.get("DataDigest") === "CRC32C";
      this.tsih = response.fields.tsih;
    }
    return response;
  }

  /** "0201" for a refused login, after which the target must close. */
  async loginStatus(): Promise<string> {
    const { fields } = await this.loginResponse();
    const status = ((fields.statusClass << 8) | fields.statusDetail).toString(16).padStart(4, "0");
    if (status !== "0000") await this.closed();
    return status;
  }

  // — commands —

  sendCommand(cdb: Buffer, fields: Partial<SCSI_COMMAND> = {}, options: SendOptions = {}): number {
    const initiatorTaskTag = fields.initiatorTaskTag ?? this.tag();
    const cmdSN = fields.cmdSN ?? (fields.immediate ? this.cmdSN : this.takeCmdSN());
    const padded = Buffer.concat([cdb, Buffer.alloc(16)]).subarray(0, 16);
    this.send(
      SCSI_COMMAND,
      { final: true, attribute: 1, cmdSN, expStatSN: this.expStatSN, cdb: padded.toString("hex"), ...fields, initiatorTaskTag },
      options,
    );
    return initiatorTaskTag;
  }

  /** Collects what is answered to one command, up to its status. */
  async result(initiatorTaskTag: number, onR2T?: (r2t: R2T) => void): Promise<CommandResult> {
    const pdus: ReceivedPdu[] = [];
    const pieces: Buffer[] = [];
    for (;;) {
      const pdu = await this.next();
      if (pdu.fields.initiatorTaskTag !== initiatorTaskTag)
        throw new Error(
          `${pdu.name} of another task came: ${JSON.stringify(pdu.fields, (_, v) => (typeof v === "bigint" ? String(v) : v))}`,
        );
      pdus.push(pdu);
      if (pdu.name === "R2T") {
        if (onR2T === undefined) throw new Error("an R2T that the test did not expect");
        onR2T(pdu.fields);
      } else if (pdu.name === "SCSI Data-In") {
        if (pdu.fields.bufferOffset !== pieces.reduce((sum, piece) => sum + piece.length, 0))
          throw new Error("Data-In out of order");
        pieces.push(pdu.data);
        if (pdu.fields.statusPresent) return result(pdu, Buffer.concat(pieces), "", pdus);
      } else if (pdu.name === "SCSI Response") {
        const sense =
          pdu.data.length === 0
            ? ""
            : [pdu.data[4]! & 15, pdu.data[14]!, pdu.data[15]!].map((byte) => byte.toString(16).padStart(2, "0")).join("/");
        return result(pdu, Buffer.concat(pieces), sense, pdus);
      } else throw new Error(`${pdu.name} in the middle of a command`);
    }
  }

  async command(cdb: Buffer, fields: Partial<SCSI_COMMAND> = {}, options: SendOptions = {}): Promise<CommandResult> {
    return this.result(this.sendCommand(cdb, fields, options));
  }

  testUnitReady(lun = 0n): Promise<CommandResult> {
    return this.command(Buffer.alloc(6), { lun: lun << 48n });
  }

  read(lba: number, blocks: number, fields: Partial<SCSI_COMMAND> = {}): Promise<CommandResult> {
    return this.command(read10(lba, blocks), { read: true, expectedDataTransferLength: blocks * 512, ...fields });
  }

  /** Writes with as much unsolicited data as was negotiated, the rest when it is asked for. */
  async write(lba: number, data: Buffer, fields: Partial<SCSI_COMMAND> = {}): Promise<CommandResult> {
    const immediate = this.keys.get("ImmediateData") === "No" ? 0 : Math.min(data.length, this.#firstBurst(), this.#segment());
    const tag = this.sendCommand(
      write10(lba, data.length / 512),
      { write: true, expectedDataTransferLength: data.length, ...fields },
      { data: data.subarray(0, immediate) },
    );
    return this.result(tag, (r2t) => this.answerR2T(r2t, data));
  }

  /** Sends what an R2T asks for, in Data-Outs of what the target takes. */
  answerR2T(r2t: R2T, data: Buffer): void {
    const segment = this.#segment();
    let dataSN = 0;
    for (let sent = 0; sent < r2t.desiredDataTransferLength; ) {
      const bytes = Math.min(segment, r2t.desiredDataTransferLength - sent);
      const start = r2t.bufferOffset + sent;
      this.dataOut(
        {
          final: sent + bytes === r2t.desiredDataTransferLength,
          lun: r2t.lun,
          initiatorTaskTag: r2t.initiatorTaskTag,
          targetTransferTag: r2t.targetTransferTag,
          dataSN,
          bufferOffset: start,
        },
        data.subarray(start, start + bytes),
      );
      sent += bytes;
      dataSN += 1;
    }
  }

  dataOut(fields: Partial<DATA_OUT>, data: Buffer, options: SendOptions = {}): void {
    this.send(DATA_OUT, { targetTransferTag: RESERVED, expStatSN: this.expStatSN, ...fields }, { data, ...options });
  }

  #firstBurst(): number {
    return Number(this.keys.get("FirstBurstLength") ?? 65536);
  }

  #segment(): number {
    return Number(this.keys.get("MaxRecvDataSegmentLength") ?? 8192);
  }

  // — the rest —

  async ping(data = Buffer.alloc(0)): Promise<ReceivedPdu> {
    this.send(
      NOP_OUT,
      {
        immediate: true,
        final: true,
        initiatorTaskTag: this.tag(),
        targetTransferTag: RESERVED,
        cmdSN: this.cmdSN,
        expStatSN: this.expStatSN,
      },
      { data },
    );
    return this.next("NOP-In");
  }

  async taskManagement(fields: Partial<TASK_MANAGEMENT_REQUEST>): Promise<number> {
    this.sendTaskManagement(fields);
    return (await this.next("Task Management Function Response")).fields.response;
  }

  sendTaskManagement(fields: Partial<TASK_MANAGEMENT_REQUEST>): void {
    this.send(TASK_MANAGEMENT_REQUEST, {
      immediate: true,
      final: true,
      initiatorTaskTag: this.tag(),
      referencedTaskTag: RESERVED,
      cmdSN: this.cmdSN,
      expStatSN: this.expStatSN,
      ...fields,
    });
  }

  async text(keys: Readonly<Record<string, string>> | Buffer, fields: Partial<TEXT_REQUEST> = {}): Promise<ReceivedPdu> {
    const data = Buffer.isBuffer(keys) ? keys : Initiator.text(keys as Record<string, string>);
    this.send(
      TEXT_REQUEST,
      {
        final: true,
        initiatorTaskTag: fields.initiatorTaskTag ?? this.tag(),
        targetTransferTag: RESERVED,
        cmdSN: this.takeCmdSN(),
        expStatSN: this.expStatSN,
        ...fields,
      },
      { data },
    );
    return this.next();
  }

  async logout(fields: Partial<LOGOUT_REQUEST> = {}): Promise<number> {
    this.send(LOGOUT_REQUEST, {
      immediate: true,
      final: true,
      initiatorTaskTag: this.tag(),
      cid: this.cid,
      cmdSN: this.cmdSN,
      expStatSN: this.expStatSN,
      ...fields,
    });
    return (await this.next("Logout Response")).fields.response;
  }

  destroy(): void {
    this.socket.destroy();
  }
}

function result(pdu: ReceivedPdu, data: Buffer, sense: string, pdus: readonly ReceivedPdu[]): CommandResult {
  const { status, overflow, underflow, residualCount } = pdu.fields;
  return { status, data, sense, residual: overflow ? residualCount : underflow ? -residualCount : 0, pdus };
}

function le32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

export function read10(lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(10);
  cdb[0] = 0x28;
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  return cdb;
}

export function write10(lba: number, blocks: number): Buffer {
  const cdb = read10(lba, blocks);
  cdb[0] = 0x2a;
  return cdb;
}
