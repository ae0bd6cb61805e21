# The smallest sink: appends what each client of a Unix stream socket sends to a file.
# Arguments: socket, file, and how many seconds each client waits before it is first read.
import os
import socket
import sys
import threading
import time

path, file, pause = sys.argv[1], sys.argv[2], float((sys.argv[3:] or ["0"])[0])
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind(path)
listener.listen(64)
out = open(file, "ab", buffering=0)
lock = threading.Lock()


def serve(client):
    time.sleep(pause)
    begun = b""
    while data := client.recv(65536):
        *lines, begun = (begun + data).split(b"\n")
        with lock:
            out.write(b"".join(line + b"\n" for line in lines))
    with lock:
        out.write(begun)


while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client,), daemon=True).start()
