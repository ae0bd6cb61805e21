"""print, sys.stdout and sys.stderr, and the logging module into a stream and into a file."""
import logging
import os
import sys

logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
log = logging.getLogger("file")
log.addHandler(logging.FileHandler("python.log"))
log.propagate = False

for number in range(200):
    print("print", number, "in", "parts")
    print("print, flushed", flush=True)
    sys.stdout.write(f"stdout.write {number}\n")
    sys.stdout.flush()
    sys.stderr.write(f"stderr.write {number}\n")
    logging.info("logging %d", number)
    log.warning("the log file %d", number)
    os.write(1, b"os.write\n")
sys.stdout.buffer.write(b"bytes that are no text: \xff\xfe\n")
sys.stdout.flush()
try:
    raise ValueError("with a traceback")
except ValueError:
    logging.exception("caught")
sys.exit(9)
