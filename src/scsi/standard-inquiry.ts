/**
 * Standard INQUIRY data (SPC-4 §6.6.2).
 *
 * VERSION says SPC-4, and the version descriptors the standards of its generation: what iscsi-test-cu 1.19 knows, and all
 * that the commands here need. (It fails a target that says SPC-5.)
 */
import { ParameterData } from "./parameter-data.ts";
import { PRODUCT_IDENTIFICATION, PRODUCT_REVISION_LEVEL, T10_VENDOR_IDENTIFICATION } from "./target-identity.ts";

const STANDARD_INQUIRY_BYTES = 96;

/** PERIPHERAL QUALIFIER and DEVICE TYPE: a direct access block device that is there. */
export const PERIPHERAL_DISK = 0x00;
/** Qualifier 001b: a logical unit may be here, and is not there now. */
export const PERIPHERAL_NOT_CONNECTED = 0x20;
/** Qualifier 011b, type 1Fh: no logical unit can be here. */
export const PERIPHERAL_NONE = 0x7f;

/** SPC-4 table 142: standards without a revision. */
const VERSION_DESCRIPTORS = [
  0x00a0, // SAM-5
  0x0960, // iSCSI
  0x0460, // SPC-4
  0x04c0, // SBC-3
] as const;

export function standardInquiry(peripheral: number): Uint8Array {
  const data = new ParameterData(STANDARD_INQUIRY_BYTES)
    .u8(0, peripheral)
    .u8(2, 0x06) // VERSION: SPC-4
    .u8(3, 0x10 | 0x02) // HISUP, RESPONSE DATA FORMAT 2
    .u8(4, STANDARD_INQUIRY_BYTES - 5) // ADDITIONAL LENGTH
    .u8(5, 0x10) // TPGS 01b: implicit asymmetric logical unit access; no third-party copy, no protection
    .u8(6, 0x10) // MULTIP
    .u8(7, 0x02) // CMDQUE
    .text(8, T10_VENDOR_IDENTIFICATION, 8)
    .text(16, PRODUCT_IDENTIFICATION, 16)
    .text(32, PRODUCT_REVISION_LEVEL, 4);
  for (const [index, descriptor] of VERSION_DESCRIPTORS.entries()) data.u16(58 + 2 * index, descriptor);
  return data.bytes;
}
