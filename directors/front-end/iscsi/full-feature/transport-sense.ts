/** Sense that the transport itself gives (RFC 7143 §11.4.7.2, SPC-5 §4.4.3), fixed format, 18 bytes. */
export type TransportSense =
  | "protocolServiceCrcError"
  | "unexpectedUnsolicitedData"
  | "incorrectAmountOfData"
  | "invalidFieldInCdb";

const CODES = {
  protocolServiceCrcError: [0x0b, 0x47, 0x05],
  unexpectedUnsolicitedData: [0x0b, 0x0c, 0x0c],
  incorrectAmountOfData: [0x0b, 0x0c, 0x0d],
  invalidFieldInCdb: [0x05, 0x24, 0x00],
} as const satisfies Record<TransportSense, readonly [key: number, asc: number, ascq: number]>;

export const TRANSPORT_SENSE_BYTES = 18;

export function writeTransportSense(into: Uint8Array, name: TransportSense): void {
  const [key, asc, ascq] = CODES[name];
  into.fill(0, 0, TRANSPORT_SENSE_BYTES);
  into[0] = 0x70; // current, fixed format
  into[2] = key;
  into[7] = TRANSPORT_SENSE_BYTES - 8;
  into[12] = asc;
  into[13] = ascq;
}
