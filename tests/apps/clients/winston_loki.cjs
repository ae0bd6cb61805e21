// Logs numbered lines with winston-loki: ADDRESS, json or protobuf, and how many.
const { createLogger, format } = require("winston");
const LokiTransport = require("winston-loki");

const [address, form, count] = process.argv.slice(2);
const transport = new LokiTransport({
  host: address,
  json: form === "json",
  interval: 1,
  labels: { app: "winston" },
  format: format.printf((info) => info.message),
  onConnectionError: (error) => {
    console.error(error);
    process.exit(1);
  },
});
const logger = createLogger({ transports: [transport] });
for (let number = 0; number < Number(count); number++) {
  logger.warn(`line ${number}: "quoted" back\\slash \u00e4 \u{1f600} <tag> & tab\there`);
}
logger.on("finish", () => transport.flush().then(() => process.exit(0)));
logger.end();
