/** REPORT SUPPORTED OPERATION CODES and TASK MANAGEMENT FUNCTIONS (SPC-4 §6.35, §6.36). Runs on: any thread. */
import { CDBS, cdbIndex, hasServiceActions } from "../cdb/cdb-table.ts";
import { type CdbDefinition, usageMap } from "../cdb/define-cdb.ts";
import { REPORT_SUPPORTED_OPERATION_CODES, REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS } from "../cdb/report-supported.ts";
import type { Command } from "../command.ts";
import { concatenate, ParameterData } from "../parameter-data.ts";

const REPORTING_OPTIONS = { all: 0, operationCode: 1, serviceAction: 2, either: 3 } as const;
const SUPPORT = { notSupported: 1, supported: 3 } as const;

/** Commands that may run long: the recommended timeout of all is generous, because a pool that recovers holds I/O back. */
const RECOMMENDED_TIMEOUT_SECONDS = 60;

/** Command timeouts descriptor; a nominal time of 0 means that none is told (SPC-4 §6.35.4). */
function timeoutsDescriptor(): Uint8Array {
  return new ParameterData(12).u16(0, 0x0a).u32(8, RECOMMENDED_TIMEOUT_SECONDS).bytes;
}

/** `rctd`: return command timeouts descriptors. */
function allCommands(rctd: boolean): Uint8Array {
  const descriptors = CDBS.flatMap((definition) => {
    const { opcode, serviceAction, lengthBytes } = definition;
    const flags = (rctd ? 0x02 : 0) | (serviceAction === undefined ? 0 : 0x01); // CTDP, SERVACTV
    const descriptor = new ParameterData(8)
      .u8(0, opcode)
      .u16(2, serviceAction ?? 0)
      .u8(5, flags)
      .u16(6, lengthBytes).bytes;
    return rctd ? [descriptor, timeoutsDescriptor()] : [descriptor];
  });
  const list = concatenate(descriptors);
  return concatenate([new ParameterData(4).u32(0, list.length).bytes, list]);
}

function oneCommand(definition: CdbDefinition | undefined, rctd: boolean): Uint8Array {
  if (definition === undefined) return new ParameterData(4).u8(1, SUPPORT.notSupported).bytes;
  const usage = usageMap(definition);
  const header = new ParameterData(4).u8(1, (rctd ? 0x80 : 0) | SUPPORT.supported).u16(2, usage.length).bytes;
  return concatenate(rctd ? [header, usage, timeoutsDescriptor()] : [header, usage]);
}

export function reportSupportedOperationCodes(command: Command): void {
  const { fields } = REPORT_SUPPORTED_OPERATION_CODES;
  const allocationLength = command.field(fields.allocationLength);
  const rctd = command.field(fields.rctd) !== 0;
  const opcode = command.field(fields.requestedOperationCode);
  const serviceAction = command.field(fields.requestedServiceAction);
  const split = hasServiceActions(opcode);
  const known = cdbIndex(opcode, split ? serviceAction : 0);
  switch (command.field(fields.reportingOptions)) {
    case REPORTING_OPTIONS.all:
      command.inline(allCommands(rctd), allocationLength);
      return;
    case REPORTING_OPTIONS.operationCode:
      if (split) {
        command.invalidField(fields.requestedOperationCode);
        return;
      }
      break;
    case REPORTING_OPTIONS.serviceAction:
      if (known >= 0 && !split) {
        command.invalidField(fields.requestedOperationCode);
        return;
      }
      break;
    case REPORTING_OPTIONS.either:
      if (!split && serviceAction !== 0) {
        command.inline(oneCommand(undefined, rctd), allocationLength);
        return;
      }
      break;
    default:
      command.invalidField(fields.reportingOptions);
      return;
  }
  command.inline(oneCommand(CDBS[known], rctd), allocationLength);
}

/** ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, TARGET RESET: those that the transport carries out. */
const TASK_MANAGEMENT_FUNCTIONS = 0x80 | 0x40 | 0x10 | 0x08 | 0x02;

export function reportSupportedTaskManagementFunctions(command: Command): void {
  const { fields } = REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS;
  const extended = command.field(fields.repd) !== 0;
  const data = new ParameterData(extended ? 16 : 4).u8(0, TASK_MANAGEMENT_FUNCTIONS);
  if (extended) data.u8(3, 0x0c); // ADDITIONAL DATA LENGTH; no timeouts are told (TMFTMOV 0)
  command.inline(data.bytes, command.field(fields.allocationLength));
}
