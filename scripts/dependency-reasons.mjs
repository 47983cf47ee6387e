/** Why each npm dependency is here; `npm run docs` makes docs/dependencies.md of it, and refuses one without a reason. */
export const REASONS = {
  "@fastify/swagger": "The OpenAPI document out of the routes' schemas, so that it can't differ from what is validated.",
  "@node-rs/crc32":
    "CRC32C of data by processor instructions, on shared memory, 6 GB/s: four times WebAssembly (issue's measurements).",
  commander: "The CLI's commands, options and help; no dependencies of its own.",
  fastify: "HTTP for the control plane: schema at every route, limits and hooks that the bad-input table needs.",
  level: "The drives: zones, map and metadata are LevelDB databases (classic-level under it; prebuilt for common platforms).",
  pino: "JSON log lines at a cost that a thread can bear; never on the data path.",
  piscina:
    "Each director's thread pool for bulk work on global memory by offset: strips made of their stripes, stripes verified, first touch.",
  "prom-client": "The Prometheus exposition format and the process's own metrics.",
  typebox: "Schemas that are types: configuration, API requests and answers, OpenAPI from one source.",
  yaml: "The configuration file; its failsafe schema keeps every scalar a text (a drive `00` stays `00`).",
  "@biomejs/biome": "Formatter and linter in one; import directions and restricted globals are its rules.",
  "@types/node": "Types of Node 20, the oldest that is supported.",
  "@vitest/coverage-v8": "Coverage of the tests; its version follows vitest's.",
  assemblyscript: "Compiles the kernels (XOR, copy, fill, compare, CRC32C) to WebAssembly SIMD, in the project's language.",
  "fast-check": "Property tests: kernels, RAID erasures, sizes, wire formats; failing seeds become regression cases.",
  knip: "Finds files, exports and dependencies that nothing uses.",
  oxlint: "Lint rules about promises that need types and that Biome has not yet.",
  "oxlint-tsgolint": "The type-aware engine of oxlint.",
  tinybench: "The micro-benchmarks' timing and statistics (bench/micro).",
  typescript: "The language; strict, erasable syntax only.",
  vega: "Draws the plots of docs/performance.md as SVG, without a browser or a canvas.",
  "vega-lite": "Plots as specifications: what is shown, not how it is drawn.",
  vitest: "The test runner; version 4, because 5 needs Node 22.",
};
