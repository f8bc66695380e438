#!/usr/bin/env python3
"""agents.jsonl: transcripts of coding agents, mostly clean, a few planted values. python3 make_agents.py"""
import json, random, string, base64
from faker import Faker
from common import M, write
R = random.Random(99017); Faker.seed(99017)
FK = {l: Faker(l) for l in ["en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "en_IN", "pl_PL", "nl_NL"]}
AN = string.ascii_letters + string.digits
def tok(n, a=AN): return "".join(R.choice(a) for _ in range(n))
def hx(n): return tok(n, "0123456789abcdef")
def S(v): return M("SECRET", v)
def PW(v=None): return M("PASSWORD", v or tok(14))
def nm():
    f = FK[R.choice(list(FK))]; return f.first_name() + " " + f.last_name()
def N(): return M("PERSON", nm())
def mail(): return M("EMAIL", FK["en_US"].user_name() + R.choice(["@example.com", "@corp.example.org", "@users.example.net"]))
def ts(): return f"2026-{R.randint(1,12):02}-{R.randint(1,28):02}T{R.randint(0,23):02}:{R.randint(0,59):02}:{R.randint(0,59):02}.{R.randint(0,999):03}Z"
MOD = ["parser", "scheduler", "billing", "session", "router", "cache", "exporter", "ingest", "theme", "widget"]
FN = ["parse_header", "flush_queue", "load_config", "apply_patch", "render_table", "merge_rows", "split_chunks", "retry_later", "open_stream", "check_bounds"]
def m(): return R.choice(MOD)
def fn(): return R.choice(FN)
def ver(): return f"{R.randint(0,9)}.{R.randint(0,30)}.{R.randint(0,12)}"
def n(a=1, b=999): return R.randint(a, b)
def tid(): return "toolu_" + tok(24)
def cid(): return "call_" + tok(24)
clean = [
 lambda: json.dumps({"type": "tool_use", "id": tid(), "name": "bash", "input": {"command": f"cd /srv/{m()} && cargo test --lib {fn()} -- --nocapture", "timeout": n(10, 600) * 1000}}),
 lambda: json.dumps({"type": "tool_result", "tool_use_id": tid(), "content": f"running {n(2,80)} tests\ntest {m()}::tests::{fn()} ... ok\ntest {m()}::tests::{fn()}_empty ... FAILED\n\nfailures:\n\n---- {m()}::tests::{fn()}_empty stdout ----\nthread 'main' panicked at src/{m()}.rs:{n()}:{n(1,80)}:\nassertion `left == right` failed\n  left: {n()}\n right: {n()}"}),
 lambda: json.dumps({"role": "assistant", "tool_calls": [{"id": cid(), "type": "function", "function": {"name": "read_file", "arguments": json.dumps({"path": f"src/{m()}/{fn()}.ts", "offset": n(), "limit": 200})}}]}),
 lambda: f"$ git status --short\n M src/{m()}.py\n?? tests/test_{fn()}.py\n$ git diff --stat\n src/{m()}.py | {n(1,40)} +++++-----\n 1 file changed, {n(1,20)} insertions(+), {n(1,20)} deletions(-)",
 lambda: f"diff --git a/src/{m()}.rs b/src/{m()}.rs\nindex {hx(7)}..{hx(7)} 100644\n--- a/src/{m()}.rs\n+++ b/src/{m()}.rs\n@@ -{n()},6 +{n()},9 @@ impl Store {{\n     fn {fn()}(&self, token: &str) -> Result<State, Error> {{\n-        let state = self.state.lock();\n+        let state: State = self.inner.lock().await;\n+        let country: String = state.country.clone();\n+        let password = credentials?.password;\n     }}\n",
 lambda: f"Traceback (most recent call last):\n  File \"/usr/lib/python3.11/asyncio/runners.py\", line {n()}, in run\n    return runner.run(main)\n  File \"/srv/app/{m()}.py\", line {n()}, in {fn()}\n    raise ValueError(f\"bad row {{row!r}}\")\nValueError: bad row None",
 lambda: f"Exception in thread \"main\" java.lang.IllegalStateException: {fn()} called twice\n\tat com.acme.{m()}.Pool.acquire(Pool.java:{n()})\n\tat com.acme.{m()}.Main.main(Main.java:{n(1,99)})\nCaused by: java.net.SocketTimeoutException: Read timed out\n\t... {n(2,30)} more",
 lambda: f"TypeError: Cannot read properties of undefined (reading '{fn()}')\n    at Object.<anonymous> (/app/node_modules/@scope/{m()}/dist/index.js:{n()}:{n(1,90)})\n    at Module._compile (node:internal/modules/cjs/loader:1358:14)\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
 lambda: f"$ npm install\nadded {n()} packages, and audited {n()} packages in {n(1,60)}s\n\n{n(1,90)} packages are looking for funding\n  run `npm fund` for details\n\nfound 0 vulnerabilities\n$ node -v\nv20.{n(0,20)}.{n(0,9)}",
 lambda: f"$ ls -la\ntotal {n()}\ndrwxr-xr-x  {n(2,9)} root root  4096 Mar {n(1,28)} 10:{n(10,59)} .\n-rw-r--r--  1 root root {n(100,9999)} Jan {n(1,28)} 2026 Cargo.toml\n-rwxr-xr-x  1 node node {n(100,9999)} May {n(1,28)} 08:{n(10,59)} entrypoint.sh",
 lambda: f"$ docker ps\nCONTAINER ID   IMAGE               COMMAND                  STATUS         PORTS                    NAMES\n{hx(12)}   redis:7.2.{n(0,9)}         \"docker-entrypoint.s…\"   Up {n(2,50)} minutes   127.0.0.1:6379->6379/tcp   {m()}_redis_1\n{hx(12)}   postgres:16         \"docker-entrypoint.s…\"   Up {n(2,50)} hours     0.0.0.0:5432->5432/tcp   eager_{R.choice(['hopper','curie','galileo','turing','noether'])}",
 lambda: f"   Compiling serde v1.0.{n(1,220)}\n   Compiling {m()} v{ver()} (/work/{m()})\nerror[E0308]: mismatched types\n  --> src/{m()}.rs:{n()}:{n(1,80)}\n   |\n{n()} |     let id: u32 = {n(10**8,4*10**9)};\n   |             ^^^ expected `u64`, found `u32`\n\nFor more information about this error, try `rustc --explain E0308`.",
 lambda: f"I'll look at the {m()} module first, then run the tests. The failing assertion is in `{fn()}`; the State enum misses a variant, so the match falls through to `Unknown`.",
 lambda: f"Let me grep for it.\n\n<tool>grep -rn \"{fn()}\" src/ | head -20</tool>\n<result>\nsrc/{m()}.go:{n()}:func {fn()}(ctx context.Context, key string) error {{\nsrc/{m()}_test.go:{n()}:\terr := {fn()}(ctx, \"key\")\n</result>",
 lambda: json.dumps({"name": "edit_file", "arguments": {"path": f"web/src/components/Login{R.choice(['Form','Page'])}.tsx", "old": "<input type=\"password\" name=\"password\" placeholder=\"Password\" />", "new": "<Field label=\"Password\" type=\"password\" autoComplete=\"current-password\" />"}}),
 lambda: f"{ts()} INFO  [{m()}] {n()} rows in {n()} ms, trace={hx(32)} span={hx(16)}\n{ts()} WARN  [{m()}] slow query {n(1000,9000)} ms\n{ts()} INFO  [{m()}] build {n(1,9)}.{n(0,9)}.{n(0,99)}.{n(1000,9999)} up",
 lambda: f"## Summary\n\n- Renamed `{fn()}` to `{fn()}_all`\n- Added a regression test for #{n(100,9999)}\n- Bumped {m()} from {ver()} to {ver()}\n\nAll {n(20,900)} tests pass; clippy is clean. Next: the Dijkstra variant in `{m()}/graph.rs`.",
 lambda: f"name: ci\non: [push, pull_request]\njobs:\n  test:\n    runs-on: ubuntu-24.04\n    steps:\n      - uses: actions/checkout@{hx(40)} # v4.2.{n(0,9)}\n      - name: Install Rust\n        uses: dtolnay/rust-toolchain@stable\n      - name: Cache\n        uses: actions/cache@v4\n      - run: cargo test --all --locked\n        env:\n          TOKEN: ${{{{ secrets.GITHUB_TOKEN }}}}",
 lambda: f"$ kubectl get pods -n {m()}\nNAME                        READY   STATUS             RESTARTS   AGE\n{m()}-{hx(9)}-{tok(5, string.ascii_lowercase)}   1/1     Running            0          {n(1,40)}d\n{m()}-{hx(9)}-{tok(5, string.ascii_lowercase)}   0/1     CrashLoopBackOff   {n(1,40)}         {n(1,40)}m",
 lambda: f"$ curl -sI https://api.example.com/healthz\nHTTP/2 200\ncontent-type: application/json\nx-request-id: {hx(8)}-{hx(4)}-4{hx(3)}-9{hx(3)}-{hx(12)}\netag: W/\"{hx(20)}\"\ncontent-security-policy: default-src 'self'; script-src 'sha256-{base64.b64encode(R.randbytes(32)).decode()}'",
 lambda: f"# {m()}\n\n```toml\n[dependencies]\n{m()} = \"{ver()}\"\ntokio = {{ version = \"1\", features = [\"full\"] }}\n```\n\nchecksum = \"{hx(64)}\"\nintegrity: sha512-{base64.b64encode(R.randbytes(64)).decode()}",
 lambda: f"CREATE TABLE users (\n  id bigint PRIMARY KEY,\n  first_name text NOT NULL,\n  last_name text NOT NULL,\n  password text,\n  country char(2),\n  birth_date date\n);\nCREATE INDEX {m()}_idx ON users (last_name, first_name);",
 lambda: f"> Should I use Haskell or Ada for the {m()}?\n\nFor this size Ada's tasking model or Rust fits; Pascal and Julia are out. Jenkins can run either; Travis needs a custom image.",
 lambda: f"--- FAIL: Test{R.choice(['Carter','Madison','Austin','Jordan'])}Route (0.0{n(0,9)}s)\n    {m()}_test.go:{n()}: got {n()}, want {n()}\nFAIL\texit status 1\nFAIL\tgithub.com/acme/{m()}\t0.{n(100,999)}s",
 lambda: f"{{\"jsonrpc\":\"2.0\",\"id\":{n()},\"method\":\"tools/call\",\"params\":{{\"name\":\"search\",\"arguments\":{{\"query\":\"{fn()} memory leak\",\"limit\":10}}}}}}",
 lambda: f"Usage: {m()} [OPTIONS] <INPUT>\n\nOptions:\n  -u, --user <USER>          user name [env: APP_USER]\n  -p, --password <PASSWORD>  password; read from the terminal if left out\n      --token <TOKEN>        API token [default: none]\n  -V, --version              Print version",
 lambda: f"export function validate(form: {{ username: string; password: string }}) {{\n  if (!form.password) return {{ password: 'Password is required' }};\n  const user: User = await db.users.find({{ name: form.username }});\n  return bcrypt.compare(form.password, user.passwordHash);\n}}",
 lambda: f"$ pytest -q\n{'.' * n(20,60)}F.. [100%]\nFAILED tests/test_{m()}.py::test_{fn()}[utf-8-{n()}] - AssertionError: assert '{n()}' == '{n()}'\n1 failed, {n()} passed in {n(1,90)}.{n(10,99)}s",
]
plant = [
 lambda: f"$ git log -3\ncommit {hx(40)}\nAuthor: {N()} <{mail()}>\nDate:   Tue Mar {n(1,28)} 10:0{n(0,9)}:12 2026 +0100\n\n    fix {fn()} for empty input",
 lambda: f"$ git log --format='%an %ae %s' -2\n{N()} {mail()} bump {m()}\n{N()} {mail()} fix typo",
 lambda: f"$ git blame -L {n()},+2 src/{m()}.rs\n{hx(8)} ({N()} 2026-02-1{n(0,9)} 14:22:0{n(0,9)} +0000 {n()}) fn {fn()}() {{\n{hx(8)} ({N()} 2025-11-0{n(1,9)} 09:10:44 +0000 {n()})     todo!()",
 lambda: json.dumps({"type": "tool_result", "tool_use_id": tid(), "content": f"# .env\nNODE_ENV=production\nDB_PASSWORD={PW()}\nSENTRY_DSN=\nPORT=8080"}),
 lambda: json.dumps({"role": "tool", "tool_call_id": cid(), "content": f"{{\"aws_secret_access_key\": \"{S(tok(40))}\", \"region\": \"eu-central-1\"}}"}, ensure_ascii=False),
 lambda: f"$ cat ~/.netrc\nmachine git.example.com\nlogin {M('USERNAME', 'deploy-bot')}\npassword {PW(tok(20))}",
 lambda: f"$ env | sort\nHOME=/root\nLANG=C.UTF-8\nOPENAI_API_KEY={S('sk-proj-' + tok(48))}\nPATH=/usr/local/bin:/usr/bin\nPWD=/srv/{m()}",
 lambda: f"diff --git a/config/prod.yml b/config/prod.yml\n@@ -3,7 +3,7 @@\n database:\n   host: db.internal\n-  password: {PW()}\n+  password: ${{DB_PASSWORD}}\n   pool: 5",
 lambda: f"$ git remote -v\norigin\thttps://oauth2:{S('glpat-' + tok(20, AN + '-_'))}@gitlab.example.com/acme/{m()}.git (fetch)",
 lambda: f"requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://api.example.com/v1/{m()}?api_key={S(tok(32))}&page=2",
 lambda: f"sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) connection to {S('postgresql://app:' + tok(14) + '@db.internal:5432/' + m())} failed: FATAL: password authentication failed",
 lambda: f"Co-authored-by: {N()} <{mail()}>\nSigned-off-by: {N()} <{mail()}>",
 lambda: json.dumps({"title": f"{fn()} crashes", "user": {"login": M("USERNAME", "octo-dev"), "type": "User"}, "body": f"Reported by {N()} from support; logs attached.", "assignee": None}, ensure_ascii=False),
 lambda: f"[package]\nname = \"{m()}\"\nversion = \"{ver()}\"\nauthors = [\"{N()} <{mail()}>\"]\nlicense = \"MIT\"",
 lambda: f"{ts()} ERROR [{m()}] login failed for {mail()} from {M('IP_ADDRESS', FK['en_US'].ipv4_public())}",
 lambda: f"// TODO({M('PERSON', FK['en_US'].first_name().lower())}): remove after {m()} v{ver()}\n// Copyright 2026 {N()}. All rights reserved.",
 lambda: f"docker run -e MYSQL_ROOT_PASSWORD={PW()} -e TZ=UTC -p 3306:3306 mysql:8",
 lambda: f"$ psql -c \"select id, full_name, email from users limit 2\"\n id |   full_name   |   email\n----+---------------+---------\n  1 | {N()} | {mail()}\n  2 | {N()} | {mail()}\n(2 rows)",
 lambda: f"The seed script has a real person in it: `User(name=\"{N()}\", email=\"{mail()}\")`. I'd replace it with a factory.",
 lambda: f"-----BEGIN OPENSSH PRIVATE KEY-----\n{{}}\n-----END OPENSSH PRIVATE KEY-----",
 lambda: f"SLACK_BOT_TOKEN={S('xoxb-' + tok(12, string.digits) + '-' + tok(12, string.digits) + '-' + tok(24))} node bot.js",
 lambda: f"assistant: I found a hard-coded router key `{S('sk-ar-v1-' + tok(46))}` in {m()}.py line {n()}; rotate it.",
 lambda: f"fixtures/users.json:\n[{{\"id\":1,\"name\":\"{N()}\",\"phone\":\"{M('PHONE', '+1 415 55' + str(n(0,9)) + ' ' + str(n(1000,9999)))}\"}}]",
]
def key_block():
    body = "\n".join(tok(64, AN + "+/") for _ in range(4))
    return "$ cat deploy_key\n" + M("PRIVATE_KEY", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----") + "\n$ ssh -i deploy_key root@web1"
plant = [p for p in plant if "BEGIN OPENSSH" not in p()] + [key_block]
def unmark_json(s):
    """json.dumps escapes the marks: put them back."""
    return s.replace("\\u0001", "\x01").replace("\\u0002", "\x02").replace("\\u0003", "\x03")
rows = []
for i in range(420):
    k = R.randint(2, 4)
    if i % 10 < 7: parts, kind = [R.choice(clean)() for _ in range(k)], "clean"
    else:
        parts, kind = [R.choice(clean)() for _ in range(k - 1)] + [plant[i % len(plant)]()], "planted"; R.shuffle(parts)
    rows.append((unmark_json("\n\n".join(parts)), {"kind": kind}))
write("agents", rows)
