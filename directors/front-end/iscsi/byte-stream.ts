/**
 * What a connection needs of its socket: node:net stays in portal.ts, and a connection can be tested without one.
 */
export interface ByteStream {
  /** This end's address, while there is one. */
  readonly localAddress?: string | undefined;
  write(bytes: Uint8Array, written?: (error?: Error | null) => void): boolean;
  cork(): void;
  uncork(): void;
  pause(): unknown;
  resume(): unknown;
  /** Sends FIN after what was written. */
  end(): unknown;
  destroy(): unknown;
}
