/**
 * Basic Header Segments as tables: one table decodes, encodes and prints a PDU's 48 bytes, and is what the golden tests hold.
 *
 * RFC 7143 §11.2. Big-endian; offsets are bytes from the start of the BHS. A table that claims a bit twice, or a byte
 * past the end, does not load. Opcode, the immediate bit, TotalAHSLength and DataSegmentLength lie at the same place in
 * every PDU and are added to every table.
 */
export const BHS_BYTES = 48;

export interface Field<Value> {
  readonly type: string;
  readonly offset: number;
  /** Bits taken in each byte from `offset` on. */
  readonly masks: readonly number[];
  readonly zero: Value;
  read(bytes: Uint8Array, at: number): Value;
  write(bytes: Uint8Array, at: number, value: Value): void;
}

function unsigned(type: string, offset: number, width: number): Field<number> {
  return {
    type,
    offset,
    masks: new Array<number>(width).fill(0xff),
    zero: 0,
    read(bytes, at) {
      let value = 0;
      for (let i = 0; i < width; i += 1) value = value * 256 + bytes[at + offset + i]!;
      return value;
    },
    write(bytes, at, value) {
      let rest = value;
      for (let i = width - 1; i >= 0; i -= 1) {
        bytes[at + offset + i] = rest % 256;
        rest = Math.floor(rest / 256);
      }
    },
  };
}

export const u8 = (offset: number): Field<number> => unsigned("u8", offset, 1);
export const u16 = (offset: number): Field<number> => unsigned("u16", offset, 2);
export const u24 = (offset: number): Field<number> => unsigned("u24", offset, 3);
export const u32 = (offset: number): Field<number> => unsigned("u32", offset, 4);

export function u64(offset: number): Field<bigint> {
  const high = unsigned("u32", offset, 4);
  const low = unsigned("u32", offset + 4, 4);
  return {
    type: "u64",
    offset,
    masks: new Array<number>(8).fill(0xff),
    zero: 0n,
    read: (bytes, at) => (BigInt(high.read(bytes, at)) << 32n) | BigInt(low.read(bytes, at)),
    write(bytes, at, value) {
      high.write(bytes, at, Number(value >> 32n));
      low.write(bytes, at, Number(value & 0xffffffffn));
    },
  };
}

/** One bit; `bit` 7 is the most significant. */
export function flag(offset: number, bit: number): Field<boolean> {
  const mask = 1 << bit;
  return {
    type: `bit ${bit}`,
    offset,
    masks: [mask],
    zero: false,
    read: (bytes, at) => (bytes[at + offset]! & mask) !== 0,
    write(bytes, at, value) {
      bytes[at + offset] = (bytes[at + offset]! & ~mask) | (value ? mask : 0);
    },
  };
}

/** `width` bits whose least significant is `lowBit`. */
export function bits(offset: number, lowBit: number, width: number): Field<number> {
  const mask = ((1 << width) - 1) << lowBit;
  return {
    type: `bits ${lowBit + width - 1}…${lowBit}`,
    offset,
    masks: [mask],
    zero: 0,
    read: (bytes, at) => (bytes[at + offset]! & mask) >> lowBit,
    write(bytes, at, value) {
      bytes[at + offset] = (bytes[at + offset]! & ~mask) | ((value << lowBit) & mask);
    },
  };
}

/** A byte string in hexadecimal: ISIDs and CDBs. */
export function hex(offset: number, length: number): Field<string> {
  return {
    type: `${length} bytes`,
    offset,
    masks: new Array<number>(length).fill(0xff),
    zero: "00".repeat(length),
    read: (bytes, at) => Buffer.from(bytes.buffer, bytes.byteOffset + at + offset, length).toString("hex"),
    write(bytes, at, value) {
      const source = Buffer.from(value, "hex");
      if (source.length !== length) throw new RangeError(`${length} bytes in hexadecimal expected, got "${value}"`);
      bytes.set(source, at + offset);
    },
  };
}

const COMMON = {
  immediate: flag(0, 6),
  totalAHSLength: u8(4), // words of four bytes
  dataSegmentLength: u24(5), // bytes, padding not counted
} as const;

// biome-ignore lint/suspicious/noExplicitAny: a table mixes fields of every value type
export type FieldTable = Readonly<Record<string, Field<any>>>;
type ValueOf<F> = F extends Field<infer Value> ? Value : never;
type ValuesOf<Fields extends FieldTable> = { readonly [Name in keyof Fields]: ValueOf<Fields[Name]> } & {
  readonly [Name in keyof typeof COMMON]: ValueOf<(typeof COMMON)[Name]>;
};

export interface Bhs<Fields extends FieldTable> {
  readonly name: string;
  readonly opcode: number;
  readonly fields: FieldTable;
  decode(bytes: Uint8Array, at?: number): ValuesOf<Fields>;
  /** Writes 48 bytes at `at`; what is not named is zero. */
  encode(values: Partial<ValuesOf<Fields>>, into?: Uint8Array, at?: number): Uint8Array;
  print(bytes: Uint8Array, at?: number): string;
}

export type BhsOf<Table> = Table extends Bhs<infer Fields> ? ValuesOf<Fields> : never;

function claim(taken: Uint8Array, pdu: string, name: string, field: Field<unknown>): void {
  for (const [i, mask] of field.masks.entries()) {
    const byte = field.offset + i;
    if (byte >= BHS_BYTES) throw new RangeError(`${pdu}.${name} runs past the basic header segment`);
    if ((taken[byte]! & mask) !== 0) throw new RangeError(`${pdu}.${name} overlaps another field in byte ${byte}`);
    taken[byte]! |= mask;
  }
}

export function defineBhs<const Fields extends FieldTable>(name: string, opcode: number, fields: Fields): Bhs<Fields> {
  const all: FieldTable = { ...COMMON, ...fields };
  const taken = new Uint8Array(BHS_BYTES);
  taken[0] = 0x3f; // the opcode itself
  for (const [fieldName, field] of Object.entries(all)) claim(taken, name, fieldName, field);

  const decode = (bytes: Uint8Array, at = 0): ValuesOf<Fields> => {
    const values: Record<string, unknown> = {};
    for (const [fieldName, field] of Object.entries(all)) values[fieldName] = field.read(bytes, at);
    return values as ValuesOf<Fields>;
  };
  return {
    name,
    opcode,
    fields: all,
    decode,
    encode(values, into = new Uint8Array(BHS_BYTES), at = 0) {
      into.fill(0, at, at + BHS_BYTES);
      into[at] = opcode;
      for (const [fieldName, value] of Object.entries(values)) {
        const field = all[fieldName];
        if (field === undefined) throw new RangeError(`${name} has no field ${fieldName}`);
        field.write(into, at, value);
      }
      return into;
    },
    print(bytes, at = 0) {
      const values = decode(bytes, at) as Record<string, unknown>;
      const shown = Object.entries(values)
        .filter(([fieldName, value]) => value !== all[fieldName]!.zero)
        .map(
          ([fieldName, value]) => `${fieldName}=${typeof value === "number" && value > 9 ? `0x${value.toString(16)}` : value}`,
        );
      return `${name}{${shown.join(" ")}}`;
    },
  };
}
