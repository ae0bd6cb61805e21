#!/usr/bin/env python3
"""A noisy service: many threads log at the same time, with personal data that is made up.

The names, cards and addresses belong to nobody: the card numbers are the ones that payment companies
publish for tests, the host names end in .example, the IP addresses are reserved for documentation.

    logtap run -- python3 demo/noisy.py

NOISY_THREADS, NOISY_LINES (per thread) and NOISY_PAUSE (seconds between a thread's lines) set the pace.
"""
import logging
import os
import random
import sys
import threading
import time

THREADS = int(os.environ.get("NOISY_THREADS", "4"))
LINES = int(os.environ.get("NOISY_LINES", "100"))
PAUSE = float(os.environ.get("NOISY_PAUSE", "0.01"))

PEOPLE = ["ada.lovelace", "grace.hopper", "alan.turing", "katherine.johnson", "edsger.dijkstra"]
CARDS = ["4111111111111111", "5500000000000004", "378282246310005"]
EVENTS = [
    (logging.INFO, "GET /account?user={person}@mail.example 200 {milliseconds}ms"),
    (logging.INFO, "login {person}@mail.example from 192.0.2.{octet}"),
    (logging.INFO, "order {number} paid with card {card}"),
    (logging.WARNING, "slow answer for {person}: {milliseconds}ms, token=not-a-secret-{number}"),
    (logging.ERROR, "payment of order {number} refused, card {card}, phone +1-555-123-{number:04}"),
]


def serve(name):
    dice = random.Random(name)
    log = logging.getLogger(name)
    for _ in range(LINES):
        level, event = dice.choices(EVENTS, weights=[8, 4, 4, 2, 1])[0]
        log.log(
            level,
            event.format(
                person=dice.choice(PEOPLE),
                card=dice.choice(CARDS),
                octet=dice.randint(1, 254),
                number=dice.randint(0, 9999),
                milliseconds=dice.randint(1, 3000),
            ),
        )
        time.sleep(PAUSE * dice.random() * 2)


def main():
    # What is bad goes to stderr, the rest to stdout, as many services do.
    form = logging.Formatter("%(levelname)s %(name)s %(message)s")
    good = logging.StreamHandler(sys.stdout)
    good.addFilter(lambda record: record.levelno < logging.WARNING)
    bad = logging.StreamHandler(sys.stderr)
    bad.setLevel(logging.WARNING)
    for handler in (good, bad):
        handler.setFormatter(form)
    logging.basicConfig(level=logging.INFO, handlers=[good, bad])
    workers = [threading.Thread(target=serve, args=(f"worker-{n}",)) for n in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()
