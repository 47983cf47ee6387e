/** Logical Block Provisioning, B2h (SBC-3 §6.6.4): thin; UNMAP and both WRITE SAMEs unmap; unmapped blocks read as zeros. */
import { ParameterData } from "../parameter-data.ts";
import type { VpdPage } from "./vpd-page.ts";

export const LOGICAL_BLOCK_PROVISIONING: VpdPage = {
  code: 0xb2,
  body: () =>
    new ParameterData(4)
      .u8(1, 0x80 | 0x40 | 0x20 | 0x04) // LBPU, LBPWS, LBPWS10, LBPRZ 001b
      .u8(2, 0x02).bytes, // PROVISIONING TYPE: thin provisioned
};
