"""A folder and the processes of one run of the benchmark: servers, proxies, keys, and what they cost."""
import json, os, re, shutil, signal, socket, ssl, subprocess, tempfile, threading, time
import urllib.error, urllib.request

BUILD = "build/release"
ENVELOPE_BYTES = 567

WRK = """
local path = os.getenv("BENCH_BODY")
local pause = tonumber(os.getenv("BENCH_PAUSE_MS"))
if path then
    local file = io.open(path, "rb")
    wrk.method = "POST"
    wrk.body = file:read("*a")
    wrk.headers["Content-Type"] = "application/json"
    file:close()
else
    wrk.headers["Connection"] = "close"
end
if pause then
    function delay() return math.random(0, 2 * pause) end
end
function done(s, latency, r)
    local e = s.errors
    io.write(string.format('\\nRESULT {"requests": %d, "us": %d, "p50": %f, "p99": %f, "bad": %d}\\n', s.requests, s.duration,
        latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""

NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 30000;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log error;
events {{ worker_connections 25000; }}
http {{
    access_log off;
    client_body_temp_path {dir}/nginx-body;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    scgi_temp_path {dir}/nginx-scgi;
    client_max_body_size 0;
    keepalive_requests 100000000;
    keepalive_timeout 300;
    upstream model {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port}{listen};
        {server}
        location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; {location} }}
    }}
}}
"""


class Failure(Exception):
    pass


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds, look):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.005)
    raise Failure(f"waited {seconds} s for {what}")


def fetch(url, body=None, context=None):
    """(status, bytes); (0, b"") while nobody listens."""
    try:
        request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"} if body else {})
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()
    except OSError:
        return 0, b""


class Stage:
    """A folder and the processes of one run; leaving it leaves nothing behind."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="vastworker-bench-")
        self.running = []
        return self

    def __exit__(self, *_):
        for child in reversed(self.running):
            self.end(child)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def start(self, name, argv, env=None, pipe=False):
        log = open(self.path(name + ".log"), "ab")
        child = subprocess.Popen(argv, stdout=subprocess.PIPE if pipe else log, stderr=log, env=env)
        log.close()
        child.name = name
        self.running.append(child)
        return child

    def end(self, child, hard=False):
        if child in self.running:
            self.running.remove(child)
        if child.poll() is None:
            child.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def server(self, name, program="backend"):
        """One of ours that prints its port: what answers (backend), or what streams (source)."""
        child = self.start(name, [f"{BUILD}/bench/{program}"], pipe=True)
        return int(child.stdout.readline())

    def tail(self, name):
        with open(self.path(name + ".log"), errors="replace") as file:
            return "".join(file.readlines()[-8:])


def family(pid):
    """The process and its children: nginx works in a child."""
    pids = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            pids += [int(word) for word in file.read().split()]
    return pids


def descendants(pid):
    """The children of a process, and theirs."""
    found = [child for child in family(pid) if child != pid]
    return found + [one for child in found for one in descendants(child)]


def pin(pids, cores):
    """All their threads, and those of their children, run on these cores from now on, and what they start later."""
    for pid in (one for parent in pids for one in family(parent)):
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), cores)


def cpu_us(pid):
    """On a CPU, all threads: nanoseconds from the scheduler, or the coarse ticks of a kernel without its statistics."""
    total = 0.0
    for one in family(pid):
        try:
            for task in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0]) / 1000
        except FileNotFoundError:
            with open(f"/proc/{one}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")
    return total


class Peak:
    """The highest RssAnon of a process within a `with`, in MB, looked at every 20 ms."""

    def __init__(self, pid):
        self.pid, self.mb, self.over = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while True:
            self.mb = max(self.mb, memory_mb(self.pid)[0])
            if self.over.wait(0.02):
                return

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def memory_mb(pid):
    """(RssAnon, RSS), the worker process alone."""
    with open(f"/proc/{pid}/status") as file:
        found = dict(re.findall(r"^(RssAnon|VmRSS):\s+(\d+) kB", file.read(), re.M))
    return int(found["RssAnon"]) / 1024, int(found["VmRSS"]) / 1024


def shell(*argv, **more):
    done = subprocess.run(argv, capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise Failure(f"{argv[0]} exited with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def make_keys(stage):
    shell("openssl", "genrsa", "-out", stage.path("key.pem"), "2048")
    shell("openssl", "rsa", "-in", stage.path("key.pem"), "-pubout", "-out", stage.path("pub.pem"))


def make_envelope(stage, url):
    """An ordinary request of 567 bytes: an embedding of one text as long as needed."""
    def sign(text):
        payload = json.dumps({"model": "bench", "input": [text]})
        return shell(f"{BUILD}/vastworker-sim", "sign", "--key", stage.path("key.pem"), "--url", url, "--payload", payload).rstrip("\n")

    spare = ENVELOPE_BYTES - len(sign(""))
    body = sign("x" * max(spare, 0))
    if len(body) != ENVELOPE_BYTES:
        raise Failure(f"the envelope has {len(body)} bytes, not {ENVELOPE_BYTES}")
    return body


def platform_env(sink, tls=False):
    env = {k: v for k, v in os.environ.items() if not re.match(r"VAST_|MODEL_|PUBLIC_IPADDR|WORKER_|UNSECURED|USE_SSL|BACKEND", k)}
    env.update(CONTAINER_ID="1", MASTER_TOKEN="bench", REPORT_ADDR=f"http://127.0.0.1:{sink}", USE_SSL="true" if tls else "false")
    return env


def wait_listening(stage, child, url):
    """Until it answers 200; `url` is what to ask."""
    context = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        wait_for(f"{child.name} to be ready", 10, lambda: child.poll() is not None or fetch(url, context=context)[0] == 200)
    except Failure as why:
        raise Failure(f"{why}\n{fetch(url, context=context)[1].decode()}\n{stage.tail(child.name)}")
    if child.poll() is not None:
        raise Failure(f"{child.name} exited with status {child.returncode}:\n{stage.tail(child.name)}")


EMBEDDINGS = {"route": "/v1/embeddings", "workloadCalculator": "embeddings", "allowParallelRequests": True, "maxQueueTime": 300}
PLAIN = {"route": "/*", "methods": ["*"], "auth": "none", "workloadCalculator": 1, "allowParallelRequests": True, "maxQueueTime": 300}


def start_worker(stage, worker, backend, sink, handlers=(EMBEDDINGS,), **more):
    port = free_port()
    url = f"http{'s' if more.get('tls') else ''}://127.0.0.1:{port}"
    config = stage.write("worker.json", json.dumps({
        "modelServerUrl": "http://127.0.0.1", "modelServerPort": backend, "workerPort": port, "bindAddress": "127.0.0.1",
        "advertisedUrl": url, "publicKeyFile": stage.path("pub.pem"), "maxPerf": 1000000, "handlers": handlers, **more}))
    argv = [worker, "--config", config, "--plugin-path", f"{BUILD}/plugins", "--log-level", "warn"]
    child = stage.start("worker", argv, env=platform_env(sink, bool(more.get("tls"))))
    wait_listening(stage, child, url + "/health")
    return child, url, argv


def start_nginx(stage, backend, server="", location="", listen=""):
    """`server` and `location` are lines for these blocks; `listen` " ssl" for TLS."""
    port = free_port()
    config = stage.write("nginx.conf", NGINX.format(dir=stage.dir, backend=backend, port=port, server=server, location=location, listen=listen))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    child = stage.start("nginx", [nginx, "-e", stage.path("nginx.log"), "-p", stage.dir, "-c", config])
    url = f"http{'s' if listen else ''}://127.0.0.1:{port}"
    wait_listening(stage, child, url + "/")
    return child, url


def wrk(stage, url, connections, seconds, path="/v1/embeddings", body="body.json", pause_ms=None):
    """Requests of one body, or without one GETs that have a connection each; pause_ms: thinks so long between them, on average."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_")}
    if body:
        env["BENCH_BODY"] = stage.path(body)
    if pause_ms:
        env["BENCH_PAUSE_MS"] = str(pause_ms)
    out = shell("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", stage.write("wrk.lua", WRK), url + path, env=env)
    found = re.search(r"^RESULT (.*)$", out, re.M)
    if not found:
        raise Failure("wrk printed no result:\n" + out)
    result = json.loads(found.group(1))
    if result["bad"] or not result["requests"]:
        raise Failure(f"{url}: {result['bad']} of {result['requests']} requests went wrong")
    return result


def metric(text, name):
    found = re.search("^" + re.escape(name) + r" (\S+)$", text, re.M)
    return float(found.group(1)) if found else 0.0
