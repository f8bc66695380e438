"""Whether what must not leave leaves: `pii-leak-benchmark` (PyPI) sends values through the gateway and looks for them in what its own
upstream got. Its duty `restore` asks for the values back as well."""
import argparse, json, os, pathlib, socket, subprocess, sys, tempfile, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def config(upstream):
    return f'''[catalog]
builtin = false
[[provider]]
slug = "capture"
protocol = "openai_chat"
base_url = "http://127.0.0.1:{upstream}/v1"
[provider.terms]
self_hosted = true
[[model]]
id = "capture/m"
aliases = ["conformance-model"]
[[model.endpoint]]
provider = "capture"
upstream_model = "conformance-model"
context = 128000
max_output = 16384
price = {{ prompt = "0", completion = "0" }}
[privacy]
redact_upstream = true
'''


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--benchmark", required=True, help="the program of pii-leak-benchmark")
    parser.add_argument("--iterations", default="1")
    args = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        upstream = free_port()
        (folder / "anyrouter.toml").write_text(config(upstream))
        with open(folder / "out", "wb") as out, open(folder / "err", "wb") as err:
            server = subprocess.Popen([os.path.abspath(args.server), "--config", "anyrouter.toml", "--listen", "127.0.0.1:0", "--bootstrap-file", "boot.json"],
                                      cwd=folder, stdout=out, stderr=err)
        try:
            for _ in range(4000):
                if "Try it" in (folder / "out").read_text() or server.poll() is not None:
                    break
                time.sleep(0.005)
            boot = json.loads((folder / "boot.json").read_text())
            base = boot["base_url"]
            for profile in ("pii-v1", "pii-secrets-v1"):
                result = subprocess.run([args.benchmark, "selfcheck", "--target-base-url", base, "--capture-port", str(upstream), "--profile", profile,
                                         "--duty", "restore", "--iterations", args.iterations],
                                        env={**os.environ, "CONFORMANCE_TARGET_API_KEY": boot["inference_key"]}, capture_output=True, text=True)
                clean = result.returncode == 0 and "CLEAN" in result.stdout and "  LEAK" not in result.stdout
                failed |= not clean
                print(f"{profile}, duty restore: {'CLEAN' if clean else 'NOT CLEAN'}")
                if not clean:
                    print(result.stdout + result.stderr)
        finally:
            server.terminate()
            server.wait()
    sys.exit(failed)


main()
