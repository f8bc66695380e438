#!/usr/bin/env python3
"""Measures the server, each time beside what it is compared with, in one run.

  compare   CPU, latency and memory beside a pass-through proxy
  pairs     the same for each client's protocol with each provider's, and the memory of an idle stream
  keys      start to ready with 100,000 keys
  long      memory over 200,000 requests
  tls       memory of open streams, with TLS and without
  http2     what HTTP/2 towards a provider costs
  soak      a mixed load with faults for 20 minutes: is memory flat, is a record lost
  curve     draws what `cargo bench -p benches --bench policy` measured

Builds nothing: `cargo build --release -p anyrouter-server -p benches` does. Figures are of this machine; ratios are of the run.
"""
import argparse, contextlib, hashlib, json, os, pathlib, resource, signal, socket, sqlite3, ssl, statistics, subprocess, sys, tempfile, threading, time, urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
TERMS = 'terms = { trains_on_paid = false, retention_days = 0, zdr = true, source = "https://example.test", checked = "2026-10-01" }'
PAGE, TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


def provider(slug, base, protocol="openai_chat", more=""):
    return f'[[provider]]\nslug = "{slug}"\nprotocol = "{protocol}"\nbase_url = "{base}"\ntier = "paid"\napi_key = {{ env = "UPSTREAM_KEY" }}\n{more}\n{TERMS}\n'


def model(name, *endpoints):
    text = f'[[model]]\nid = "lab/{name}"\n'
    for nth, (slug, upstream) in enumerate(endpoints):
        text += f'[[model.endpoint]]\nprovider = "{slug}"\nupstream_model = "{upstream}"\npriority = {nth + 1}\nmax_output = 4096\nprice = {{ prompt = "1", completion = "2" }}\n'
    return text


class Bench:
    """Starts the parts, and ends them whatever happens."""

    def __init__(self, options):
        self.o, self.all = options, contextlib.ExitStack()
        self.folder = pathlib.Path(self.all.enter_context(tempfile.TemporaryDirectory()))
        self.parts = options.target / "release/parts"
        for binary in (self.parts, options.server):
            if not binary.exists():
                sys.exit(f"{binary} is missing; cargo build --release -p anyrouter-server -p benches makes it")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.all.close()

    def start(self, name, *command, address, env=None):
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen([*map(str, command)], stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})

        def end():
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()

        self.all.callback(end)
        began = time.monotonic()
        while time.monotonic() - began < 60:
            with contextlib.suppress(OSError), socket.create_connection(address, 1):
                return process
            if process.poll() is not None:
                break
            time.sleep(0.002)
        sys.exit(f"{name} does not start:\n{(self.folder / f'{name}.log').read_text()[-2000:]}")

    def upstream(self):
        address = free_port()
        self.start("provider", self.parts, "provider", "--listen", "%s:%d" % address, address=address)
        return "http://%s:%d" % address

    def proxy(self, to):
        address = free_port()
        process = self.start("proxy", self.parts, "proxy", "--listen", "%s:%d" % address, "--to", to.split("/")[2], address=address)
        return Target(process, "http://%s:%d" % address, "none", "")

    def gateway(self, text, name="server", data=None, upstream_key="k"):
        address, data = free_port(), data or self.folder / f"{name}-data"
        (self.folder / f"{name}.toml").write_text(f"[catalog]\nbuiltin = {str(not text).lower()}\n[log]\nlevel = \"warn\"\n{text}")
        boot, began = self.folder / f"{name}.json", time.monotonic()
        process = self.start(name, self.o.server, "--config", self.folder / f"{name}.toml", "--listen", "%s:%d" % address, "--data-dir", data,
                                   "--bootstrap-file", boot, address=address, env={"UPSTREAM_KEY": upstream_key})
        while time.monotonic() - began < 60:
            with contextlib.suppress(OSError, ssl.SSLError):
                scheme = "https" if "[tls]" in text else "http"
                if urllib.request.urlopen(f"{scheme}://%s:%d/readyz" % address, context=unverified()).status == 200:
                    break
            time.sleep(0.001)
        took = time.monotonic() - began
        key = json.loads(boot.read_text())["inference_key"] if boot.exists() else None
        return Target(process, "http://%s:%d" % address, key, "lab/", data, took)

    def client(self, target, models, seconds, *more):
        names = ",".join(target.prefix + m for m in models.split(","))
        return subprocess.Popen([*map(str, [self.parts, "client", "--url", target.base, "--key", target.key, "--models", names,
                                           "--seconds", seconds, *more])], stdout=subprocess.PIPE, text=True)

    def load(self, target, models, seconds, *more):
        before = target.cpu()
        out = json.loads(self.client(target, models, seconds, *more).communicate()[0])
        out["cpu_us"] = (target.cpu() - before) * 1e6 / max(out["answered"], 1)
        return out


class Target:
    def __init__(self, process, base, key, prefix, data=None, took=None):
        self.process, self.base, self.key, self.prefix, self.data, self.took = process, base, key, prefix, data, took

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss_mb(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE / 1e6

    def metric(self, name):
        text = urllib.request.urlopen(self.base + "/metrics").read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def unverified():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()


def table(head, rows):
    rows = [[str(c) for c in r] for r in rows]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head))]
    for r in [head, ["─" * w for w in widths], *rows]:
        print("  ".join(c.ljust(w) for c, w in zip(r, widths)).rstrip())


def two_protocols(upstream):
    upstream += "/v1"
    return (provider("open", upstream) + provider("anth", upstream, "anthropic_messages") + model("quick", ("open", "quick")) + model("slow", ("open", "slow"))
            + model("idle", ("open", "idle")) + model("anth", ("anth", "quick")))


SCENARIOS = {  # what the client is told; a model of the proxy's, one of the gateway's
    "one at a time, 1 KB": (["--connections", 1], "quick", "quick"),
    "64 connections, 1 KB": (["--connections", 64], "quick", "quick"),
    "64 connections, 1 KB, translated": (["--connections", 64], "quick", "anth"),
    "16 connections, 100 KB": (["--connections", 16, "--prompt", 100_000], "quick", "quick"),
    "16 connections, 100 KB, translated": (["--connections", 16, "--prompt", 100_000], "quick", "anth"),
    "64 streams of 50 ready chunks": (["--connections", 64, "--streams", 100], "quick", "quick"),
    "64 streams, translated": (["--connections", 64, "--streams", 100], "quick", "anth"),
    "200 slow streams": (["--connections", 200, "--streams", 100], "slow", "slow"),
}


def compare(bench):
    upstream = bench.upstream()
    proxy, gateway = bench.proxy(upstream), bench.gateway(two_protocols(upstream))
    rows, plotted = [], {}
    for name, (more, theirs, ours) in SCENARIOS.items():
        ratios, p50s = [], []
        for nth in range(bench.o.rounds + 1):
            a, b = bench.load(proxy, theirs, bench.o.seconds, *more), bench.load(gateway, ours, bench.o.seconds, *more)
            if nth:  # the first round warms up
                ratios.append(b["cpu_us"] / a["cpu_us"])
                p50s.append(b["p50_us"] / a["p50_us"])
        plotted[name] = statistics.median(ratios)
        rows.append([name, f"{a['cpu_us']:.0f} µs", f"{b['cpu_us']:.0f} µs", f"{plotted[name]:.2f}", f"{statistics.median(p50s):.2f}", f"{gateway.rss_mb():.0f} MB"])
    table(["", "proxy's CPU", "server's CPU", "ratio", "p50, ratio", "server's memory"], rows)
    if bench.o.plot:
        with drawing(bench.o.plot, 7, 3.2) as (_, axes):
            axes.barh(list(plotted)[::-1], list(plotted.values())[::-1], color="#4878a8")
            axes.axvline(1, color="black", linewidth=0.8)
            axes.set_xlabel("CPU of a request, as a ratio to a pass-through proxy")


def keys(bench):
    gateway = bench.gateway("", "first")
    gateway.process.terminate()
    gateway.process.wait(20)
    database = sqlite3.connect(gateway.data / "anyrouter.db")
    account, record = database.execute("SELECT account, record FROM key LIMIT 1").fetchone()
    record = json.loads(record)
    made = [f"sk-ar-v1-{n:064x}" for n in range(bench.o.keys)]
    hashes = [hashlib.sha256(k.encode()).digest() for k in made]
    database.executemany("INSERT INTO key (hash, account, created_at, record) VALUES (?, ?, 1, ?)",
                         [(h, account, json.dumps({**record, "hash": h.hex(), "kind": "inference", "scopes": ["inference"]})) for h in hashes])
    database.commit()
    database.close()
    starts = []
    for nth in range(5):
        again = bench.gateway("", f"again-{nth}", gateway.data)
        starts.append(again.took)
        if nth == 4:
            ask = urllib.request.Request(again.base + "/v1/key", headers={"Authorization": f"Bearer {made[-1]}"})
            assert urllib.request.urlopen(ask).status == 200, "the keys are good"
        again.process.terminate()
        again.process.wait(20)
    print(f"start to ready with {bench.o.keys:,} keys: {statistics.median(starts):.3f} s (median of 5; {min(starts):.3f} to {max(starts):.3f})")


def long(bench):
    upstream = bench.upstream()
    gateway = bench.gateway(two_protocols(upstream))
    seen = []
    client = bench.client(gateway, "quick,anth", 3600, "--connections", 32, "--streams", 20)
    try:
        while not seen or seen[-1][0] < bench.o.requests:
            time.sleep(0.5)
            seen.append((gateway.metric("anyrouter_requests_total"), gateway.rss_mb()))
            progress(seen[-1][0] / bench.o.requests, f"{seen[-1][0]:,.0f} requests, {seen[-1][1]:.1f} MB")
    finally:
        client.kill()
    print()
    tenth = lambda n: [m for r, m in seen if n * bench.o.requests / 10 <= r < (n + 1) * bench.o.requests / 10]
    table(["requests", "memory, median"], [[f"{n * bench.o.requests // 10:,} to {(n + 1) * bench.o.requests // 10:,}", f"{statistics.median(tenth(n)):.1f} MB"] for n in range(10) if tenth(n)])
    if bench.o.plot:
        with drawing(bench.o.plot, 7, 2.6) as (_, axes):
            axes.plot([r / 1000 for r, _ in seen], [m for _, m in seen], color="#4878a8")
            axes.set_ylim(0)
            axes.set_xlabel("requests, in thousands")
            axes.set_ylabel("memory, MB")


PROTOCOLS = {"chat": "openai_chat", "responses": "openai_responses", "messages": "anthropic_messages", "gemini": "gemini"}


def four_protocols(upstream):
    text = ""
    for short, protocol in PROTOCOLS.items():
        text += provider(short, upstream + ("/v1beta" if short == "gemini" else "/v1"), protocol)
        text += "".join(model(f"{kind}-{short}", (short, kind)) for kind in ("quick", "slow", "idle"))
    return text


def idle_kb(bench, target, model, protocol="chat", encrypted=False):
    """Memory of each of many open streams that say a word a second."""
    body = {"model": target.prefix + model, "stream": True, "max_tokens": 1000, "messages": [{"role": "user", "content": "x" * 1000}]}
    path = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses", "gemini": f"/v1beta/models/{target.prefix}{model}:streamGenerateContent?alt=sse"}[protocol]
    if protocol == "responses":
        body = {"model": target.prefix + model, "stream": True, "input": "x" * 1000}
    if protocol == "gemini":
        body = {"contents": [{"role": "user", "parts": [{"text": "x" * 1000}]}]}
    body = json.dumps(body)
    request = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {target.key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    host, port = target.base.split("/")[2].split(":")
    before, open_streams = target.rss_mb(), []
    for _ in range(bench.o.streams):
        stream = socket.create_connection((host, int(port)))
        stream = unverified().wrap_socket(stream) if encrypted else stream
        stream.sendall(request)
        open_streams.append(stream)
    for stream in open_streams:
        assert stream.recv(4096).startswith(b"HTTP/1.1 200"), "each is answered"
    time.sleep(3)
    each = (target.rss_mb() - before) * 1000 / bench.o.streams
    for stream in open_streams:
        stream.close()
    return each


def pairs(bench):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    upstream = bench.upstream()
    proxy, gateway = bench.proxy(upstream), bench.gateway(four_protocols(upstream))
    scenarios = {  # the model's kind, what the client is told, and what is read from its answer
        "1 KB, 64 connections": ("quick", ["--connections", 64], {"CPU": "cpu_us"}),
        "1 KB, one at a time": ("quick", ["--connections", 1], {"CPU": "cpu_us", "first byte": "first_p50_us"}),
        "ready chunks": ("quick", ["--connections", 64, "--streams", 100], {"CPU": "cpu_us"}),
        "slow streams": ("slow", ["--connections", 200, "--streams", 100], {"CPU": "cpu_us", "delay p99": "delay_p99_us"}),
    }
    wanted = [tuple(p.split("/")) for p in bench.o.only.split(",")] if bench.o.only else [(c, p) for c in PROTOCOLS for p in PROTOCOLS]
    head = [f"{name}: {figure}" for name, (_, _, figures) in scenarios.items() for figure in figures]
    ratios = {pair: {h: [] for h in head} for pair in wanted}
    steps, done = (bench.o.rounds + 1) * len(scenarios) * len(wanted), 0
    for nth in range(bench.o.rounds + 1):
        for name, (kind, more, figures) in scenarios.items():
            for client in dict.fromkeys(c for c, _ in wanted):
                a = bench.load(proxy, kind, bench.o.seconds, "--protocol", client, *more)
                for _, far in (p for p in wanted if p[0] == client):
                    b = bench.load(gateway, f"{kind}-{far}", bench.o.seconds, "--protocol", client, *more)
                    if set(b["statuses"]) != {"200"} or b["broken"]:
                        sys.exit(f"{client} to {far}, {name}: {b}")
                    done += 1
                    progress(done / steps, f"{name}, {client} to {far}")
                    for figure, field in figures.items() if nth else ():  # the first round warms up
                        ratios[client, far][f"{name}: {figure}"].append(b[field] / max(a[field], 1))
    # A fresh process for each, so that no memory of an earlier load is used again.
    through = {c: idle_kb(bench, bench.proxy(upstream), "idle", c) for c in dict.fromkeys(c for c, _ in wanted)}
    idle = {(c, p): idle_kb(bench, bench.gateway(four_protocols(upstream), f"idle-{c}-{p}"), f"idle-{p}", c) for c, p in wanted}
    if sys.stderr.isatty():
        print(file=sys.stderr)
    table(["client", "provider", *head, f"{bench.o.streams} idle streams: memory"],
          [[c, p, *(f"{statistics.median(ratios[c, p][h]):.2f}" for h in head), f"{idle[c, p]:.1f} KB, {idle[c, p] / through[c]:.2f}"] for c, p in wanted])


def tls(bench):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    upstream, rows = bench.upstream(), []
    cert, key = bench.folder / "cert.pem", bench.folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost"],
                   check=True, capture_output=True)
    for name, more in (("without TLS", ""), ("with TLS", f'[tls]\ncert = "{cert}"\nkey = "{key}"\n')):
        gateway = bench.gateway(more + two_protocols(upstream), name.replace(" ", "-"))
        rows.append([name, f"{idle_kb(bench, gateway, 'idle', encrypted=bool(more)):.1f} KB"])
    table([f"{bench.o.streams} open streams", "memory of each"], rows)


def http2(bench):
    # The provider is a server of the same kind, which speaks both.
    far = bench.gateway("", "far")
    both = model("one", ("one", "demo/echo")) + model("two", ("two", "demo/echo"))
    text = provider("one", far.base + "/v1") + provider("two", far.base + "/v1", more="http2 = true") + both
    front = bench.gateway(text, "front", upstream_key=far.key)
    rows = []
    for name, more in (("one at a time", ["--connections", 1]), ("64 connections", ["--connections", 64])):
        one, two = [], []
        for nth in range(bench.o.rounds + 1):
            a, b = bench.load(front, "one", bench.o.seconds, *more), bench.load(front, "two", bench.o.seconds, *more)
            if nth:
                one.append(a)
                two.append(b)
        cpu = lambda l: statistics.median(x["cpu_us"] for x in l)
        p50 = lambda l: statistics.median(x["p50_us"] for x in l)
        rows.append([name, f"{cpu(one):.0f} µs", f"{cpu(two):.0f} µs", f"{cpu(two) / cpu(one):.2f}", f"{p50(two) / p50(one):.2f}"])
    table(["", "CPU, HTTP/1.1", "CPU, HTTP/2", "ratio", "p50, ratio"], rows)


def soak(bench):
    upstream = bench.upstream()
    text = two_protocols(upstream) + model("flaky", ("open", "flaky")) + provider("other", upstream + "/v1") + model("two", ("other", "flaky"), ("open", "quick"), ("anth", "quick")) + model("flaky-anth", ("anth", "flaky"))
    gateway = bench.gateway(text)
    seconds = bench.o.minutes * 60
    files = [bench.folder / f"ids-{n}" for n in range(3)]
    clients = [
        bench.client(gateway, "quick,two,anth,quick,two,anth,flaky,flaky-anth", seconds, "--connections", 32, "--rate", 14, "--streams", 40, "--aborts", 6, "--ids", files[0]),
        bench.client(gateway, "two,anth", seconds, "--connections", 4, "--rate", 4, "--prompt", 100_000, "--ids", files[1]),
        bench.client(gateway, "slow", seconds, "--connections", 40, "--streams", 100, "--aborts", 10, "--ids", files[2]),
    ]
    began, samples, faults = time.monotonic(), [], 0
    while any(c.poll() is None for c in clients):
        time.sleep(2)
        now = time.monotonic() - began
        samples.append((now, gateway.rss_mb(), gateway.metric("anyrouter_requests_total")))
        if now > (faults + 1) * seconds / 8:
            # The configuration is read again; and the database is locked for a while.
            faults += 1
            gateway.process.send_signal(signal.SIGHUP)
            threading.Thread(target=lock_database, args=(gateway.data,)).start()
        progress(now / seconds, f"{samples[-1][2]:,.0f} requests, {samples[-1][1]:.1f} MB")
    print()
    told = [json.loads(c.communicate()[0]) for c in clients]
    time.sleep(3)
    counted = gateway.metric("anyrouter_requests_total")
    gateway.process.terminate()
    gateway.process.wait(60)
    database = sqlite3.connect(gateway.data / "anyrouter.db")
    stored = {"req_" + i.hex() for (i,) in database.execute("SELECT id FROM usage")}
    rows = database.execute("SELECT count(*) FROM usage").fetchone()[0]
    outcomes = database.execute("SELECT json_extract(record, '$.outcome'), count(*) FROM usage GROUP BY 1 ORDER BY 2 DESC").fetchall()
    named = {line for f in files for line in f.read_text().split()}
    lost = named - stored
    warm = [m for t, m, _ in samples if t > seconds / 10]
    thirds = [statistics.median(warm[i * len(warm) // 3:(i + 1) * len(warm) // 3]) for i in range(3)]
    table(["", ""], [
        ["requests that clients saw begin to be answered", f"{len(named):,}"], ["of them without a record", len(lost)],
        ["requests that the server counted", f"{counted:,.0f}"], ["records, and different ones", f"{rows:,}, {len(stored):,}"],
        ["database locked, configuration read again", f"{faults} times"],
        ["memory in the three thirds after warm-up", ", ".join(f"{m:.1f} MB" for m in thirds)], ["memory at most", f"{max(m for _, m, _ in samples):.1f} MB"],
        *[[f"outcome {o}", f"{n:,}"] for o, n in outcomes],
        ["answered, by status", json.dumps({k: sum(t['statuses'].get(k, 0) for t in told) for k in sorted({k for t in told for k in t['statuses']})})],
    ])
    if bench.o.plot:
        with drawing(bench.o.plot, 7, 4, rows=2) as (_, (top, bottom)):
            minutes = [t / 60 for t, _, _ in samples]
            top.plot(minutes, [m for _, m, _ in samples], color="#4878a8")
            top.set_ylim(0)
            top.set_ylabel("memory, MB")
            bottom.plot(minutes, [r / 1000 for _, _, r in samples], color="#4878a8", label="requests")
            bottom.axhline(len(lost), color="#c04040", label=f"lost records: {len(lost)}")
            bottom.set_ylabel("thousands")
            bottom.set_xlabel("minutes")
            bottom.legend()
    if lost or rows != len(stored) or counted != rows:
        sys.exit("records are missing or doubled")


def curve(o):
    measured = {}
    for what in ("evaluate", "by hand"):
        folder = o.target / "criterion/policy" / what
        found = {int(p.parent.parent.name): json.loads(p.read_text())["median"]["point_estimate"] for p in folder.glob("*/new/estimates.json")}
        measured[what] = dict(sorted(found.items()))
    table(["endpoints", *measured], [[n, *(f"{m[n]:,.0f} ns" for m in measured.values())] for n in measured["evaluate"]])
    if o.plot:
        with drawing(o.plot, 7, 3) as (_, axes):
            for (what, points), color in zip(measured.items(), ("#4878a8", "#b0b0b0")):
                axes.loglog(list(points), list(points.values()), "o-", color=color, label=what)
            axes.set_xlabel("endpoints of the model")
            axes.set_ylabel("nanoseconds of a decision")
            axes.legend()


def lock_database(data):
    with contextlib.closing(sqlite3.connect(data / "anyrouter.db", timeout=10, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(2)
        other.execute("ROLLBACK")


def progress(share, text):
    if sys.stderr.isatty():
        done = int(min(share, 1) * 30)
        print(f"\r[{'█' * done}{' ' * (30 - done)}] {text}   ", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def drawing(path, width, height, rows=1):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams.update({"svg.hashsalt": "anyrouter", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = pyplot.subplots(rows, figsize=(width, height), sharex=rows > 1)
    yield figure, axes
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("what", choices=["compare", "pairs", "keys", "long", "tls", "http2", "soak", "curve"])
    a.add_argument("--target", type=pathlib.Path, default=pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")), help="cargo's build folder")
    a.add_argument("--seconds", type=float, default=3, help="of each measurement")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--keys", type=int, default=100_000)
    a.add_argument("--requests", type=int, default=200_000)
    a.add_argument("--streams", type=int, default=1000)
    a.add_argument("--minutes", type=float, default=20)
    a.add_argument("--only", help="of the pairs only these, as CLIENT/PROVIDER,…")
    a.add_argument("--plot", help="where to draw, as SVG (needs matplotlib)")
    o = a.parse_args()
    o.target = o.target.resolve()
    o.server = o.target / "release/anyrouter-server"
    if o.what == "curve":
        return curve(o)
    with Bench(o) as bench:
        globals()[o.what](bench)


main()
