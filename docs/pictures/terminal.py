"""Draws terminal.svg. `scripts/picture` runs it."""
import io, json, os, pathlib, re, subprocess, sys, tempfile, threading, time, urllib.request
from http.server import ThreadingHTTPServer

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "clients"))
import agents, gateway

binaries, claude = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
console = Console(record=True, width=132, file=io.StringIO(), force_terminal=True, color_system="truecolor")


def say(text, style=""):
    text = re.sub(r"sk-ar-v1-[0-9a-f]{16,}", "sk-ar-v1-…", text)
    text = re.sub(r"\bak_[0-9a-f]{16,}", "ak_…", text)
    console.print(Text(text.rstrip(), style=style), soft_wrap=False, overflow="ellipsis", no_wrap=True)


def command(shown, *run, keep=lambda text: text):
    console.print(Text("$ ", style="bold green") + Text(shown, style="bold"))
    done = subprocess.run([str(binaries / run[0]), *run[1:]], capture_output=True, text=True, env={**os.environ, **keys})
    say(keep(done.stdout or done.stderr))
    console.print()


with tempfile.TemporaryDirectory() as folder:
    # Keys of providers, none of them good: nothing is sent to any.
    named = {name: "none" for name in ("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY")}
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    server = subprocess.Popen([binaries / "anyrouter-server"], cwd=folder, env={**clean, **named}, stdout=open(f"{folder}/out", "w"), stderr=subprocess.STDOUT)
    try:
        while "Try it" not in (started := pathlib.Path(f"{folder}/out").read_text()):
            time.sleep(0.05)
        time.sleep(0.3)
        inference, management = re.findall(r"(?:inference|management) key +(\S+)", started)
        keys = {"ANYROUTER_API_KEY": inference, "ANYROUTER_MANAGEMENT_KEY": management}
        base_url = re.search(r"listens at (\S+)", started)[1]
        console.print(Text("$ ", style="bold green") + Text("scripts/start", style="bold"))
        say(started.split("Try it")[0].replace(str(folder) + "/", ""))
        console.print()
        command('anyrouter chat -m demo/echo "Hello!"', "anyrouter", "chat", "-m", "demo/echo", "Hello!")
        ask = urllib.request.Request(base_url + "/logs", headers={"Authorization": "Bearer " + inference})
        generation = json.load(urllib.request.urlopen(ask))["data"][0]["id"]
        kept = "^(model |provider_name|outcome|latency|tokens|cost|key_hash|policy)"
        grep = lambda text: "\n".join(line for line in text.splitlines() if re.match(kept, line))
        command(f"anyrouter generation {generation} | grep -E '{kept}'", "anyrouter", "generation", generation, keep=grep)
        command("anyrouter route explain google/gemini-2.5-pro", "anyrouter", "route", "explain", "google/gemini-2.5-pro")
    finally:
        server.terminate()
        server.wait(20)

# Claude Code, with a model that writes the file that it is asked for.
gateway.PROTOCOLS = {"coder": "openai_responses"}
provider = ThreadingHTTPServer(("127.0.0.1", 0), agents.Model)
threading.Thread(target=provider.serve_forever, daemon=True).start()
with tempfile.TemporaryDirectory(dir=pathlib.Path.home() / ".cache") as folder:
    home, work = pathlib.Path(folder) / "home", pathlib.Path(folder) / "work"
    home.mkdir()
    work.mkdir()
    agents.Model.file = str(work / "hello.txt")
    server, boot = gateway.start(binaries / "anyrouter-server", pathlib.Path(folder), provider.server_address[1])
    try:
        arguments = ["-p", "Write hello.txt", "--permission-mode", "acceptEdits"]
        console.print(Text("$ ", style="bold green") + Text('anyrouter launch claude --model lab/coder -- -p "Write hello.txt" --permission-mode acceptEdits', style="bold"))
        say(agents.run("claude", binaries / "anyrouter", claude, boot["base_url"], boot["inference_key"], "lab/coder", home, work, *arguments,
                       DISABLE_AUTOUPDATER="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1"))
        console.print()
        console.print(Text("$ ", style="bold green") + Text("cat hello.txt", style="bold"))
        say((work / "hello.txt").read_text())
        console.print()
        keys = {"ANYROUTER_API_KEY": boot["inference_key"], "ANYROUTER_BASE_URL": boot["base_url"]}
        command("anyrouter logs", "anyrouter", "logs")
    finally:
        server.terminate()
        server.wait(20)

drawn = console.export_svg(title="AnyRouter", theme=MONOKAI)
# The reader's own font: a picture must not fetch one from somebody else.
drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.S).replace("Fira Code", "ui-monospace, Menlo, DejaVu Sans Mono")
pathlib.Path(__file__).with_name("terminal.svg").write_text(re.sub(r"[ \t]+\n", "\n", drawn))
