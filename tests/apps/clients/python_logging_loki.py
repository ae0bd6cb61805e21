"""Logs numbered lines with python-logging-loki: ADDRESS, the version of the push (0 or 1), and how many."""
import logging
import sys

import logging_loki

address, version, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
path = {"0": "/api/prom/push", "1": "/loki/api/v1/push"}[version]


class Strict(logging_loki.LokiHandler):
    """Fails where the library would only complain."""

    def handleError(self, record):
        raise


logger = logging.getLogger("numbers")
logger.setLevel(logging.DEBUG)
logger.addHandler(Strict(url=address + path, tags={"app": "python"}, version=version))
for number in range(count):
    logger.warning('line %d: "quoted" back\\slash \u00e4 \U0001f600 <tag> & tab\there', number)
