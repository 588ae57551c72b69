"""How fast a worker is there: from exec to listening, and from the model's log line to the control plane."""
import json, random, statistics, time

from stage import BUILD, Failure, Stage, fetch, free_port, make_keys, platform_env, shell, start_worker, wait_for

RUNS = 20


def measure_start(stage, worker):
    backend, sink = stage.server("backend"), stage.server("sink")
    make_keys(stage)
    child, url, argv = start_worker(stage, worker, backend, sink)
    stage.end(child)
    port = url.rpartition(":")[2]
    out = shell(f"{BUILD}/bench/launch", port, str(RUNS), *argv, env=platform_env(sink))
    return [float(line) for line in out.split()]


def ready_once(stage, worker, backend, control, record, number):
    port, log = free_port(), stage.path(f"model-{number}.log")
    open(log, "w").close()
    config = stage.write("ready.json", json.dumps({
        "modelServerUrl": f"http://127.0.0.1:{backend}", "workerPort": port, "bindAddress": "127.0.0.1",
        "advertisedUrl": f"http://127.0.0.1:{port}", "maxPerf": 100, "modelLogFile": log, "logActionConfig": {"onLoad": ["startup complete"]},
        "handlers": [{"route": "/v1/embeddings", "allowParallelRequests": True}]}))
    env = platform_env(0)
    env.update(REPORT_ADDR=control, CONTAINER_ID=str(number))
    child = stage.start("ready", [worker, "--config", config, "--log-level", "warn"], env=env)
    wait_for("the worker to listen", 10, lambda: child.poll() is not None or fetch(f"http://127.0.0.1:{port}/health/live")[0] == 200)
    time.sleep(random.uniform(0.1, 0.5))  # the line may come at any moment of the worker's own rhythm
    with open(log, "a") as file:
        written = time.time()
        file.write("INFO: Application startup complete.\n")

    def heard():
        if child.poll() is not None:
            raise Failure(f"the worker exited with status {child.returncode}:\n{stage.tail('ready')}")
        with open(record) as file:
            for line in file:
                entry = json.loads(line) if line.endswith("\n") else {"path": ""}
                if entry["path"] == "/worker_status/" and entry["body"]["id"] == number and entry["body"].get("loadtime", 0) > 0:
                    return entry["t"]
        return None

    received = wait_for("the control plane to hear of ready", 15, heard)
    stage.end(child, hard=True)
    return (received - written) * 1000


def measure_ready(stage, worker):
    backend = stage.server("backend")
    record = stage.path("record")
    child = stage.start("control", [f"{BUILD}/vastworker-sim", "control", "--quiet", "--record", record], pipe=True)
    words = child.stdout.readline().decode().split()
    if len(words) != 2:
        raise Failure("the control plane did not start:\n" + stage.tail("control"))
    return [ready_once(stage, worker, backend, words[1], record, i + 1) for i in range(RUNS)]


def run_start(args, row):
    with Stage() as stage:
        took = measure_start(stage, args.worker)
    row(f"exec to listening:   median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms of {RUNS}")
    return f"exec to listening {statistics.median(took):.1f} ms (goal 20)"


def run_ready(args, row):
    with Stage() as stage:
        took = measure_ready(stage, args.worker)
    row(f"load line to ready:  median {statistics.median(took):.1f} ms, worst {max(took):.1f} ms of {RUNS} (received by the control plane, no benchmark)")
    return f"load line to ready {statistics.median(took):.0f} ms (goal 150)"
