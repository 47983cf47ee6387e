/**
 * What one command may ask for: told in VPD page B0h, enforced by the commands, used by the plan of data-out.
 *
 * Runs on: any thread. Owns: nothing. In bytes, so that they hold for either logical block size.
 */
const MEBIBYTE = 1024 * 1024;

/** READ, WRITE, VERIFY, WRITE AND VERIFY, PRE-FETCH. The block interface takes 1024 blocks and the phase. */
export const TRANSFER_BYTES_MAX = 4 * MEBIBYTE;

/** Above this a command gains nothing: one burst of write data. */
export const OPTIMAL_TRANSFER_BYTES = 256 * 1024;

/**
 * WRITE SAME: a pattern that is not zeros is written piece by piece; this bounds how long one command takes. Under 2^16
 * blocks of 512: hosts stop there anyway (WRITE SAME(10) counts in 16 bits), and iscsi-test-cu takes a unit that allows as
 * many for one that also takes a WRITE(16) of that length, past TRANSFER_BYTES_MAX.
 */
export const WRITE_SAME_BYTES_MAX = 16 * MEBIBYTE;

/** All ranges of one UNMAP together. (iscsi-test-cu finds more than 2^20 blocks insane; this is 2^20 of 512 bytes.) */
export const UNMAP_BYTES_MAX = 512 * MEBIBYTE;
export const UNMAP_DESCRIPTORS_MAX = 256;

/** GET LBA STATUS: with its header the answer fits into one frame, and stays small on its way through the channel. */
export const LBA_STATUS_DESCRIPTORS_MAX = 255;

/** MODE SELECT lists: far more than all pages together. */
export const MODE_PARAMETER_LIST_BYTES_MAX = 1024;
