// Logs numbered lines with pino-loki: ADDRESS and how many.
import pino from "pino";

const [address, count] = process.argv.slice(2);
const transport = pino.transport({
  target: "pino-loki",
  options: { host: address, batching: { interval: 1 }, labels: { app: "pino" }, silenceErrors: false },
});
const logger = pino({ base: null }, transport);
for (let number = 0; number < Number(count); number++) {
  logger.warn({ number }, `line ${number}: "quoted" back\\slash \u00e4 \u{1f600} <tag> & tab\there`);
}
transport.on("close", () => process.exit(0));
transport.end();
