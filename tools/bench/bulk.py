"""Bodies of a gibibyte, and TLS."""
import os, socket, statistics, time

from stage import PLAIN, EMBEDDINGS, Failure, Peak, Stage, cpu_us, family, make_envelope, make_keys, memory_mb, shell, start_nginx, start_worker, wrk

GIB = 1 << 30
SIZED = {"maxBodyBytes": 2 * GIB, "maxBufferedBytes": 2 * GIB}
BULK_BYTES = 256 << 20
CIPHER = "TLS_AES_128_GCM_SHA256"


def take(fd, body_file, count, before=b"", after=b""):
    """Sends a head, a file and an end; what is answered."""
    fd.sendall(before)
    with open(body_file, "rb") as file:
        sent = 0
        while sent < count:
            sent += os.sendfile(fd.fileno(), file.fileno(), sent, count - sent)
    fd.sendall(after)
    got = b""
    while b"\r\n\r\n" not in got:
        piece = fd.recv(65536)
        if not piece:
            break
        got += piece
    return got


def upload(pid, url, body_file, count, before=b"", after=b""):
    """(seconds, CPU seconds, growth of RssAnon in MB)"""
    host = url.partition("//")[2]
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(before) + count + len(after)}\r\n\r\n"
    with Peak(pid) as peak, socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as fd:
        fd.settimeout(None)
        start, cpu = time.monotonic(), cpu_us(pid)
        got = take(fd, body_file, count, head.encode() + before, after)
        took, used = time.monotonic() - start, (cpu_us(pid) - cpu) / 1e6
    if not got.startswith(b"HTTP/1.1 200"):
        raise Failure(f"{url} answered {count} bytes with {got[:200]!r}")
    return took, used, peak.mb


def write_letters(path, unit):
    with open(path, "wb") as file:
        for _ in range(GIB >> 20):
            file.write(unit * ((1 << 20) // len(unit)))


def run_streamed(stage, args, backend, sink, row):
    ours, our_url, _ = start_worker(stage, args.worker, backend, sink, handlers=(PLAIN,), limits=SIZED)
    peer, peer_url = start_nginx(stage, backend, location="proxy_request_buffering off;")
    who = (("nginx", peer_url, family(peer.pid)[-1]), ("ours", our_url, ours.pid))
    idle = memory_mb(ours.pid)[0]
    seen = {name: [] for name, _, _ in who}
    for turn in range(args.rounds):
        for name, url, pid in who if turn % 2 == 0 else who[::-1]:
            seen[name].append(upload(pid, url, stage.path("letters"), GIB))
    mine, theirs = ([statistics.median(column) for column in zip(*seen[name])] for name in ("ours", "nginx"))
    row(f"1 GiB streamed:      {mine[0]:.2f} s, {mine[1]:.2f} s of CPU, memory +{mine[2] - idle:.1f} MB; nginx {theirs[0]:.2f} s, {theirs[1]:.2f} s of CPU")
    stage.end(ours)
    return mine[2] - idle


def run_enveloped(stage, args, backend, sink, row):
    worker, url, _ = start_worker(stage, args.worker, backend, sink, handlers=(EMBEDDINGS,), limits=SIZED)
    before, after = make_envelope(stage, url).encode().rsplit(b"x" * 8, 1)
    idle = memory_mb(worker.pid)[0]
    took, used, peak = upload(worker.pid, url, stage.path("letters"), GIB, before, after)
    factor = (peak - idle) * (1 << 20) / GIB
    row(f"1 GiB enveloped:     {took:.2f} s, {used:.2f} s of CPU, memory {factor:.3f} of its size")
    return factor


def run_bulk(args, row):
    with Stage() as stage:
        backend, sink = stage.server("backend"), stage.server("sink")
        make_keys(stage)
        write_letters(stage.path("letters"), b"QUJD")
        streamed = run_streamed(stage, args, backend, sink, row)
        factor = run_enveloped(stage, args, backend, sink, row)
    return f"1 GiB streamed in +{streamed:.1f} MB, enveloped in {factor:.2f} of its size (goal 1.1)"


def make_certificate(stage):
    shell("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
          "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", stage.path("tls.key"), "-out", stage.path("tls.crt"))


def download(stage, pid, url):
    """MB/s, CPU seconds per GiB"""
    before, start = cpu_us(pid), time.monotonic()
    out = shell("curl", "-sS", "--cacert", stage.path("tls.crt"), "--tls13-ciphers", CIPHER, "-o", "/dev/null", "-w", "%{size_download}",
                f"{url}/bytes/{BULK_BYTES}")
    if int(out) != BULK_BYTES:
        raise Failure(f"{url}: {out} of {BULK_BYTES} bytes came")
    return BULK_BYTES / (time.monotonic() - start) / 1e6, (cpu_us(pid) - before) / 1e6 * GIB / BULK_BYTES


def shake(stage, pid, url, seconds):
    """Connections a second, each with a handshake and a small answer; CPU microseconds of one."""
    before = cpu_us(pid)
    result = wrk(stage, url, 32, seconds, path="/bytes/100", body=None)
    return result["requests"] / result["us"] * 1e6, (cpu_us(pid) - before) / result["requests"]


def run_tls(args, row):
    with Stage() as stage:
        source, sink = stage.server("source", "source"), stage.server("sink")
        make_keys(stage)
        make_certificate(stage)
        files = {"certFile": stage.path("tls.crt"), "keyFile": stage.path("tls.key")}
        ours, our_url, _ = start_worker(stage, args.worker, source, sink, handlers=(PLAIN,), tls=dict(files, enabled=True))
        peer, peer_url = start_nginx(stage, source, listen=" ssl", location="proxy_buffering off;", server=(
            f"ssl_certificate {files['certFile']}; ssl_certificate_key {files['keyFile']}; ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off;"))
        who = (("nginx", peer_url, peer.pid), ("vastworker-run", our_url, ours.pid))
        seen = {name: [] for name, _, _ in who}
        for turn in range(args.rounds):
            for name, url, pid in who if turn % 2 == 0 else who[::-1]:
                seen[name].append(shake(stage, pid, url, args.seconds) + download(stage, pid, url))
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in seen.items()}
    row(f"{'TLS 1.3, P-256':<28}{'connections/s':>15}{'CPU us each':>13}{'MB/s':>10}{'CPU s/GiB':>11}")
    for name, _, _ in who:
        row(f"{'':>11} {name:<16}" + "{:>15.0f}{:>13.0f}{:>10.0f}{:>11.2f}".format(*medians[name]))
    ratio = [m / t for m, t in zip(medians["vastworker-run"], medians["nginx"])]
    row(f"{'':>11} {'ours / nginx':<16}" + "{:>15.2f}{:>13.2f}{:>10.2f}{:>11.2f}".format(*ratio))
    return f"TLS handshakes {ratio[0]:.2f} and bulk {ratio[2]:.2f} of nginx's rates"
