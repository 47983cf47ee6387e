/** The container's health check: 0 when the array is ready, 1 with the reasons when it is not. */
const port = process.env.VARRAY_API_PORT || "8080";
const timeoutMilliseconds = 4000;

try {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(timeoutMilliseconds) });
  const { ready, reasons = [], warnings = [] } = await answer.json();
  console.log(ready ? ["ready", ...warnings].join("; ") : reasons.join("; "));
  process.exit(ready ? 0 : 1);
} catch (error) {
  console.log(`the API does not answer on port ${port}: ${error.cause?.message ?? error.message}`);
  process.exit(1);
}
