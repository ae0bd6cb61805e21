#!/usr/bin/env python3
"""A legacy application: it logs into a file that LEGACY_LOG names and says nothing on stdout.

It stands for the program that nobody may change and whose log nobody can get at from outside:

    LEGACY_LOG=/tmp/legacy.log logtap run --file /tmp/legacy.log -- python3 demo/legacy.py

With --suppress=file the file stays empty and the capture has all lines.
"""
import logging
import os
import random
import time

LINES = int(os.environ.get("LEGACY_LINES", "20"))
PAUSE = float(os.environ.get("LEGACY_PAUSE", "0.1"))


def main():
    logging.basicConfig(
        filename=os.environ.get("LEGACY_LOG", "legacy.log"),
        format="%(asctime)s %(levelname)-7s %(message)s",
        level=logging.INFO,
    )
    dice = random.Random(1984)
    for number in range(1, LINES + 1):
        logging.info("booking %d accepted, %d seats", number, dice.randint(1, 9))
        if number % 7 == 0:
            logging.error("booking %d: the mainframe did not answer", number)
        time.sleep(PAUSE)
    logging.info("closing time")


if __name__ == "__main__":
    main()
