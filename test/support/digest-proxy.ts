/**
 * A proxy that turns on header digests between libiscsi's tools and a portal.
 *
 * The tools of libiscsi 1.19 offer HeaderDigest=None,CRC32C whatever `?header_digest=` says, and a target takes the first it
 * knows (RFC 7143 §13.1). The proxy turns the two round in the first Login Request of each connection, which keeps its
 * length; everything after it passes untouched, so that what is checked is what the two ends made.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";

const BHS_BYTES = 48;
const OFFERED = "HeaderDigest=None,CRC32C\0";
const WANTED = "HeaderDigest=CRC32C,None\0";

export interface DigestProxy {
  readonly port: number;
  /** Login requests that were changed. */
  readonly changed: () => number;
  close(): void;
}

export async function openDigestProxy(portalPort: number): Promise<DigestProxy> {
  const sockets = new Set<Socket>();
  let changed = 0;
  const server: Server = createServer((client) => {
    const portal = createConnection({ port: portalPort, host: "127.0.0.1", noDelay: true });
    client.setNoDelay(true);
    for (const [one, other] of [[client, portal] as const, [portal, client] as const]) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        sockets.delete(one);
        other.destroySoon();
      });
    }
    portal.pipe(client);
    whenFirstPdu(client, (bytes) => {
      changed += turnRound(bytes);
      portal.write(bytes);
      client.pipe(portal);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    changed: () => changed,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function whenFirstPdu(socket: Socket, take: (bytes: Buffer) => void): void {
  let bytes = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < BHS_BYTES || bytes.length < BHS_BYTES + bytes.readUIntBE(5, 3)) return;
    socket.off("data", onData);
    socket.pause();
    take(bytes);
  };
  socket.on("data", onData);
}

function turnRound(bytes: Buffer): number {
  const at = bytes.indexOf(OFFERED, BHS_BYTES, "latin1");
  if (at < 0) return 0;
  bytes.write(WANTED, at, "latin1");
  return 1;
}
