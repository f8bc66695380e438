"""Starts the real server, with a model at a provider of each protocol."""
import json, os, subprocess, sys, time

TERMS = 'terms = { trains_on_paid = false, retention_days = 0, zdr = true, source = "https://example.test", checked = "2026-10-01" }'


# Each provider with its protocol; its model is `lab/` and the provider's name.
PROTOCOLS = {"open": "openai_chat", "anth": "anthropic_messages", "resp": "openai_responses", "goog": "gemini"}
MODELS = [f"lab/{slug}" for slug in PROTOCOLS]


def config(port):
    text = "[catalog]\nbuiltin = false\n"
    for slug, protocol in PROTOCOLS.items():
        text += f'[[provider]]\nslug = "{slug}"\nprotocol = "{protocol}"\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = {{ env = "UPSTREAM_KEY" }}\ntier = "paid"\n{TERMS}\n'
        text += f'[[model]]\nid = "lab/{slug}"\n[[model.endpoint]]\nprovider = "{slug}"\nupstream_model = "up"\nmax_output = 4096\nprice = {{ prompt = "1", completion = "2", cache_read = "0.1", cache_write = "1.25" }}\n'
    return text


def start(binary, folder, port):
    (folder / "anyrouter.toml").write_text(config(port))
    process = subprocess.Popen([os.path.abspath(binary), "--config", "anyrouter.toml", "--listen", "127.0.0.1:0", "--bootstrap-file", "boot.json"], cwd=folder,
                               env={"UPSTREAM_KEY": "k"}, stdout=open(folder / "out", "wb"), stderr=open(folder / "err", "wb"))
    for _ in range(4000):
        if "Try it" in (folder / "out").read_text():
            return process, json.loads((folder / "boot.json").read_text())
        if process.poll() is not None:
            break
        time.sleep(0.005)
    sys.exit("the server does not start:\n" + (folder / "err").read_text())
