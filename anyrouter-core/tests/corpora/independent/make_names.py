#!/usr/bin/env python3
"""names_chat.jsonl: person names in sentences of ten languages. python3 make_names.py"""
import random
from faker import Faker
from common import M, write
import names_templates as T
R = random.Random(20261128)
Faker.seed(20261128)
LOC = {"en": ["en_US", "en_GB"], "de": ["de_DE", "de_AT"], "nl": ["nl_NL"], "tr": ["tr_TR"], "hi": ["en_IN"], "es": ["es_ES", "es_MX"],
       "fr": ["fr_FR"], "it": ["it_IT"], "pt": ["pt_BR", "pt_PT"], "pl": ["pl_PL"]}
FK = {l: Faker(l) for ls in LOC.values() for l in ls}
def lower(s, lang): return s.replace("İ", "i").replace("I", "ı").lower() if lang == "tr" else s.lower()
def upper(s, lang): return s.replace("i", "İ").upper() if lang == "tr" else s.upper()
def person(lang):
    if R.random() < .3: return R.choice(T.HAND[lang])
    f = FK[R.choice(LOC[lang])]
    if lang in ("pl",) or R.random() < .5:
        return (f.first_name_female(), f.last_name_female() if lang == "pl" else f.last_name())
    return (f.first_name_male(), f.last_name())
def fill(t, lang):
    a, b = person(lang), person(lang)
    while b == a or b[0] == a[0]: b = person(lang)
    v = {"n": " ".join(a), "f": a[0], "l": a[1], "n2": " ".join(b), "f2": b[0], "l2": b[1], "lc": lower(" ".join(a), lang), "lf": lower(a[0], lang),
         "ll": lower(a[1], lang), "uc": upper(" ".join(a), lang), "rev": f"{a[1]}, {a[0]}", "ini": f"{a[0][0]}. {a[1]}", "UL": f"{upper(a[1], lang)} {a[0]}"}
    for k, x in v.items(): t = t.replace("{" + k + "}", M("PERSON", x))
    city = R.choice(T.CITY[lang])
    t = t.replace("{city}", M("LOCATION", city))
    mail = f"{FK[LOC[lang][0]].user_name()}@{R.choice(['example.org', 'mail.example.com', 'example.net'])}"
    t = t.replace("{mail}", M("EMAIL", mail))
    t = t.replace("{num}", str(R.randint(1000, 99999)))
    return t
def main():
    rows = []
    for lang, ts in T.POS.items():
        n = 44
        pick = ts + [R.choice(ts) for _ in range(n - len(ts))] if len(ts) < n else R.sample(ts, n)
        rows += [(fill(t, lang), {"lang": lang, "kind": "pos"}) for t in pick]
    for lang, ts in T.NEG.items():
        for t in ts:
            for p in T.PLACES: 
                pass
            rows.append((mark_places(t), {"lang": lang, "kind": "neg"}))
    R.shuffle(rows)
    write("names_chat", rows)
def mark_places(t):
    """[[Place]] in a template is a labelled LOCATION."""
    import re
    return re.sub(r"\[\[(.+?)\]\]", lambda m: M("LOCATION", m[1]), t)
main()
