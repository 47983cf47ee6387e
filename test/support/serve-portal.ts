/**
 * A portal for real initiators to try: `node dist-test/test/support/serve-portal.js [port]`, in front of volumes in memory.
 * (Build with `npx tsc -p tsconfig.test.json --noEmit false --outDir dist-test`, and copy kernels.wasm from dist to the same
 * place in dist-test.)
 */
import { openPortal } from "./portal-fixture.ts";

const port = Number(process.argv[2] ?? 3290);
const fixture = await openPortal({
  port,
  iscsi: {
    maxRecvDataSegmentBytes: 256 << 10,
    firstBurstBytes: 256 << 10,
    maxBurstBytes: 1 << 20,
    commandWindow: 128,
    sessionsPerDirectorMax: 128,
    connectionsPerAddressMax: 128,
  },
});
process.stdout.write(`listening on ${fixture.portal.address}\n`);
process.on("SIGTERM", () => {
  void fixture.close().then(() => process.exit(0));
});
