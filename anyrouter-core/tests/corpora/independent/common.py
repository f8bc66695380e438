"""Shared by the makers: a document is text with marks \\x01LABEL\\x02value\\x03; spans are in bytes."""
import json, random, re, pathlib
HERE = pathlib.Path(__file__).parent
def M(label, value): return f"\x01{label}\x02{value}\x03"
MARK = re.compile("\x01([A-Z_]+)\x02([^\x03]*)\x03")
def document(marked):
    out, spans, pos = b"", [], 0
    for m in MARK.finditer(marked):
        out += marked[pos:m.start()].encode()
        v = m[2].encode()
        spans.append({"start": len(out), "end": len(out) + len(v), "label": m[1]})
        out += v; pos = m.end()
    out += marked[pos:].encode()
    assert b"\x01" not in out and b"\x02" not in out, out
    return {"text": out.decode(), "spans": spans}
def write(kind, rows):
    """rows: (marked text, extra dict)"""
    with open(HERE / f"{kind}.jsonl", "w", encoding="utf-8") as f:
        for i, (t, extra) in enumerate(rows):
            f.write(json.dumps({"id": f"{kind}-{i}", **extra, **document(t)}, ensure_ascii=False) + "\n")
    print(kind, len(rows), "rows")
