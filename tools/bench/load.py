"""What a request costs beside nginx, and what small requests notice of large ones."""
import json, os, statistics, threading, time

from stage import Failure, Stage, cpu_us, family, fetch, make_envelope, make_keys, memory_mb, metric, pin, start_nginx, start_worker, wrk

CONNECTIONS = (1, 64)


def measure(stage, worker, rounds, seconds, row):
    backend, sink = stage.server("backend"), stage.server("sink")
    make_keys(stage)
    ours, our_url, _ = start_worker(stage, worker, backend, sink)
    idle = memory_mb(ours.pid)
    body = make_envelope(stage, our_url)
    stage.write("body.json", body)
    peer, peer_url = start_nginx(stage, backend)

    # Both do the work they are measured for.
    status, answer = fetch(our_url + "/v1/embeddings", body.encode())
    if status != 200 or len(answer) != 4096 or "data" not in json.loads(answer):
        raise Failure(f"the worker answered {status} with {len(answer)} bytes: {answer[:200]!r}")
    forged = json.loads(body)
    forged["auth_data"]["signature"] = "A" * 342 + "=="
    status, _ = fetch(our_url + "/v1/embeddings", json.dumps(forged).encode())
    if status != 401:
        raise Failure(f"the worker answered a forged signature with {status}")
    if fetch(peer_url + "/v1/embeddings", body.encode())[1] != answer:
        raise Failure("nginx did not pass the backend's answer on")

    who = (("backend alone", f"http://127.0.0.1:{backend}", None), ("nginx", peer_url, peer.pid), ("vastworker-run", our_url, ours.pid))
    for name, url, _ in who:
        wrk(stage, url, 64, 1)
    medians = {}
    for connections in CONNECTIONS:
        seen = {name: [] for name, _, _ in who}
        for turn in range(rounds):
            for name, url, pid in who if turn % 2 == 0 else who[::-1]:
                before = cpu_us(pid) if pid else 0
                result = wrk(stage, url, connections, seconds if pid else max(1, seconds // 2))
                used = cpu_us(pid) - before if pid else 0
                seen[name].append((result["requests"] / result["us"] * 1e6, result["p50"], result["p99"], used / result["requests"]))
        for name, _, _ in who:
            medians[connections, name] = [statistics.median(column) for column in zip(*seen[name])]
        theirs, mine = medians[connections, "nginx"], medians[connections, "vastworker-run"]
        for name, _, pid in who:
            rate, p50, p99, cpu = medians[connections, name]
            row(f"{connections:>11} {name:<16}{rate:>12.0f}{p50:>10.0f}{p99:>10.0f}" + (f"{cpu:>14.1f}" if pid else f"{'-':>14}"))
        row(f"{'':>11} {'ours / nginx':<16}" + "".join(f"{m / t:>{w}.2f}" for m, t, w in zip(mine, theirs, (12, 10, 10, 14))))
    time.sleep(2.5)  # the last deletions and the next report are out: what stays is what load leaves behind
    after = memory_mb(ours.pid)
    nginx_after = memory_mb(family(peer.pid)[-1])
    told = fetch(our_url + "/metrics")[1].decode()
    if metric(told, 'vastworker_reports_total{result="accepted"}') < 1:
        raise Failure("the control plane accepted no report: what was measured left the accounts out")
    dropped = metric(told, "vastworker_deletions_dropped_total")
    stage.end(ours)
    stage.end(peer)
    return medians, idle, after, nginx_after, dropped


def run_load(args, row):
    row(f"{'connections':>11} {'':<16}{'requests/s':>12}{'p50 us':>10}{'p99 us':>10}{'CPU us/req':>14}")
    with Stage() as stage:
        medians, idle, after, nginx_after, dropped = measure(stage, args.worker, args.rounds, args.seconds, row)
    row("")
    row(f"memory, MB:          RssAnon {idle[0]:.1f} (RSS {idle[1]:.1f}) idle, {after[0]:.1f} ({after[1]:.1f}) after the load;"
        f" nginx's worker {nginx_after[0]:.1f} ({nginx_after[1]:.1f})")
    if dropped:
        row(f"deletions dropped:   {dropped:.0f} (their list is bounded; this load finishes more requests than reports can name)")
    mine, theirs = (medians[64, name][3] for name in ("vastworker-run", "nginx"))
    return f"{mine:.1f} us of CPU a request at 64 connections, {mine / theirs:.2f} of nginx's (goal 0.90); RssAnon idle {idle[0]:.1f} MB (goal 6)"


LARGE_BYTES = 10 << 20


def make_large(small):
    """The same signature before a payload of 10 MiB: half of it as an image in base64 is, half a list of short texts."""
    envelope = json.loads(small)
    envelope["payload"]["image"] = "QUJD" * (LARGE_BYTES // 2 // 4)
    envelope["payload"]["input"] = ["hello world"] * (LARGE_BYTES // 2 // len('"hello world", '))
    return json.dumps(envelope).encode()


def send_large(url, body, over, sent):
    """One every 100 ms after the answer to the last, until `over`; fills `sent` with what came of them."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)  # this thread: it gets what wrk and the servers leave
    while not over.wait(0.1):
        sent.append(fetch(url + "/v1/embeddings", body)[0])


def long_turns(text):
    count = metric(text, "vastworker_loop_turn_cpu_seconds_count")
    return int(count - metric(text, 'vastworker_loop_turn_cpu_seconds_bucket{le="0.01"}'))


def measure_beside(stage, url, large, seconds):
    """Small requests alone, then beside large ones: what wrk saw of each, and how many large ones there were in a second."""
    over, sent = threading.Event(), []
    thread = threading.Thread(target=send_large, args=(url, large, over, sent))
    alone = wrk(stage, url, 16, seconds, pause_ms=10)
    thread.start()
    beside = wrk(stage, url, 16, seconds, pause_ms=10)
    over.set()
    thread.join()
    if not sent or any(status != 200 for status in sent):
        raise Failure(f"{url} answered requests of {len(large)} bytes with {sorted(set(sent)) or 'nothing'}")
    return alone["p50"], alone["p99"], beside["p50"], beside["p99"], len(sent) / seconds


def run_mixed(args, row):
    """Small requests that think 10 ms in between, so that the machine is not full; with and without large ones beside them.
    Wrk and the servers keep off the proxies' core, where there are two: what is asked is how a proxy shares its time."""
    cores = sorted(os.sched_getaffinity(0))
    with Stage() as stage:
        backend, sink = stage.server("backend"), stage.server("sink")
        make_keys(stage)
        ours, url, _ = start_worker(stage, args.worker, backend, sink)
        peer, peer_url = start_nginx(stage, backend, location="proxy_request_buffering off;")
        pin([os.getpid()], cores[1:] or cores)
        pin([ours.pid, peer.pid], cores[:1])
        small = make_envelope(stage, url)
        stage.write("body.json", small)
        large = make_large(small)
        who = (("nginx", peer_url), ("vastworker-run", url))
        seen = {name: [] for name, _ in who}
        for turn in range(args.rounds):
            for name, one in who if turn % 2 == 0 else who[::-1]:
                seen[name].append(measure_beside(stage, one, large, args.seconds))
        told = fetch(url + "/metrics")[1].decode()
        pin([os.getpid()], cores)
    row(f"{'10 MiB every 100 ms':<28}{'p50 alone':>11}{'p99 alone':>11}{'p50 beside':>12}{'p99 beside, us':>16}{'/ alone':>9}{'large/s':>9}")
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in seen.items()}
    ratios = {name: statistics.median(beside / alone for _, alone, _, beside, _ in rows) for name, rows in seen.items()}
    for name, _ in who:
        row(f"{'':>11} {name:<16}" + "{:>11.0f}{:>11.0f}{:>12.0f}{:>16.0f}{:>9.2f}{:>9.1f}".format(*medians[name][:4], ratios[name], medians[name][4]))
    row(f"                     turns of the loop over 10 ms of CPU: {long_turns(told)}; the longest took "
        f"{metric(told, 'vastworker_loop_stall_seconds') * 1000:.1f} ms on the wall")
    return (f"small requests' p99 beside 10 MiB envelopes {ratios['vastworker-run']:.1f} of alone (goal 2; nginx {ratios['nginx']:.1f}), "
            f"{long_turns(told)} turns over 10 ms of CPU (goal 0)")
