"""How fast a worker is there: from exec to listening, and from the model's log line to the control plane."""
import json, os, random, signal, statistics, time

from stage import BUILD, Failure, Stage, descendants, fetch, free_port, make_keys, platform_env, shell, start_worker, wait_for

RUNS = 20


def measure_start(stage, worker):
    backend, sink = stage.server("backend"), stage.server("sink")
    make_keys(stage)
    child, url, argv = start_worker(stage, worker, backend, sink)
    stage.end(child)
    port = url.rpartition(":")[2]
    out = shell(f"{BUILD}/bench/launch", port, str(RUNS), *argv, env=platform_env(sink))
    return [float(line) for line in out.split()]


class News:
    """A worker whose model is about to say something, and a control plane that notes when it hears of it."""

    def __init__(self, stage, worker, control, record, number, backend, **more):
        self.stage, self.record, self.number, self.port = stage, record, number, free_port()
        self.command = more.pop("command", [])
        config = stage.write("ready.json", json.dumps({
            "modelServerUrl": f"http://127.0.0.1:{backend}", "workerPort": self.port, "bindAddress": "127.0.0.1", "sessionPort": 0,
            "advertisedUrl": f"http://127.0.0.1:{self.port}", "maxPerf": 100,
            "logActionConfig": {"onLoad": ["startup complete"], "onError": ["CUDA out of memory"]},
            "handlers": [{"route": "/v1/embeddings", "allowParallelRequests": True}], **more}))
        env = platform_env(0)
        env.update(REPORT_ADDR=control, CONTAINER_ID=str(number))
        self.child = stage.start("ready", [worker, "--config", config, "--log-level", "warn", *self.command], env=env)
        wait_for("the worker to listen", 10, lambda: self.child.poll() is not None or self.status("/health/live") == 200)

    def status(self, path):
        return fetch(f"http://127.0.0.1:{self.port}{path}")[0]

    def received(self, what, found):
        def heard():
            if self.child.poll() is not None:
                raise Failure(f"the worker exited with status {self.child.returncode}:\n{self.stage.tail('ready')}")
            with open(self.record) as file:
                for line in file:
                    if not line.endswith("\n"):
                        break  # half of one; what is read behind it would be the other half
                    entry = json.loads(line)
                    if entry["path"] == "/worker_status/" and entry["body"]["id"] == self.number and found(entry["body"]):
                        return entry["t"]
            return None

        return wait_for(f"the control plane to hear of {what}", 15, heard)

    def end(self):
        self.stage.end(self.child, hard=True)


def is_ready(body):
    return body.get("loadtime", 0) > 0


def is_error(body):
    return body.get("error_msg", "") != ""


def any_moment():
    time.sleep(random.uniform(0.1, 0.5))  # news may come at any moment of the worker's own rhythm


def say(path, line):
    with open(path, "a") as file:
        said = time.time()
        file.write(line)
    return said


LOADED, BROKEN = "INFO: Application startup complete.\n", "RuntimeError: CUDA out of memory\n"


def once_log(stage, worker, where, number, **more):
    log = stage.write(f"model-{number}.log", "")
    news = News(stage, worker, *where, number, stage.backend, modelLogFile=log, **more)
    any_moment()
    said = say(log, LOADED)
    return news, said, news.received("ready", is_ready)


def once_health(*who):
    return once_log(*who, modelHealthcheckPath="/health")


def once_error(stage, worker, where, number):
    log = stage.write(f"model-{number}.log", LOADED)
    news = News(stage, worker, *where, number, stage.backend, modelLogFile=log)
    news.received("ready", is_ready)
    any_moment()
    said = say(log, BROKEN)
    return news, said, news.received("the error", is_error)


def with_child(stage, worker, where, number):
    fifo = stage.path(f"fifo-{number}")
    os.mkfifo(fifo)
    keep = os.open(fifo, os.O_RDWR)  # so that the child never sees its end
    return News(stage, worker, *where, number, stage.backend, command=["--", "cat", fifo]), keep


def once_pipe(stage, worker, where, number):
    news, keep = with_child(stage, worker, where, number)
    any_moment()
    said = time.time()
    os.write(keep, LOADED.encode())
    received = news.received("ready", is_ready)
    os.close(keep)
    return news, said, received


def once_death(stage, worker, where, number):
    news, keep = with_child(stage, worker, where, number)
    os.write(keep, LOADED.encode())
    news.received("ready", is_ready)
    model = next(pid for pid in descendants(news.child.pid) if open(f"/proc/{pid}/comm").read() == "cat\n")
    any_moment()
    said = time.time()
    os.kill(model, signal.SIGKILL)
    received = news.received("the end", is_error)
    os.close(keep)
    return news, said, received


NEWS = (  # name, how, times, goal in ms
    ("load line in a log to ready", once_log, 50, 150),
    ("load line, then a health path", once_health, 20, 150),
    ("load line on a child's pipe", once_pipe, 20, 150),
    ("error line to error", once_error, 20, 150),
    ("end of a child to error", once_death, 20, 100),
)


def measure_news(stage, worker, once, times, first):
    record = stage.path("record")
    child = stage.start("control", [f"{BUILD}/vastworker-sim", "control", "--quiet", "--record", record], pipe=True)
    words = child.stdout.readline().decode().split()
    if len(words) != 2:
        raise Failure("the control plane did not start:\n" + stage.tail("control"))
    took = []
    for number in range(first, first + times):
        news, said, received = once(stage, worker, (words[1], record), number)
        news.end()
        took.append((received - said) * 1000)
    return took


def run_start(args, row):
    with Stage() as stage:
        took = measure_start(stage, args.worker)
    row(f"exec to listening:   median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms of {RUNS}")
    return f"exec to listening {statistics.median(took):.1f} ms (goal 20)"


def run_ready(args, row):
    verdicts = []
    for name, once, times, goal in NEWS:
        with Stage() as stage:
            stage.backend = stage.server("backend")
            took = measure_news(stage, args.worker, once, times, 1)
        row(f"{name + ':':32} median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms of {times} (received by the control plane)")
        verdicts.append(f"{name} {statistics.median(took):.0f} ms, worst {max(took):.0f} (goal {goal})")
    return "; ".join(verdicts)
