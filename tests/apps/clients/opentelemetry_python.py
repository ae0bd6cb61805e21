"""Exports numbered records with OpenTelemetry's SDK: ADDRESS and how many. Each is a second and a nanosecond later."""
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

address, count = sys.argv[1], int(sys.argv[2])
provider = LoggerProvider(resource=Resource.create({"service.name": "python", "host.arch": "amd64"}))
exporter = OTLPLogExporter(endpoint=address + "/v1/logs", compression=Compression.Gzip)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = provider.get_logger("numbers")
for number in range(count):
    logger.emit(LogRecord(
        timestamp=1_700_000_000_123_456_000 + number * 1_000_000_001,
        body=f'line {number}: "quoted" back\\slash \u00e4 \U0001f600 <tag> & tab\there',
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        attributes={"number": number},
    ))
if not provider.force_flush(60_000):
    sys.exit("the exporter has not sent everything")
provider.shutdown()
