/** PDUs of the data path: headers read, a chunk of 32 commands cut up, answers' headers built. */
import {
  ahsBytesOf,
  cmdSNOf,
  dataSegmentLengthOf,
  expectedDataTransferLengthOf,
  expStatSNOf,
  FINAL,
  initiatorTaskTagOf,
  STATUS_PRESENT,
  writeDataIn,
  writeScsiResponse,
} from "../../dist/directors/front-end/iscsi/pdu/hot-path.js";
import { SCSI_COMMAND } from "../../dist/directors/front-end/iscsi/pdu/scsi-command.js";
import { DATA, Receiver } from "../../dist/directors/front-end/iscsi/receiver.js";
import { sink } from "./memory.mjs";

const COMMANDS = 32;
const BHS_BYTES = 48;
const BLOCK_BYTES = 4096;

export function cases() {
  const reads = chunkOf(0);
  const writes = chunkOf(BLOCK_BYTES);
  const table = new Uint8Array(reads.buffer, reads.byteOffset, BHS_BYTES);
  const header = Buffer.alloc(BHS_BYTES);
  const numbers = { statSN: 7, expCmdSN: 8, maxCmdSN: 40 };
  const dataIn = {
    flags: FINAL | STATUS_PRESENT,
    status: 0,
    initiatorTaskTag: 9,
    dataSN: 0,
    bufferOffset: 0,
    residualCount: 0,
    dataBytes: BLOCK_BYTES,
  };
  const response = { flags: 0, status: 0, initiatorTaskTag: 9, expDataSN: 0, residualCount: 0, dataBytes: 0 };
  return [
    {
      name: "SCSI Command: six fields read",
      batch: COMMANDS,
      run: () => {
        for (let at = 0; at < reads.length; at += BHS_BYTES) {
          sink.value ^= dataSegmentLengthOf(reads, at) ^ ahsBytesOf(reads, at) ^ initiatorTaskTagOf(reads, at);
          sink.value ^= expectedDataTransferLengthOf(reads, at) ^ cmdSNOf(reads, at) ^ expStatSNOf(reads, at);
        }
      },
    },
    {
      name: "SCSI Command: all fields, by its table",
      batch: 1,
      run: () => {
        sink.value ^= SCSI_COMMAND.decode(table).cmdSN;
      },
    },
    { name: "receiver: read commands, 32 a chunk", batch: COMMANDS, run: receive(reads) },
    { name: "receiver: 4 KiB writes, 32 a chunk", batch: COMMANDS, run: receive(writes) },
    {
      name: "Data-In header built",
      batch: COMMANDS,
      run: () => {
        for (let n = 0; n < COMMANDS; n++) {
          header.fill(0);
          writeDataIn(header, 0, dataIn, numbers);
        }
      },
    },
    {
      name: "SCSI Response built",
      batch: COMMANDS,
      run: () => {
        for (let n = 0; n < COMMANDS; n++) {
          header.fill(0);
          writeScsiResponse(header, 0, response, numbers);
        }
      },
    },
  ];
}

function chunkOf(immediateBytes) {
  const step = BHS_BYTES + immediateBytes;
  const chunk = Buffer.alloc(COMMANDS * step);
  for (let n = 0; n < COMMANDS; n++) {
    SCSI_COMMAND.encode(
      {
        final: true,
        read: immediateBytes === 0,
        write: immediateBytes > 0,
        initiatorTaskTag: n + 1,
        expectedDataTransferLength: BLOCK_BYTES,
        cmdSN: n,
        dataSegmentLength: immediateBytes,
      },
      chunk,
      n * step,
    );
  }
  return chunk;
}

/** A handler that looks at nothing: the cutting alone. */
function receive(chunk) {
  const handler = {
    onHeader: (_header, _at, _ahsBytes, dataBytes) => (dataBytes === 0 ? DATA.discard : DATA.stream),
    onData: () => undefined,
    onEnd: () => undefined,
    onFault: (fault) => {
      throw new Error(fault);
    },
  };
  const receiver = new Receiver(handler);
  return () => receiver.feed(chunk);
}
