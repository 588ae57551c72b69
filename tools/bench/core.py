"""What the rules cost without sockets: places in a queue while many wait."""
from stage import BUILD, shell


def run_queue(_args, row):
    out = shell(f"{BUILD}/bench/queue").rstrip().splitlines()
    for line in out:
        row(line)
    most, times = out[-1].split(" waiting: ")
    return f"queue: {max(int(text) for text in times.split())} ns at most with {most.strip()} waiting"
