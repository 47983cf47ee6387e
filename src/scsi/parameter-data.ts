/** Parameter data under construction: big-endian fields and padded text. Set-up commands only. */
export class ParameterData {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  constructor(length: number) {
    this.bytes = new Uint8Array(length);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(at: number, value: number): this {
    this.#view.setUint8(at, value);
    return this;
  }

  u16(at: number, value: number): this {
    this.#view.setUint16(at, value);
    return this;
  }

  u24(at: number, value: number): this {
    return this.u8(at, value >>> 16).u16(at + 1, value & 0xffff);
  }

  u32(at: number, value: number): this {
    this.#view.setUint32(at, value);
    return this;
  }

  u64(at: number, value: bigint): this {
    this.#view.setBigUint64(at, value);
    return this;
  }

  /** ASCII, padded with spaces to `length`. */
  text(at: number, value: string, length: number): this {
    for (let i = 0; i < length; i += 1) this.bytes[at + i] = i < value.length ? value.charCodeAt(i) & 0x7f : 0x20;
    return this;
  }

  set(at: number, value: Uint8Array): this {
    this.bytes.set(value, at);
    return this;
  }
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
