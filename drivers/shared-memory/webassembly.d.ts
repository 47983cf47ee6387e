/** The bits of the WebAssembly JavaScript API that the shared-memory driver uses: TypeScript declares them only in "dom". */
declare namespace WebAssembly {
  interface MemoryDescriptor {
    readonly initial: number;
    readonly maximum: number;
    /** Always shared here: the buffer never moves, because initial equals maximum. */
    readonly shared: true;
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: SharedArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>);
    readonly exports: Readonly<Record<string, unknown>>;
  }
  /** A trap: an access outside the memory, above all. */
  class RuntimeError extends Error {}
}
