/**
 * PDUs of a peer that is broken or hostile, from a seed: mutated, random, cut off. All of them are for one LUN, and none is a
 * target reset, so that what happens to other sessions is the array's fault.
 */
import { headerDigest } from "../../directors/front-end/iscsi/digest.ts";
import { DATA_OUT } from "../../directors/front-end/iscsi/pdu/data-out.ts";
import { BHS_BYTES } from "../../directors/front-end/iscsi/pdu/define-bhs.ts";
import { LOGOUT_REQUEST } from "../../directors/front-end/iscsi/pdu/logout-request.ts";
import { NOP_OUT } from "../../directors/front-end/iscsi/pdu/nop-out.ts";
import { OPCODE } from "../../directors/front-end/iscsi/pdu/opcode.ts";
import { SCSI_COMMAND } from "../../directors/front-end/iscsi/pdu/scsi-command.ts";
import { SNACK_REQUEST } from "../../directors/front-end/iscsi/pdu/snack-request.ts";
import { TASK_MANAGEMENT_REQUEST } from "../../directors/front-end/iscsi/pdu/task-management-request.ts";
import { TEXT_REQUEST } from "../../directors/front-end/iscsi/pdu/text-request.ts";
import { type Initiator, RESERVED, read10, write10 } from "./initiator.ts";
import type { Random } from "./random.ts";

const OPCODE_MASK = 0x3f;
const FUNCTION_MASK = 0x7f;
const TARGET_RESETS = [6, 7];
const MUTATIONS_MAX = 8;
const DATA_BYTES_MAX = 2048;
const LUN_OFFSET = 8;

/** A header and its data segment, right in every way but what `mutate` does. */
export interface FuzzPdu {
  readonly bhs: Buffer;
  readonly data: Buffer;
}

export class PduFuzzer {
  readonly #random: Random;
  readonly #lun: bigint;

  constructor(random: Random, lun: number) {
    this.#random = random;
    this.#lun = BigInt(lun) << 48n;
  }

  /** Bytes for the wire: mostly a valid PDU with some bytes changed, now and then random from the first byte. */
  next(initiator: Initiator): Buffer {
    const random = this.#random;
    const pdu = random.chance(0.1) ? this.#randomPdu() : this.valid(initiator);
    if (random.chance(0.8)) this.#mutate(pdu.bhs);
    return this.wire(pdu, initiator, random.chance(0.02));
  }

  valid(initiator: Initiator): FuzzPdu {
    const random = this.#random;
    const answerless = { expStatSN: initiator.expStatSN, initiatorTaskTag: initiator.tag(), lun: this.#lun };
    const { lun, ...unaddressed } = { ...answerless, cmdSN: initiator.cmdSN };
    const common = { ...unaddressed, lun };
    const data = this.#filler(random.between(0, DATA_BYTES_MAX));
    const immediate = random.chance(0.5);
    if (!immediate) initiator.takeCmdSN();
    const length = { dataSegmentLength: data.length };
    const none = Buffer.alloc(0);
    switch (random.between(0, 7)) {
      case 0:
        return {
          bhs: bytes(NOP_OUT.encode({ ...common, ...length, immediate, final: true, targetTransferTag: RESERVED })),
          data,
        };
      case 1:
        return {
          bhs: bytes(TASK_MANAGEMENT_REQUEST.encode({ ...common, immediate, final: true, function: random.between(0, 9) })),
          data: none,
        };
      case 2:
        return {
          bhs: bytes(
            DATA_OUT.encode({ ...answerless, ...length, final: random.chance(0.5), targetTransferTag: random.between(0, 16) }),
          ),
          data,
        };
      case 3: {
        const text = { ...common, ...length, immediate, final: true, targetTransferTag: RESERVED };
        return { bhs: bytes(TEXT_REQUEST.encode(text)), data };
      }
      case 4:
        return { bhs: bytes(SNACK_REQUEST.encode({ ...answerless, final: true })), data: none };
      case 5:
        return {
          bhs: bytes(LOGOUT_REQUEST.encode({ ...unaddressed, immediate, final: true, reason: random.between(1, 2), cid: 99 })),
          data: none,
        };
      case 6: {
        const sectors = random.between(1, 512);
        const fields = { ...common, immediate, final: true, read: true, attribute: 1, expectedDataTransferLength: sectors * 512 };
        return { bhs: bytes(SCSI_COMMAND.encode({ ...fields, cdb: cdb(read10(random.between(0, 4096), sectors)) })), data: none };
      }
      default: {
        const expectedDataTransferLength = 512 * random.between(1, 512);
        const fields = { ...common, ...length, immediate, final: random.chance(0.7), write: true, attribute: 1 };
        const write = cdb(write10(random.between(0, 4096), expectedDataTransferLength / 512));
        return { bhs: bytes(SCSI_COMMAND.encode({ ...fields, expectedDataTransferLength, cdb: write })), data };
      }
    }
  }

  /** With padding and the negotiated digests, of which one may be wrong. */
  wire({ bhs, data }: FuzzPdu, initiator: Initiator, wrongDigest = false): Buffer {
    this.#confine(bhs);
    const pieces: Uint8Array[] = [bhs];
    if (initiator.headerDigest) {
      const digest = Buffer.alloc(4);
      digest.writeUInt32LE((headerDigest(bhs, 0, BHS_BYTES) ^ (wrongDigest ? 1 : 0)) >>> 0);
      pieces.push(digest);
    }
    pieces.push(data, Buffer.alloc(-data.length & 3));
    return Buffer.concat(pieces);
  }

  #randomPdu(): FuzzPdu {
    return { bhs: this.#filler(BHS_BYTES), data: this.#filler(this.#random.between(0, DATA_BYTES_MAX)) };
  }

  #mutate(bhs: Buffer): void {
    const random = this.#random;
    for (let left = random.between(1, MUTATIONS_MAX); left > 0; left -= 1) {
      const at = random.between(0, BHS_BYTES - 1);
      const kind = random.between(0, 3);
      if (kind === 0) bhs[at]! ^= 1 << random.between(0, 7);
      else if (kind === 1) bhs[at] = random.between(0, 255);
      else if (kind === 2) bhs[at] = 0xff;
      else bhs[at] = 0;
    }
  }

  /** Random bytes that are no task management where a reader that lost its place takes them for a header. */
  #filler(length: number): Buffer {
    const filler = Buffer.alloc(length);
    for (let at = 0; at < length; at += 1) {
      const byte = this.#random.between(0, 255);
      filler[at] = (byte & OPCODE_MASK) === OPCODE.taskManagementRequest ? byte ^ 1 : byte;
    }
    return filler;
  }

  #confine(bhs: Buffer): void {
    const opcode = bhs[0]! & OPCODE_MASK;
    if (opcode === OPCODE.scsiCommand || opcode === OPCODE.taskManagementRequest) bhs.writeBigUInt64BE(this.#lun, LUN_OFFSET);
    if (opcode === OPCODE.taskManagementRequest && TARGET_RESETS.includes(bhs[1]! & FUNCTION_MASK)) bhs[1] = 0x81;
  }
}

function bytes(encoded: Uint8Array): Buffer {
  return Buffer.from(encoded);
}

function cdb(short: Buffer): string {
  return Buffer.concat([short, Buffer.alloc(16)])
    .subarray(0, 16)
    .toString("hex");
}
