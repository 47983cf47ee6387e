/** A ring's two ends on one thread: what a message costs apart from waking its reader (bench/kernels.mjs has that). */
import { channelRing } from "../../dist/drivers/shared-memory/layout.js";
import { RingConsumer, RingProducer } from "../../dist/drivers/shared-memory/ring.js";
import { makeMemory, sink } from "./memory.mjs";

const BATCH = 32;

export function cases() {
  const global = makeMemory();
  const place = channelRing(global.layout, 0, 1);
  const producer = new RingProducer(global, place);
  const consumer = new RingConsumer(global, place);
  const { i32 } = global;
  const push = (value) => {
    i32[producer.tryReserve()] = value;
    producer.publish();
  };
  const pop = () => {
    sink.value ^= i32[consumer.peek()];
    consumer.advance();
  };
  return [
    {
      name: "ring: one in, one out",
      batch: BATCH,
      run: () => {
        for (let n = 0; n < BATCH; n++) {
          push(n);
          pop();
        }
      },
    },
    {
      name: "ring: 32 in, 32 out",
      batch: BATCH,
      run: () => {
        for (let n = 0; n < BATCH; n++) push(n);
        for (let n = 0; n < BATCH; n++) pop();
      },
    },
  ];
}
