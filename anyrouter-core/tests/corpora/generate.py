#!/usr/bin/env python3
"""Makes the labelled corpora that the detectors are held against: python3 generate.py, with faker, python-stdnum and phonenumbers.

A line is {"id", "text" | "json", "spans": [{"start", "end", "label"}]}, offsets in bytes. Names and addresses are Faker's, numbers those that
python-stdnum and phonenumbers call valid; none of the detectors' own lists is used. Each kind has its own fixed seed, so that one can be made
alone (python3 generate.py KIND…): the files change only with this file and with the packages' versions."""
import importlib, json, pathlib, random, re, sys

import phonenumbers
from faker import Faker
from phonenumbers import geocoder

HERE = pathlib.Path(__file__).parent
rng = random.Random()
LOCALES = {
    code: Faker(code) for code in ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "pt_BR", "nl_NL", "pl_PL", "sv_SE", "th_TH", "zh_CN")
}


def document(template, **values):
    """Fills {LABEL:value} places of a template, and notes where they are."""
    text, spans = b"", []
    for piece in re.split(r"(\{[A-Z_]+:\w+\})", template):
        place = re.fullmatch(r"\{([A-Z_]+):(\w+)\}", piece)
        value = (values[place[2]] if place else piece).encode()
        if place:
            spans.append({"start": len(text), "end": len(text) + len(value), "label": place[1]})
        text += value
    return {"text": text.decode(), "spans": spans}


def write(kind, documents):
    with open(HERE / f"{kind}.jsonl", "w", encoding="utf-8") as out:
        for number, row in enumerate(documents):
            out.write(json.dumps({"id": f"{kind}-{number}", **row}, ensure_ascii=False) + "\n")


def token(alphabet, length):
    return "".join(rng.choice(alphabet) for _ in range(length))


LETTERS = "abcdefghijklmnopqrstuvwxyz"
MIXED = LETTERS + LETTERS.upper() + "0123456789"
HEX = "0123456789abcdef"


def card():
    number = Faker().credit_card_number(card_type=rng.choice(["visa16", "mastercard", "amex"]))
    return number if len(number) != 16 or rng.random() < 0.5 else " ".join(number[i : i + 4] for i in range(0, 16, 4))


def general():
    templates = [
        "My name is {PERSON:name} and my e-mail is {EMAIL:mail}.",
        "Dear {PERSON:name}, your card {CREDIT_CARD:card} was declined; call us at +1 800 GO.",
        "Please pay to {IBAN:iban}, reference rent, {PERSON:name}.",
        "{PERSON:name} lives at {ADDRESS:address}.",
        "The server at {IP_ADDRESS:ip} (MAC {MAC_ADDRESS:mac}) does not answer.",
        "Call {PERSON:name} on {PHONE:phone} before noon.",
        "Patient: {PERSON:name}\nDate of birth: {DATE_OF_BIRTH:born}\nPhone: {PHONE:phone}",
        "username: {USERNAME:user}\npassword: {PASSWORD:password}",
        "From: {PERSON:name} <{EMAIL:mail}>\nTo: support\n\nIt fails since yesterday.\n\nRegards,\n{PERSON:other}",
        "The office in {LOCATION:city} is closed; write to {EMAIL:mail}.",
    ]
    for _ in range(30):
        for template in templates:
            fake = rng.choice([LOCALES["en_US"], LOCALES["en_GB"]])
            yield document(
                template, name=f"{fake.first_name()} {fake.last_name()}", other=fake.first_name(), mail=fake.ascii_safe_email(), card=card(), iban=fake.iban(),
                address=LOCALES["en_US"].address().replace("\n", ", "), ip=fake.ipv4_public(), mac=fake.mac_address(),
                phone=phonenumbers.format_number(phonenumbers.example_number_for_type(rng.choice(["US", "GB", "DE", "FR"]), 1), phonenumbers.PhoneNumberFormat.INTERNATIONAL),
                born=fake.date_of_birth().strftime(rng.choice(["%Y-%m-%d", "%d/%m/%Y", "%d %B %Y"])), user=f"{fake.user_name()}{rng.randint(1, 99)}",
                password=token(MIXED, 10) + rng.choice("!?#"), city=rng.choice(["London", "Paris", "Berlin", "Madrid", "Chicago", "Toronto", "Osaka", "Vienna"]),
            )


IDS = {
    "pl.pesel": 11, "pl.nip": 10, "de.idnr": 11, "fr.nir": 15, "es.dni": None, "it.codicefiscale": None, "nl.bsn": 9, "be.nn": 11, "se.personnummer": 10,
    "no.fodselsnummer": 11, "fi.hetu": None, "dk.cpr": 10, "pt.nif": 9, "ch.ssn": 13, "cz.rc": 10, "ro.cnp": 13, "bg.egn": 10, "gr.amka": 11, "hr.oib": 11,
    "ee.ik": 11, "lt.asmens": 11, "tr.tckimlik": 11, "in_.aadhaar": 12, "cn.ric": None, "kr.rrn": 13, "th.pin": 13, "br.cpf": 11, "br.cnpj": 14, "cl.rut": 9,
    "za.idnr": 13, "il.idnr": 9, "au.tfn": 9, "au.abn": 11, "nz.ird": 9, "ca.sin": 9, "gb.nhs": 10, "us.ssn": 9, "mx.curp": None, "ar.cuit": 11, "ua.rntrc": 10,
}
NAMES = {
    "pl.pesel": "PESEL", "pl.nip": "NIP", "de.idnr": "Steuer-ID", "fr.nir": "NIR", "nl.bsn": "BSN", "be.nn": "rijksregisternummer", "se.personnummer": "personnummer",
    "no.fodselsnummer": "fødselsnummer", "dk.cpr": "CPR-nummer", "pt.nif": "NIF", "ch.ssn": "AHV", "cz.rc": "rodné číslo", "ro.cnp": "CNP", "bg.egn": "ЕГН", "gr.amka": "AMKA",
    "hr.oib": "OIB", "ee.ik": "isikukood", "lt.asmens": "asmens kodas", "tr.tckimlik": "TC kimlik no", "in_.aadhaar": "Aadhaar", "kr.rrn": "RRN", "th.pin": "national ID",
    "br.cpf": "CPF", "br.cnpj": "CNPJ", "cl.rut": "RUT", "za.idnr": "South African ID", "il.idnr": "Israeli ID number", "au.tfn": "TFN", "au.abn": "ABN", "nz.ird": "IRD number",
    "ca.sin": "SIN", "gb.nhs": "NHS number", "us.ssn": "SSN", "ar.cuit": "CUIT", "ua.rntrc": "РНОКПП",
}


def ids():
    for name, length in IDS.items():
        if length is None:
            continue
        module = importlib.import_module(f"stdnum.{name}")
        found = 0
        for _ in range(400_000):
            number = token("0123456789", length)
            if module.is_valid(number):
                found += 1
                yield document(rng.choice(["My {0} is {{NATIONAL_ID:n}}.", "{0}: {{NATIONAL_ID:n}}", "{0} {{NATIONAL_ID:n}} was checked today."]).format(NAMES[name]), n=number)
                if found == 6:
                    break
    for _ in range(60):
        digits = token("0123456789", rng.randint(9, 13))
        yield document(rng.choice(["Order {0} has shipped.", "Ticket {0} is closed.", "The file has {0} bytes.", "Invoice no. {0} is due."]).format(digits))


def phones():
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE) or phonenumbers.example_number(region)
        if number is None:
            continue
        style = rng.choice([phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.INTERNATIONAL])
        yield document(rng.choice(["Reach me at {PHONE:n}.", "New number: {PHONE:n}", "{PHONE:n} is mine"]), n=phonenumbers.format_number(number, style))


CHAT = {
    "de_DE": "Hallo, ich heiße {PERSON:name}, meine Nummer ist {PHONE:phone} und ich wohne in der {ADDRESS:street}.",
    "fr_FR": "Bonjour, je m'appelle {PERSON:name}, mon numéro est {PHONE:phone}, mon mail {EMAIL:mail}.",
    "es_ES": "Hola, me llamo {PERSON:name}, mi teléfono es {PHONE:phone} y mi correo {EMAIL:mail}.",
    "it_IT": "Ciao, mi chiamo {PERSON:name}, il mio numero è {PHONE:phone}, scrivimi a {EMAIL:mail}.",
    "pt_BR": "Oi, meu nome é {PERSON:name}, meu telefone é {PHONE:phone} e o e-mail {EMAIL:mail}.",
    "nl_NL": "Hoi, mijn naam is {PERSON:name}, bel me op {PHONE:phone} of mail {EMAIL:mail}.",
    "pl_PL": "Cześć, nazywam się {PERSON:name}, mój numer to {PHONE:phone}, mail {EMAIL:mail}.",
    "sv_SE": "Hej, jag heter {PERSON:name}, ring mig på {PHONE:phone} eller mejla {EMAIL:mail}.",
}


def chat():
    for locale, template in CHAT.items():
        region = locale[-2:]
        for _ in range(15):
            fake = LOCALES[locale]
            number = phonenumbers.format_number(phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
            yield document(template, name=f"{fake.first_name()} {fake.last_name()}", phone=number, mail=fake.ascii_safe_email(), street=f"{fake.street_name()} {rng.randint(1, 99)}")


def secrets():
    forms = [
        lambda: "ghp_" + token(MIXED, 36), lambda: "AKIA" + token("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), lambda: "sk_live_" + token(MIXED, 24),
        lambda: "xoxb-" + token("0123456789", 12) + "-" + token("0123456789", 12) + "-" + token(MIXED, 24), lambda: "AIza" + token(MIXED, 35),
        lambda: "glpat-" + token(MIXED, 20), lambda: "npm_" + token(MIXED, 36), lambda: "SG." + token(MIXED, 22) + "." + token(MIXED, 43),
        lambda: "dop_v1_" + token(HEX, 64), lambda: "hf_" + token(MIXED[:52], 34), lambda: "sk-ant-api03-" + token(MIXED, 93) + "AA", lambda: "gsk_" + token(MIXED, 52),
    ]
    places = ["Use {SECRET:s} for now.", "API_KEY={SECRET:s}", '{{"token": "{SECRET:s}"}}'.replace("{{", "{").replace("}}", "}"), "curl -H 'X-Key: {SECRET:s}' https://example.com"]
    for form in forms:
        for place in places:
            yield document(place, s=form())


def code():
    named = ['db_password = "{PASSWORD:s}"', "SECRET_KEY={SECRET:s}", "  api_key: '{SECRET:s}'", 'const token = "{SECRET:s}";', '"clientSecret": "{SECRET:s}",', "export AUTH_TOKEN={SECRET:s}"]
    for template in named * 6:
        yield document(template, s=token(MIXED, rng.randint(18, 40)) + "7")
    for line in [
        'password = os.environ["DB_PASSWORD"]', "password: ${DB_PASSWORD}", 'api_key = "<your-api-key>"', 'secret = "changeme"', "commit 3f786850e387550fdab836ed7e6dc881de23001b",
        'sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"', "id: 550e8400-e29b-41d4-a716-446655440000", "version = 1.2.3", "tokens_used = 15000",
        "def check_password(password): return hash(password)", "const key = event.key;", "key_file = /etc/ssl/private/key.pem", "password_field = form.password", "token: null",
    ]:
        yield document(line)


def adversarial():
    def escaped(text):
        return "".join(f"\\u{ord(c):04x}" for c in text)

    for _ in range(12):
        mail, number = LOCALES["en_US"].ascii_safe_email(), card().replace(" ", "")
        user, host = mail.split("@")
        yield document("{EMAIL:v}", v=escaped(mail))
        yield document("Write to {EMAIL:v} today", v=mail.replace("@", "&#64;").replace(".", "&#46;"))
        yield document("Write to {EMAIL:v} today", v=f"{user.replace('.', ' dot ')} at {host.replace('.', ' dot ')}")
        yield document("Write to {EMAIL:v} today", v="\u200b".join(mail))
        yield document("Write to {EMAIL:v} today", v=mail.replace("o", "о").replace("a", "а"))
        yield document("mail={EMAIL:v}&x=1", v=mail.replace("@", "%40"))
        if len(number) == 16:
            groups = [number[i : i + 4] for i in range(0, 16, 4)]
            yield document("card {CREDIT_CARD:v} please", v=".".join(groups))
            yield document("card {CREDIT_CARD:v} please", v=number.translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")))
            yield document("card {CREDIT_CARD:v} please", v=" ".join(groups).translate(str.maketrans("0123456789", "０１２３４５６７８９")))
        yield document(f"| name | value |\n|---|---|\n| hash | {token(HEX, 40)} |\n| build | 20261125.{rng.randint(1, 99)} |\n| price | $1,299.00 |")


def clean():
    fake = Faker("en_US")
    nouns = ["build", "parser", "buffer", "cache", "queue", "index", "window", "thread", "socket", "layout", "module", "table"]
    for _ in range(60):
        sentences = [f"The {rng.choice(nouns)} of the {rng.choice(nouns)} {rng.choice(['grows', 'shrinks', 'is read', 'is written', 'waits'])} when the {rng.choice(nouns)} {rng.choice(['is full', 'ends', 'moves', 'is empty'])}; see section {rng.randint(1, 9)}.{rng.randint(1, 9)}." for _ in range(12)]
        log = [f"2026-11-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:07Z INFO {rng.choice(nouns)}: {rng.randint(1, 9999)} items in {rng.randint(1, 999)} ms, id {token(HEX, 32)}" for _ in range(6)]
        yield document(" ".join(sentences) + "\n" + "\n".join(log))


def phones_national():
    templates = [
        "In {LOCATION:c} call {PHONE:n} before noon.", "country: {LOCATION:c}\nphone: {PHONE:n}", "My number in {LOCATION:c} is {PHONE:n}.",
        "Tel. ({LOCATION:c}): {PHONE:n}", "She moved to {LOCATION:c}; her phone is {PHONE:n} now.",
    ]
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = phonenumbers.example_number_for_type(region, rng.choice([0, 1])) or phonenumbers.example_number(region)
        country = geocoder.country_name_for_number(number, "en") if number else ""
        if country:
            yield document(rng.choice(templates), c=country, n=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL))


def business():
    templates = {
        "en_GB": [
            "Appointment: {PERSON:name}, tel {PHONE:phone}, crown on 14, pays cash.",
            "Invoice for {PERSON:name}, {ADDRESS:street}. Bank: {IBAN:iban}.",
            "Patient {PERSON:name}, born {DATE_OF_BIRTH:born}, allergic to penicillin. Insurance letter sent to {EMAIL:mail}.",
            "Car of {PERSON:name}: brakes done, keys in the box. Call {PHONE:phone}.",
            "Room 12 for {PERSON:name}, two nights, card {CREDIT_CARD:card}.",
        ],
        "de_DE": [
            "Termin: {PERSON:name}, Tel. {PHONE:phone}, Krone auf 14.",
            "Rechnung an {PERSON:name}, {ADDRESS:street}. IBAN {IBAN:iban}.",
            "Patient: {PERSON:name}, geboren am {DATE_OF_BIRTH:born}, Penicillin-Allergie. E-Mail {EMAIL:mail}.",
        ],
        "fr_FR": [
            "Rendez-vous : {PERSON:name}, tél. {PHONE:phone}, couronne.",
            "Patient : {PERSON:name}, né le {DATE_OF_BIRTH:born}. Mail : {EMAIL:mail}",
            "Facture pour {PERSON:name}. IBAN {IBAN:iban}.",
        ],
    }
    for locale, lines in templates.items():
        region = locale[-2:]
        for _ in range(8):
            for line in lines:
                fake = LOCALES[locale]
                number = phonenumbers.example_number_for_type(region, rng.choice([0, 1]))
                yield document(
                    line, name=f"{fake.first_name()} {fake.last_name()}", mail=fake.ascii_safe_email(), card=card(), iban=fake.iban(),
                    street=f"{fake.street_name()} {rng.randint(1, 99)}" if locale != "en_GB" else f"{rng.randint(1, 99)} {fake.last_name()} Street",
                    phone=phonenumbers.format_number(number, rng.choice([1, 2])), born=fake.date_of_birth().strftime("%d.%m.%Y"),
                )


def recognizers():
    """Short sentences for one detector, right and wrong."""
    for _ in range(12):
        fake = LOCALES["en_US"]
        mail, number, iban, ip, mac = fake.ascii_safe_email(), card().replace(" ", ""), fake.iban(), fake.ipv4_public(), fake.mac_address()
        yield document("my mail is {EMAIL:v}", v=mail)
        yield document("my mail is " + mail.replace("@", " "))
        yield document("my credit card: {CREDIT_CARD:v}", v=number)
        yield document("the total was " + number[:9])
        yield document("IBAN {IBAN:v}", v=iban)
        # What its label calls an IBAN is one, mistyped or not.
        yield document("IBAN {IBAN:v}", v=iban[:-1] + str((int(iban[-1]) + 1) % 10))
        yield document("host {IP_ADDRESS:v} is down", v=ip)
        yield document("version " + ".".join(str(rng.randint(1, 9)) for _ in range(4)))
        yield document("MAC address {MAC_ADDRESS:v}", v=mac)
        yield document("at " + ":".join(f"{rng.randint(10, 59)}" for _ in range(3)) + " the job ended")
        yield document("my ssn is {NATIONAL_ID:v}", v=fake.ssn())
        yield document("build " + fake.ssn().replace("-", "."))


def unlisted():
    """Secrets whose form nobody listed, and what only looks like one."""
    places = [
        'SMTP_PASSWORD="{PASSWORD:s}"', "export VAULT_UNSEAL_KEY={SECRET:s}", "auth:\n  password: {PASSWORD:s}", '{"clientSecret": "{SECRET:s}"}',
        "- name: SIGNING_SECRET\n  value: {SECRET:s}", 'let api_token: &str = "{SECRET:s}";', "the password for the new box is {PASSWORD:s}",
        "credentials: admin / {PASSWORD:s}", "Der API-Schlüssel ist {SECRET:s}", "try {PASSWORD:s} as the password", "X-Api-Key: {SECRET:s}",
    ]
    for place in places * 5:
        yield document(place, s=token(MIXED, rng.randint(16, 36)) + str(rng.randint(0, 9)) + rng.choice(LETTERS))
    for line in [
        "etag: {0}", "sha1 {0}", "commit {0}", "request_id={0}", "cache_key: user_{1}_profile", "public_key_fingerprint = {0}", "password: ${{DB_PASSWORD}}",
        "token_count: {1}", "the password is case-sensitive", "api_key = config.get('api_key')", "secret: !vault |", "password_hash_rounds = {1}",
    ] * 3:
        yield document(line.format(token(HEX, 40), rng.randint(100, 99999)))


def services():
    """Tokens that only a service's name beside them tells."""
    for service in ["datadog", "algolia", "mailchimp", "twilio", "fastly", "newrelic", "circleci", "travis", "bitbucket", "dropbox", "okta", "sonar"]:
        for place in ["{0}_key = {{SECRET:s}}", "{1}_TOKEN={{SECRET:s}}", '"{0}": {{"apiKey": "{{SECRET:s}}"}}', "our {2} key is {{SECRET:s}}"]:
            text = place.format(service, service.upper(), service.capitalize()).replace('{"apiKey', '{ "apiKey').replace("{{SECRET", "{SECRET").replace("s}}", "s}")
            yield document(text, s=token(rng.choice([HEX, MIXED]), rng.choice([32, 40])))


def thai():
    for _ in range(30):
        fake = LOCALES["th_TH"]
        number = phonenumbers.format_number(phonenumbers.example_number_for_type("TH", 1), phonenumbers.PhoneNumberFormat.NATIONAL)
        name = f"{fake.first_name()} {fake.last_name()}"
        yield document("สวัสดีค่ะ ฉันชื่อ {PERSON:name} เบอร์โทร {PHONE:phone}", name=name, phone=number)
        yield document("อีเมลของผมคือ {EMAIL:mail} ครับ", mail=fake.ascii_safe_email())


def chinese():
    for _ in range(30):
        fake = LOCALES["zh_CN"]
        yield document("你好，我叫{PERSON:name}，电话是{PHONE:phone}。", name=fake.name(), phone=fake.phone_number())
        yield document("我的身份证号是{NATIONAL_ID:id}，邮箱{EMAIL:mail}", id=fake.ssn(), mail=fake.ascii_safe_email())


KINDS = (
    general, ids, phones, phones_national, business, recognizers, chat, thai, chinese, secrets, code, unlisted, services, adversarial, clean,
)

if __name__ == "__main__":
    for kind in KINDS:
        if len(sys.argv) < 2 or kind.__name__ in sys.argv:
            rng.seed(f"20261125 {kind.__name__}")
            Faker.seed(f"20261125 {kind.__name__}")
            write(kind.__name__, kind())
