/** Device Identification, 83h (SPC-4 §7.8.6): names of the logical unit, of the port that was asked, and of the target. */
import { concatenate, ParameterData } from "../parameter-data.ts";
import { PRODUCT_IDENTIFICATION, T10_VENDOR_IDENTIFICATION } from "../target-identity.ts";
import type { VpdPage } from "./vpd-page.ts";

const CODE_SET = { binary: 1, ascii: 2, utf8: 3 } as const;
const ASSOCIATION = { logicalUnit: 0, targetPort: 1, targetDevice: 2 } as const;
const DESIGNATOR = { t10VendorId: 1, naa: 3, relativeTargetPort: 4, targetPortGroup: 5, scsiName: 8 } as const;
const PROTOCOL_ISCSI = 5;

interface Designator {
  readonly association: number;
  readonly type: number;
  readonly codeSet: number;
  readonly value: Uint8Array;
}

function designator({ association, type, codeSet, value }: Designator): Uint8Array {
  const ofPort = association !== ASSOCIATION.logicalUnit; // only then the protocol identifier is valid (PIV)
  return new ParameterData(4 + value.length)
    .u8(0, (ofPort ? PROTOCOL_ISCSI << 4 : 0) | codeSet)
    .u8(1, (ofPort ? 0x80 : 0) | (association << 4) | type)
    .u8(3, value.length)
    .set(4, value).bytes;
}

function portNumber(value: number): Uint8Array {
  return new ParameterData(4).u16(2, value).bytes;
}

/** UTF-8, ended by NUL and padded with NULs to a multiple of four (SPC-4 §7.8.6.11). */
function scsiNameString(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  const padded = new Uint8Array(Math.ceil((text.length + 1) / 4) * 4);
  padded.set(text);
  return padded;
}

export const DEVICE_IDENTIFICATION: VpdPage = {
  code: 0x83,
  body: ({ info, identity, port }) => {
    const { logicalUnit, targetPort, targetDevice } = ASSOCIATION;
    const vendorText = `${T10_VENDOR_IDENTIFICATION}${PRODUCT_IDENTIFICATION}${info.serial}`;
    const portName = `${identity.targetName},t,0x${port.groupTag.toString(16).padStart(4, "0")}`;
    return concatenate([
      designator({
        association: logicalUnit,
        type: DESIGNATOR.naa,
        codeSet: CODE_SET.binary,
        value: Buffer.from(info.naa, "hex"),
      }),
      designator({
        association: logicalUnit,
        type: DESIGNATOR.t10VendorId,
        codeSet: CODE_SET.ascii,
        value: Buffer.from(vendorText, "ascii"),
      }),
      designator({
        association: targetPort,
        type: DESIGNATOR.relativeTargetPort,
        codeSet: CODE_SET.binary,
        value: portNumber(port.groupTag),
      }),
      designator({
        association: targetPort,
        type: DESIGNATOR.targetPortGroup,
        codeSet: CODE_SET.binary,
        value: portNumber(port.groupTag),
      }),
      designator({ association: targetPort, type: DESIGNATOR.scsiName, codeSet: CODE_SET.utf8, value: scsiNameString(portName) }),
      designator({
        association: targetDevice,
        type: DESIGNATOR.scsiName,
        codeSet: CODE_SET.utf8,
        value: scsiNameString(identity.targetName),
      }),
    ]);
  },
};
