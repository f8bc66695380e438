"""Asks the running server whatever its own description says can be asked (schemathesis), and holds each answer against it."""
import argparse, os, pathlib, subprocess, sys, tempfile
import gateway

a = argparse.ArgumentParser(description=__doc__)
a.add_argument("--server", required=True)
a.add_argument("--examples", type=int, default=15, help="requests of each kind for each operation")
o = a.parse_args()
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,ignored_auth"

folder = pathlib.Path(tempfile.mkdtemp())
server, boot = gateway.start(o.server, folder, 9)  # nothing listens at port 9: what gets as far as a provider is a 502
address = boot["base_url"].removesuffix("/api/v1")
failed = False
try:
    # A request with a good body reaches a provider, and is a 502 there: that is no fault of the server's.
    for key, paths, checks in (
        ("inference_key", "chat/completions|route/explain", CHECKS.removeprefix("not_a_server_error,")),
        ("management_key", "^((?!chat/completions|route/explain).)*$", CHECKS),
    ):
        done = subprocess.run(
            [str(pathlib.Path(sys.executable).parent / "schemathesis"), "run", f"{address}/api/v1/openapi.json", "--header", f"Authorization: Bearer {boot[key]}",
             "--include-path-regex", paths, "--checks", checks, "--max-examples", str(o.examples), "--phases", "examples,coverage,fuzzing", "--seed", "1",
             "--request-timeout", "20", "--suppress-health-check", "filter_too_much", "--workers", "1", "--generation-database", "none"],
            cwd=folder, env={**os.environ, "NO_COLOR": "1"})
        failed |= done.returncode != 0
finally:
    server.terminate()
    server.wait(30)
sys.exit(failed)
