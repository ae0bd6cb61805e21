"""subprocess with every kind of stdout, os.fork, os.system and multiprocessing."""
import multiprocessing
import os
import subprocess
import sys


def work(number):
    print("from a process of a pool", number, flush=True)


def main():
    for number in range(10):
        print("before the child", number, flush=True)
        subprocess.run(["echo", "the child's own stdout"], check=True)
        subprocess.run(["sh", "-c", "echo the child on stderr >&2"], check=True)
        text = subprocess.run(["echo", "read by the parent"], capture_output=True, check=True).stdout
        print("read back:", text.decode().strip(), flush=True)
        with open("child.txt", "a") as file:
            subprocess.run(["echo", "into a file"], stdout=file, check=True)
        subprocess.run(["echo", "into nothing"], stdout=subprocess.DEVNULL, check=True)
    child = os.fork()
    if child == 0:
        print("from a forked child", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    os.system("echo through os.system")
    process = multiprocessing.get_context("fork").Process(target=work, args=(1,))
    process.start()
    process.join()
    print("the end", file=sys.stderr)


if __name__ == "__main__":
    main()
