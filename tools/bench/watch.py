"""A log that is written fast: is each match found, and what does following it cost."""
import time

from stage import BUILD, Failure, Stage, cpu_us, fetch, make_keys, memory_mb, metric, shell, start_worker, wait_for

RATE, SECONDS, EVERY = 200000, 5, 1000
FOUND = 'vastworker_log_matches_total{kind="info"}'
SETS = (("preset vllm", {"preset": "vllm", "onInfo": ["Loading shard"]}),
        ("and 3 expressions", {"preset": "vllm", "onInfo": ["Loading shard"],
                               "onError": ["/CUDA error: (out of memory|an illegal memory access)/", "/^(FATAL|PANIC)/", "/exit code [1-9][0-9]*$/"]}))


def follow(stage, worker, name, actions):
    log = stage.path(f"{name.split()[-1]}.log")
    with open(log, "w") as file:
        file.write("INFO:     Application startup complete.\n")
    child, url, _ = start_worker(stage, worker, stage.server("backend"), stage.server("sink"), modelLogFile=log,
                                 logActionConfig=actions)
    before = cpu_us(child.pid)
    lines, matches, took = (float(word) for word in shell(f"{BUILD}/bench/chatter", log, str(RATE), str(SECONDS), str(EVERY)).split())
    written = time.monotonic()

    def found():
        return metric(fetch(url + "/metrics")[1].decode(), FOUND) >= matches

    wait_for("every match to be found", 20, found)
    behind = time.monotonic() - written
    cores = (cpu_us(child.pid) - before) / 1e6 / (took + behind)
    got = metric(fetch(url + "/metrics")[1].decode(), FOUND)
    if got != matches:
        raise Failure(f"{matches:.0f} lines match, {got:.0f} were found")
    result = lines / took, int(matches), behind * 1000, cores, memory_mb(child.pid)[0]
    stage.end(child)
    return result


def run_watch(args, row):
    row("a log line by line      lines/s   matches  all found after, ms  cores  RssAnon MB")
    worst, least = 0.0, RATE
    for name, actions in SETS:
        with Stage() as stage:
            make_keys(stage)
            rate, matches, behind, cores, mb = follow(stage, args.worker, name, actions)
        row(f"{name:>20} {rate:10.0f} {matches:9d} {behind:20.0f} {cores:6.2f} {mb:11.1f}")
        worst, least = max(worst, cores), min(least, rate)
    return f"a log of {least:.0f} lines/s followed with {worst:.2f} of a core (goal 0.5 at 200000), no match lost"
