"""Many streams at once, and many connections that do nothing."""
import json, resource, socket, statistics

from stage import BUILD, PLAIN, Failure, Peak, Stage, cpu_us, family, make_keys, memory_mb, shell, start_nginx, start_worker

STREAMS, EVENTS, EVERY_MS = 1000, 200, 50
IDLE = 10000


def read_streams(port):
    result = json.loads(shell(f"{BUILD}/bench/reader", str(port), str(STREAMS), str(EVENTS), str(EVERY_MS)))
    if result["complete"] != STREAMS or result["events"] != STREAMS * EVENTS:
        raise Failure(f"{STREAMS - result['complete']} of {STREAMS} streams were not complete")
    return result


def run_streams(args, row):
    seen, grown, cpu = {}, 0.0, {}
    with Stage() as stage:
        source, sink = stage.server("source", "source"), stage.server("sink")
        make_keys(stage)
        ours, our_url, _ = start_worker(stage, args.worker, source, sink, handlers=(PLAIN,))
        peer, peer_url = start_nginx(stage, source, location="proxy_buffering off;")
        who = (("source alone", source, None), ("nginx", peer_url.rpartition(":")[2], peer.pid), ("vastworker-run", our_url.rpartition(":")[2], ours.pid))
        for turn in range(args.rounds):
            for name, port, pid in who if turn % 2 == 0 else who[::-1]:
                with Peak(family(pid or ours.pid)[-1]) as peak:
                    before = cpu_us(pid) if pid else 0
                    result = read_streams(port)
                    used = cpu_us(pid) - before if pid else 0
                seen.setdefault(name, []).append((result["p50"], result["p99"], used / result["events"], peak.mb))
        after = memory_mb(ours.pid)[0]
    row(f"{STREAMS} streams of {1000 // EVERY_MS} events/s:{'':<2}{'p50 us':>10}{'p99 us':>10}{'CPU us/event':>14}{'RssAnon MB':>12}")
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in seen.items()}
    for name, _, pid in who:
        p50, p99, used, mb = medians[name]
        row(f"{'':>11} {name:<16}{p50:>10.0f}{p99:>10.0f}" + (f"{used:>14.1f}{mb:>12.1f}" if pid else f"{'-':>14}{'-':>12}"))
    first, last = seen["vastworker-run"][0][3], seen["vastworker-run"][-1][3]
    row(f"                     memory at most {first:.1f} MB in the first round, {last:.1f} MB in the last, {after:.1f} MB after it; all streams complete")
    floor = medians["source alone"][0]
    mine, theirs = medians["vastworker-run"][0] - floor, medians["nginx"][0] - floor
    return f"added delay of an event {mine:.0f} us, nginx {theirs:.0f} us (goal: not above)"


def hold(port):
    """Connections that each had one answer and are kept."""
    held = []
    for _ in range(IDLE):
        s = socket.create_connection(("127.0.0.1", port), 10)
        s.sendall(b"GET /bytes/100 HTTP/1.1\r\nHost: bench\r\n\r\n")
        got = b""
        while not got.endswith(bytes(100)):
            piece = s.recv(4096)
            if not piece:
                raise Failure(f"connection {len(held) + 1} was closed")
            got += piece
        held.append(s)
    return held


def measure_idle(pid, url):
    before = memory_mb(pid)[0]
    held = hold(int(url.rpartition(":")[2]))
    grown = (memory_mb(pid)[0] - before) * 1024 / IDLE
    for s in held:
        s.close()
    return grown


def run_idle(args, row):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * IDLE:
        row(f"idle connections:    skipped, at most {hard} descriptors are allowed here")
        return None
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Stage() as stage:
        source, sink = stage.server("source", "source"), stage.server("sink")
        make_keys(stage)
        limits = {"maxConnections": IDLE + 100}
        ours, our_url, _ = start_worker(stage, args.worker, source, sink, handlers=(PLAIN,), limits=limits, timeouts={"clientIdle": 300})
        peer, peer_url = start_nginx(stage, source)
        mine, theirs = measure_idle(ours.pid, our_url), measure_idle(family(peer.pid)[-1], peer_url)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    row(f"idle connections:    {mine:.2f} KB each of {IDLE}, all of which had an answer; nginx {theirs:.2f} KB")
    return f"an idle connection {mine:.1f} KB (goal 4)"
