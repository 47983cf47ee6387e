/** A thread that ends in the way that it is told to, for test/unit/directors/watched-thread.test.ts. */
import { parentPort, workerData } from "node:worker_threads";

const ways = {
  exception() {
    throw new Error("on purpose: exception");
  },
  rejection() {
    void Promise.reject(new Error("on purpose: rejection"));
  },
  exit() {
    process.exit(7);
  },
  end() {
    parentPort.close();
  },
};
parentPort.on("message", (message) => {
  if (message === "stop") {
    parentPort.postMessage("stopped");
    parentPort.close();
  } else {
    parentPort.postMessage(`echo ${message}`);
  }
});
if (workerData in ways) setImmediate(ways[workerData]);
