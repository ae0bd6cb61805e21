"""Threads that print at the same time, with the thread's number as the first word."""
import logging
import os
import sys
import threading

logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")


def work(number):
    for line in range(500):
        os.write(1, f"{number} line {line}\n".encode())
        if line % 5 == 0:
            logging.info("e%d line %d", number, line)


threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
