// Exports numbered records with OpenTelemetry's SDK: ADDRESS, json or protobuf, and how many.
// Each is a second and a nanosecond later than the one before.
import { SeverityNumber } from "@opentelemetry/api-logs";
import { OTLPLogExporter as JsonExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPLogExporter as ProtobufExporter } from "@opentelemetry/exporter-logs-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";

const [address, form, count] = process.argv.slice(2);
const Exporter = form === "json" ? JsonExporter : ProtobufExporter;
const exporter = new Exporter({ url: `${address}/v1/logs` });
const processor = new BatchLogRecordProcessor({ exporter });
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ "service.name": "node", "host.arch": "amd64" }),
  processors: [processor],
});
const logger = provider.getLogger("numbers");
for (let number = 0; number < Number(count); number++) {
  logger.emit({
    timestamp: [1_700_000_000 + number, 123_456_000 + number],
    severityNumber: SeverityNumber.WARN,
    severityText: "WARN",
    body: `line ${number}: "quoted" back\\slash \u00e4 \u{1f600} <tag> & tab\there`,
    attributes: { number },
  });
}
await provider.forceFlush();
await provider.shutdown();
