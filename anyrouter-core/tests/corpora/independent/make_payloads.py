#!/usr/bin/env python3
"""payloads.jsonl: structured text as people paste it. CUSTOMER_ID stands for customer, member and policy numbers; a card's CVC is a SECRET.
python3 make_payloads.py"""
import base64, hashlib, json, random, string
from faker import Faker
from common import M, write
R = random.Random(4711); Faker.seed(4711)
FK = {l: Faker(l) for l in ["en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "pt_BR", "en_IN", "tr_TR"]}
AN = string.ascii_letters + string.digits
def fk(*ls): return FK[R.choice(ls or list(FK))]
def tok(n, a=AN): return "".join(R.choice(a) for _ in range(n))
def S(v): return M("SECRET", v)
def PW(v=None): return M("PASSWORD", v or pw())
WORDS = ["Sommer", "winter", "Tiger", "coffee", "Blue", "Dragon", "maple", "Sunny", "Hockey", "Berlin"]
def pw():
    k = R.randrange(4)
    if k == 0: return R.choice(WORDS) + str(R.randint(10, 2030)) + R.choice("!?#$*")
    if k == 1: return tok(R.randint(10, 16), AN + "!#%*+-_")
    if k == 2: return "-".join(R.choice(WORDS).lower() for _ in range(3)) + str(R.randint(1, 99))
    return R.choice(WORDS)[0] + tok(9)
def pws(): return tok(R.randint(10, 20))
def person(*ls):
    f = fk(*ls); return f.first_name(), f.last_name()
def N(*ls):
    return M("PERSON", " ".join(person(*ls)))
def F(v=None): return M("PERSON", v or fk().first_name())
def L(v=None): return M("PERSON", v or fk().last_name())
def mail(): return M("EMAIL", fk("en_US", "de_DE").user_name() + R.choice(["@example.com", "@example.org", "@mail.example.net", "@acme.example"]))
def dob(fmt=None):
    d = Faker().date_of_birth(minimum_age=18, maximum_age=85)
    return M("DATE_OF_BIRTH", d.strftime(fmt or R.choice(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y"])))
def phone():
    r = R.random()
    if r < .3: return M("PHONE", f"+49 {R.choice(['151','171','160','176'])} {R.randint(1000000, 99999999)}")
    if r < .5: return M("PHONE", f"({R.choice([212, 415, 503, 617, 303])}) {R.randint(200, 999)}-{R.randint(1000, 9999)}")
    if r < .6: return M("PHONE", f"+44 7{R.randint(100, 999)} {R.randint(100000, 999999)}")
    if r < .7: return M("PHONE", f"06 {' '.join(f'{R.randint(0, 99):02}' for _ in range(4))}")
    if r < .8: return M("PHONE", f"+91 {R.randint(70000, 99999)} {R.randint(10000, 99999)}")
    if r < .9: return M("PHONE", f"+1{R.choice([212, 415, 503])}{R.randint(200, 999)}{R.randint(1000, 9999)}")
    return M("PHONE", f"0{R.choice(['30', '89', '40'])} {R.randint(1000000, 99999999)}")
def addr_us(): 
    f = FK["en_US"]; return M("ADDRESS", f"{f.building_number()} {f.street_name()}")
def addr_de(): return M("ADDRESS", f"{FK['de_DE'].street_name()} {R.randint(1, 140)}")
def city(): return M("LOCATION", R.choice(["Denver", "Leipzig", "Nantes", "Bologna", "Utrecht", "Leeds", "Sevilla", "Toronto", "Kassel", "Gdynia"]))
def ssn_ok(): return f"{R.choice([1,2,3,4,5,7])}{R.randint(10, 99)}-{R.randint(10, 99)}-{R.randint(1000, 9999)}"
def ssn_bad(): return R.choice(["938-12-8514", f"9{R.randint(10, 99)}-{R.randint(10, 69)}-{R.randint(1000, 9999)}", f"000-{R.randint(10, 99)}-{R.randint(1000, 9999)}", f"666-{R.randint(10,99)}-{R.randint(1000,9999)}"])
def ssn(): return M("NATIONAL_ID", ssn_ok() if R.random() < .6 else ssn_bad())
def steuer(bad=False):
    d = [R.randint(1, 9)] + [R.randint(0, 9) for _ in range(9)]
    # ISO 7064 mod 11,10
    p = 10
    for x in d:
        s = (x + p) % 10 or 10; p = (2 * s) % 11
    c = (11 - p) % 10
    if bad: c = (c + R.randint(1, 9)) % 10
    return "".join(map(str, d)) + str(c)
def iban(bad=False):
    v = fk("de_DE", "fr_FR", "nl_NL", "en_GB").iban()
    if bad: v = v[:-1] + str((int(v[-1]) + R.randint(1, 9)) % 10) if v[-1].isdigit() else v[:4] + v[4:-1] + "0"
    return " ".join(v[i:i + 4] for i in range(0, len(v), 4)) if R.random() < .4 else v
D = [[0,1,2,3,4,5,6,7,8,9],[1,2,3,4,0,6,7,8,9,5],[2,3,4,0,1,7,8,9,5,6],[3,4,0,1,2,8,9,5,6,7],[4,0,1,2,3,9,5,6,7,8],[5,9,8,7,6,0,4,3,2,1],[6,5,9,8,7,1,0,4,3,2],[7,6,5,9,8,2,1,0,4,3],[8,7,6,5,9,3,2,1,0,4],[9,8,7,6,5,4,3,2,1,0]]
PM = [[0,1,2,3,4,5,6,7,8,9],[1,5,7,6,2,8,3,0,9,4],[5,8,0,3,7,9,6,1,4,2],[8,9,1,6,0,4,3,5,2,7],[9,4,5,3,1,2,6,8,7,0],[4,2,8,6,5,7,3,9,0,1],[2,7,9,3,8,0,6,4,1,5],[7,0,4,6,9,1,3,2,5,8]]
def aadhaar(bad=False):
    base = str(R.randint(2, 9)) + tok(10, string.digits)
    for c in "0123456789":
        k = 0
        for i, ch in enumerate(reversed(base + c)): k = D[k][PM[i % 8][int(ch)]]
        if k == 0: good = c
    c = good if not bad else str((int(good) + R.randint(1, 9)) % 10)
    s = base + c
    return f"{s[:4]} {s[4:8]} {s[8:]}" if R.random() < .6 else s
def card():
    n = Faker().credit_card_number(card_type=R.choice(["visa16", "mastercard"]))
    return M("CREDIT_CARD", n if R.random() < .5 else " ".join(n[i:i + 4] for i in range(0, 16, 4)))
def cvc(): return M("SECRET", f"{R.randint(100, 999)}")
def CN(fmt=None):
    v = fmt or R.choice(["########", "K-#####", "??-######", "#######", "C########", "POL-####-####", "MBR#######"])
    v = "".join(str(R.randint(0, 9)) if c == "#" else R.choice(string.ascii_uppercase) if c == "?" else c for c in v)
    return M("CUSTOMER_ID", v)
def jwt():
    b = lambda s: base64.urlsafe_b64encode(s.encode()).decode().rstrip("=")
    return M("JWT", b('{"alg":"HS256","typ":"JWT"}') + "." + b('{"sub":"%d","iat":1716239022}' % R.randint(1, 10**9)) + "." + tok(43, AN + "-_"))
def b64(n): return base64.b64encode(R.randbytes(n)).decode()
def bcrypt(): return S(f"$2{R.choice('aby')}${R.choice(['10', '12'])}$" + tok(53, AN + "./"))
def hexs(n): return tok(n, "0123456789abcdef")
def user(): return M("USERNAME", R.choice([FK["en_US"].user_name(), "svc_backup", "deploy", "jenkins-ro", "reporting", "dba_admin", "qa.tester"]))
def ip(): return M("IP_ADDRESS", FK["en_US"].ipv4_public())
def dt(): return f"2026-{R.randint(1, 12):02}-{R.randint(1, 28):02}T{R.randint(0, 23):02}:{R.randint(0, 59):02}:{R.randint(0, 59):02}Z"
def uuid(): return f"{hexs(8)}-{hexs(4)}-4{hexs(3)}-a{hexs(3)}-{hexs(12)}"

T = []
def t(f): T.append(f); return f
def add(*fs): T.extend(fs)
# --- key/value pairs
for key, kind in [("DB_PASSWORD", "p"), ("POSTGRES_PASSWORD", "p"), ("API_TOKEN", "s"), ("SECRET_KEY_BASE", "s"), ("REDIS_PASSWORD", "p")]:
    add(lambda key=key, kind=kind: '{"name":"%s","value":"%s"}' % (key, PW(pws()) if kind == "p" else S(tok(32))),
        lambda key=key, kind=kind: '"environment": [\n  {"name": "NODE_ENV", "value": "production"},\n  {"name": "%s", "value": "%s"}\n]' % (key, PW() if kind == "p" else S(tok(40))))
add(
 lambda: '{"key":"access_token","value":"%s"}' % S(tok(40)),
 lambda: '[{"key": "client_id", "value": "web-app"}, {"key": "client_secret", "value": "%s"}]' % S(tok(36)),
 lambda: '{"Key": "refresh_token", "Value": "%s"}' % S("1//" + tok(42, AN + "-_")),
 lambda: '{"key":"password","value":"%s","type":"string","enabled":true}' % PW(),
 lambda: '{"parameterKey":"DbPassword","parameterValue":"%s"}' % PW(pws()),
 lambda: '<add key="ApiSecret" value="%s"/>' % S(tok(32)),
 lambda: '<configuration>\n  <appSettings>\n    <add key="SmtpUser" value="%s"/>\n    <add key="SmtpPassword" value="%s" />\n    <add key="PageSize" value="50"/>\n  </appSettings>\n</configuration>' % (user(), PW()),
 lambda: '<property name="hibernate.connection.username" value="%s"/>\n<property name="hibernate.connection.password" value="%s"/>' % (user(), PW()),
 lambda: '<server>\n  <id>nexus</id>\n  <username>%s</username>\n  <password>%s</password>\n</server>' % (user(), PW()),
 lambda: '<connectionStrings><add name="Default" connectionString="Server=db1;Database=app;User Id=%s;Password=%s;"/></connectionStrings>' % (user(), PW(pws())),
# --- FHIR
 lambda: '{"resourceType":"Patient","name":[{"use":"official","family":"%s","given":["%s","%s"]}],"telecom":[{"system":"phone","value":"%s","use":"mobile"},{"system":"email","value":"%s"}],"birthDate":"%s"}' % (L(), F(), F(), phone(), mail(), dob("%Y-%m-%d")),
 lambda: ('{\n  "resourceType": "Patient",\n  "identifier": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "%s"}],\n  "name": [{"family": "%s", "given": ["%s"]}],\n  "gender": "female",\n  "birthDate": "%s",\n  "address": [{"line": ["%s"], "city": "%s", "postalCode": "' + M("ADDRESS", "80211") + '"}]\n}') % (ssn(), L("Okafor"), F(), dob("%Y-%m-%d"), addr_us(), city()),
 lambda: '"contact": [{"relationship": [{"text": "mother"}], "name": {"text": "%s"}, "telecom": [{"system": "phone", "value": "%s"}]}]' % (N(), phone()),
 lambda: '{"resourceType":"Coverage","status":"active","subscriberId":"%s","beneficiary":{"display":"%s"},"payor":[{"display":"Example Health"}]}' % (CN("########"), N()),
 lambda: '{"resourceType":"Practitioner","name":[{"prefix":["Dr."],"family":"%s","given":["%s"]}],"qualification":[{"code":{"text":"MD"}}]}' % (L(), F()),
# --- members
 lambda: '{"phone_numbers":[{"value":"%s","type":"work"},{"value":"%s"}]}' % (phone(), phone()),
 lambda: '{"emails":[{"value":"%s","primary":true}],"name":{"givenName":"%s","familyName":"%s"},"userName":"%s"}' % (mail(), F(), L(), user()),
 lambda: '{"columns":["name","ssn"],"rows":[["%s","%s"],["%s","%s"]]}' % (N(), ssn(), N(), ssn()),
 lambda: '{"columns": ["id", "email", "dob", "phone"], "data": [[1, "%s", "%s", "%s"], [2, "%s", "%s", "%s"]]}' % (mail(), dob(), phone(), mail(), dob(), phone()),
 lambda: '{"fields":["username","password"],"values":[["%s","%s"],["%s","%s"]]}' % (user(), PW(), user(), PW()),
 lambda: '{"header":["first_name","last_name","city"],"rows":[["%s","%s","%s"],["%s","%s","%s"]]}' % (F(), L(), city(), F(), L(), city()),
 lambda: '{"insured":"%s","policy_number":"%s","premium":412.50}' % (N(), CN("POL-####-####")),
 lambda: '{"insured":{"given":"%s","family":"%s"},"claim":"water damage"}' % (F(), L()),
 lambda: '{"given": "%s", "family": "%s", "role": "nurse"}' % (F(), L()),
 lambda: '{"firstname":"%s","lastname":"%s","customerNumber":"%s"}' % (F(), L(), CN()),
 lambda: '{"names":["%s","%s","%s"],"room":"B12"}' % (N(), N(), N()),
 lambda: '{"attendees":["%s","%s"],"title":"Budget review"}' % (N(), N()),
 lambda: '{"customer_number": "%s", "balance": -19.90, "owner": "%s"}' % (CN(), N()),
 lambda: '{"patient_id": "%s", "ward": 4, "diagnosis": "J45.0"}' % CN("P#######"),
 lambda: '{"member_id":"%s","plan":"gold","dependents":[{"name":"%s","dob":"%s"}]}' % (CN("MBR#######"), N(), dob()),
 lambda: 'Kundennummer: %s\nVertragsnummer: %s\nName: %s' % (CN("#######"), CN("V-######"), N("de_DE")),
 lambda: 'Policy no. %s, member number %s, holder %s' % (CN("??######"), CN("########"), N("en_GB")),
 lambda: 'Patient number: %s\nMRN: %s\nAttending: Dr. %s' % (CN("#######"), CN("########"), L()),
 lambda: 'numéro client : %s\nnom : %s\nprénom : %s' % (CN("#######"), L(FK["fr_FR"].last_name()), F(FK["fr_FR"].first_name())),
 lambda: 'Klantnummer: %s\nNaam: %s\nGeboortedatum: %s' % (CN("#######"), N("nl_NL"), dob("%d-%m-%Y")),
 lambda: 'Número de póliza: %s\nTitular: %s\nFecha de nacimiento: %s' % (CN("ES#######"), N("es_ES"), dob("%d/%m/%Y")),
# --- wrong check digits, labelled
 lambda: 'SSN: %s' % M("NATIONAL_ID", "938-12-8514"),
 lambda: 'My social security number is %s, is that an ITIN?' % M("NATIONAL_ID", ssn_bad()),
 lambda: 'Steuer-ID: %s' % M("TAX_ID", steuer(True)),
 lambda: 'Steueridentifikationsnummer %s, Name %s' % (M("TAX_ID", steuer(R.random() < .7)), N("de_DE")),
 lambda: 'IBAN: %s' % M("IBAN", iban(True)),
 lambda: '{"iban":"%s","account_holder":"%s"}' % (M("IBAN", iban(R.random() < .6)), N("de_DE", "nl_NL")),
 lambda: 'Aadhaar: %s' % M("NATIONAL_ID", aadhaar(True)),
 lambda: 'Aadhaar number %s belongs to %s' % (M("NATIONAL_ID", aadhaar(R.random() < .7)), N("en_IN")),
 lambda: '{"tax_id": "%s", "employee": "%s"}' % (M("TAX_ID", steuer(True)), N("de_DE")),
 lambda: '{"ssn":"%s","itin":"%s"}' % (M("NATIONAL_ID", ssn_bad()), M("NATIONAL_ID", f"9{R.randint(10,99)}-7{R.randint(0,9)}-{R.randint(1000,9999)}")),
 lambda: 'PESEL: %s\nNIP: %s' % (M("NATIONAL_ID", tok(11, "0123456789")), M("TAX_ID", tok(10, "123456789"))),
 lambda: 'BSN %s (let op: onleesbaar gescand)' % M("NATIONAL_ID", tok(9, "123456789")),
 lambda: 'DNI: %s' % M("NATIONAL_ID", tok(8, "123456789") + R.choice("ABDFKTRW")),
 lambda: 'CPF: %s' % M("NATIONAL_ID", f"{R.randint(100,999)}.{R.randint(100,999)}.{R.randint(100,999)}-{R.randint(10,99)}"),
 lambda: 'NHS number: %s' % M("NATIONAL_ID", f"{R.randint(400,799)} {R.randint(100,999)} {R.randint(1000,9999)}"),
 lambda: 'Passport No: %s, exp 2031' % M("PASSPORT", R.choice("CLFX") + tok(8, "0123456789")),
 lambda: 'Sozialversicherungsnummer: %s' % M("NATIONAL_ID", f"{R.randint(10,80)}{R.randint(10,28)}0{R.randint(1,9)}{R.randint(50,99)}{R.choice('MKSB')}{R.randint(100,999)}"),
# --- .env, shell, curl
 lambda: '# .env\nAPP_ENV=local\nDB_HOST=127.0.0.1\nDB_USERNAME=%s\nDB_PASSWORD=%s\nMAIL_PASSWORD="%s"\nLOG_LEVEL=debug' % (user(), PW(), PW(pws())),
 lambda: 'STRIPE_SECRET_KEY=%s\nSTRIPE_PUBLISHABLE=pk_test_placeholder\nPORT=3000' % S("sk_live_" + tok(24)),
 lambda: 'AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_REGION=eu-west-1' % (S("AKIA" + tok(16, string.ascii_uppercase + "234567")), S(tok(40, AN + "+/"))),
 lambda: 'ANYROUTER_API_KEY=%s' % S("sk-ar-v1-" + tok(48)),
 lambda: 'my key is %s but I get 401' % S("sk-ar-v1-" + tok(R.choice([40, 43, 64]))),
 lambda: 'curl https://api.example.com/v1/chat -H "Authorization: Bearer %s"' % S("sk-ar-v1-" + tok(44)),
 lambda: '{"api_key": "%s"}' % S("ak_" + tok(44)),
 lambda: 'use %s for the sandbox please' % S("ak_" + tok(R.choice([40, 48]))),
 lambda: 'export ROUTER_KEY=%s' % S("ak_live_" + tok(42)),
 lambda: 'curl -u %s:%s https://jira.example.com/rest/api/2/myself' % (user(), PW(pws())),
 lambda: "curl -s --user '%s:%s' -X POST https://ci.example.com/job/build" % (user(), PW(tok(12, AN + "!@#"))),
 lambda: 'curl -k -u "%s:%s" ftp://files.example.com/report.csv -o r.csv' % (user(), PW(pws())),
 lambda: 'wget --user=%s --password=%s https://dl.example.com/a.tgz' % (user(), PW(pws())),
 lambda: 'curl -X POST https://id.example.com/token -d "grant_type=password&username=%s&password=%s&client_secret=%s"' % (user(), PW(pws()), S(tok(32))),
 lambda: 'curl -H "X-Auth-Token: %s" -H "Accept: application/json" https://api.example.com/v2/servers' % S(hexs(32)),
 lambda: 'mysql -h db.example.com -u %s -p%s shop < dump.sql' % (user(), PW(pws())),
 lambda: 'PGPASSWORD=%s psql -h 10.0.0.5 -U app' % PW(pws()),
 lambda: 'sshpass -p %s ssh root@web1' % PW("'" + pw() + "'") if R.random() < 0 else "sshpass -p '%s' ssh root@web1" % PW(),
 lambda: 'docker login -u %s -p %s registry.example.com' % (user(), PW(pws())),
 lambda: 'redis-cli -h cache -a %s ping' % PW(pws()),
 lambda: 'htpasswd entry: %s:%s' % (user(), bcrypt()),
 lambda: '{"user":"%s","password_hash":"%s"}' % (user(), bcrypt()),
 lambda: 'UPDATE users SET pw = \'%s\' WHERE id = %d;' % (bcrypt(), R.randint(1, 999)),
 lambda: '[Interface]\nPrivateKey = %s\nAddress = 10.8.0.2/24\n\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nEndpoint = vpn.example.com:51820' % (S(b64(32)), b64(32), S(b64(32))),
 lambda: 'wg private key: %s' % S(b64(32)),
 lambda: 'Endpoint=sb://acme-bus.servicebus.windows.net/;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=%s' % S(b64(32)),
 lambda: 'HostName=plant7.azure-devices.net;DeviceId=pump-3;SharedAccessKey=%s' % S(b64(32)),
 lambda: 'DefaultEndpointsProtocol=https;AccountName=acmeblob;AccountKey=%s;EndpointSuffix=core.windows.net' % S(b64(64)),
 lambda: 'https://acmeblob.blob.core.windows.net/x?sv=2022-11-02&se=2027-01-01&sr=c&sp=rl&sig=%s' % S(tok(43, AN) + "%3D"),
 lambda: 'postgres://%s:%s@db.example.com:5432/app' % (M("USERNAME", "app"), PW(pws())) if R.random() < 0 else M("SECRET", "postgres://app:%s@db.example.com:5432/app" % pws()),
 lambda: 'DATABASE_URL=%s' % M("SECRET", "mysql://root:%s@10.1.2.3/shop" % pws()),
 # --- prose
 lambda: 'the password I set was %s and it still says invalid' % PW(),
 lambda: 'The password I set was %s.' % PW(),
 lambda: 'Test login is %s / %s' % (user(), PW()),
 lambda: 'test login: %s / %s on staging' % (user(), PW()),
 lambda: 'You can log in with %s and %s' % (user(), PW()),
 lambda: 'I changed my pw to %s yesterday' % PW(),
 lambda: 'wifi: Guestnet, pass: %s' % PW(),
 lambda: 'Das Passwort lautet %s, bitte nicht weitergeben.' % PW(),
 lambda: 'mot de passe : %s' % PW(),
 lambda: 'la contraseña es %s' % PW(),
 lambda: 'wachtwoord is %s, user %s' % (PW(), user()),
 lambda: 'The PIN for the safe is %s.' % PW(f"{R.randint(1000, 9999)}"),
 lambda: 'my otp seed is %s' % S(tok(32, string.ascii_uppercase + "234567")),
 lambda: 'Card %s exp 09/28 CVC %s name %s' % (card(), cvc(), N("en_US")),
 lambda: 'Karte: %s, gültig bis 11/27, CVV: %s' % (card(), cvc()),
 lambda: '{"card_number":"%s","expiry":"04/29","cvv":"%s"}' % (card(), cvc()),
 lambda: '{"pan":"%s","cvc":"%s","holder":"%s"}' % (card(), cvc(), N()),
 # --- orders, CRM, HR
 lambda: ('{"order":%d,"ship_to":{"name":"%s","street":"%s","city":"%s","zip":"' + M("ADDRESS", "80211") + '"},"items":[{"sku":"A-113","qty":2}],"placed":"%s"}') % (R.randint(10**5, 10**6), N("en_US"), addr_us(), city(), dt()),
 lambda: '{"lead":{"contact":"%s","company":"Northwind GmbH","mobile":"%s","email":"%s","stage":"qualified"}}' % (N("de_DE"), phone(), mail()),
 lambda: '{"employee_id":"E-%d","full_name":"%s","birth_date":"%s","salary":58000,"manager":"%s","iban":"%s"}' % (R.randint(1000, 9999), N(), dob(), N(), M("IBAN", iban())),
 lambda: '{"billing":{"line1":"%s","city":"%s","phone":"%s"},"total":"129.00","currency":"EUR"}' % (addr_de(), city(), phone()),
 lambda: '{"event":"user.created","data":{"id":"%s","first_name":"%s","last_name":"%s","email":"%s","created_at":"%s"}}' % (uuid(), F(), L(), mail(), dt()),
 lambda: '{"applicant":{"name":"%s","dob":"%s","address":"%s"},"score":640}' % (N(), dob(), M("ADDRESS", FK["en_US"].building_number() + " " + FK["en_US"].street_name() + ", Denver")),
 lambda: '{"reporter":{"displayName":"%s","emailAddress":"%s"},"assignee":{"displayName":"%s"},"key":"OPS-%d"}' % (N(), mail(), N(), R.randint(1, 999)),
 lambda: '{"to":"%s","from":"%s","body":"Your code is %s"}' % (phone(), M("PHONE", "+18005550199"), S(f"{R.randint(100000, 999999)}")),
 lambda: '{"messages":[{"role":"user","content":"Hi, I am %s, call me at %s"}]}' % (N(), phone()),
 lambda: '{"cardholderName":"%s","billingAddress":"%s","dateOfBirth":"%s"}' % (N(), addr_us(), dob("%Y-%m-%d")),
 # --- YAML
 lambda: 'customer:\n  name: %s\n  phone: "%s"\n  birthday: %s\n  address:\n    street: %s\n    city: %s' % (N(), phone(), dob("%Y-%m-%d"), addr_de(), city()),
 lambda: 'spring:\n  datasource:\n    url: jdbc:postgresql://db:5432/app\n    username: %s\n    password: %s' % (user(), PW(pws())),
 lambda: 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ntype: Opaque\ndata:\n  username: %s\n  password: %s' % (M("USERNAME", base64.b64encode(b"appuser").decode()), PW(base64.b64encode(pws().encode()).decode())),
 lambda: 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: api\nstringData:\n  token: %s\n  tls.crt: ""' % S(tok(36)),
 lambda: 'env:\n  - name: SMTP_PASSWORD\n    value: "%s"\n  - name: LOG_LEVEL\n    value: info' % PW(pws()),
 lambda: 'jobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: ./deploy.sh\n        env:\n          DEPLOY_TOKEN: %s' % S("ghp_" + tok(36)),
 lambda: 'variables:\n  CI_REGISTRY: registry.example.com\n  NPM_TOKEN: "%s"\nscript:\n  - npm publish' % S("npm_" + tok(36)),
 lambda: 'services:\n  db:\n    image: mariadb:11\n    environment:\n      MARIADB_ROOT_PASSWORD: %s\n      MARIADB_DATABASE: shop' % PW(pws()),
 lambda: '- hosts: db\n  vars:\n    ansible_user: %s\n    ansible_become_pass: %s' % (user(), PW(pws())),
 lambda: 'notifiers:\n  slack:\n    url: https://hooks.slack.com/services/%s' % S("T" + tok(9, string.ascii_uppercase + string.digits) + "/B" + tok(9, string.ascii_uppercase + string.digits) + "/" + tok(24)),
 # --- terraform
 lambda: 'resource "aws_db_instance" "main" {\n  engine   = "postgres"\n  username = "%s"\n  password = "%s"\n  port     = 5432\n}' % (user(), PW(pws())),
 lambda: 'variable "api_token" {\n  type    = string\n  default = "%s"\n}' % S(tok(40)),
 lambda: 'provider "datadog" {\n  api_key = "%s"\n  app_key = "%s"\n}' % (S(hexs(32)), S(hexs(40))),
 # --- vCard, LDIF, SQL, CSV
 lambda: (lambda f, l: 'BEGIN:VCARD\nVERSION:3.0\nN:%s;%s;;;\nFN:%s\nTEL;TYPE=CELL:%s\nEMAIL:%s\nBDAY:%s\nADR;TYPE=HOME:;;%s;%s;;;\nEND:VCARD' % (L(l), F(f), M("PERSON", f + " " + l), phone(), mail(), dob("%Y-%m-%d"), addr_us(), city()))(*person()),
 lambda: (lambda f, l: 'dn: uid=%s,ou=people,dc=example,dc=com\nobjectClass: inetOrgPerson\ncn: %s\nsn: %s\ngivenName: %s\nmail: %s\ntelephoneNumber: %s\nuserPassword: {SSHA}%s' % (user(), M("PERSON", f + " " + l), L(l), F(f), mail(), phone(), S(b64(24))))(*person("en_US", "de_DE")),
 lambda: "INSERT INTO customers (first_name, last_name, email, phone) VALUES\n('%s', '%s', '%s', '%s'),\n('%s', '%s', '%s', '%s');" % (F(FK["en_US"].first_name()), L(FK["en_US"].last_name()), mail(), phone(), F(FK["de_DE"].first_name()), L(FK["de_DE"].last_name()), mail(), phone()),
 lambda: "INSERT INTO patients(name, birth_date, ssn) VALUES ('%s', '%s', '%s');" % (N("en_US"), dob("%Y-%m-%d"), ssn()),
 lambda: "INSERT INTO `users` VALUES (%d,'%s','%s','%s',1);" % (R.randint(1, 99), user(), mail(), bcrypt()),
 lambda: "CREATE USER '%s'@'%%' IDENTIFIED BY '%s';" % (user(), PW(pws())),
 lambda: "ALTER ROLE %s WITH PASSWORD '%s';" % (user(), PW(pws())),
 lambda: 'name,dob,phone,city\n%s,%s,%s,%s\n%s,%s,%s,%s' % (N("en_US"), dob("%Y-%m-%d"), phone(), city(), N("en_GB"), dob("%Y-%m-%d"), phone(), city()),
 lambda: '| Name | Geburtsdatum | Telefon |\n|---|---|---|\n| %s | %s | %s |\n| %s | %s | %s |' % (N("de_DE"), dob("%d.%m.%Y"), phone(), N("de_DE"), dob("%d.%m.%Y"), phone()),
 lambda: 'Nachname;Vorname;Straße;Ort\n%s;%s;%s;%s' % (L(FK["de_DE"].last_name()), F(FK["de_DE"].first_name()), addr_de(), city()),
 lambda: 'id\tuser\tpassword\n1\t%s\t%s\n2\t%s\t%s' % (user(), PW(pws()), user(), PW(pws())),
 lambda: ' id |     full_name      |    ssn      \n----+--------------------+-------------\n  1 | %s | %s\n  2 | %s | %s' % (N("en_US"), ssn(), N("en_US"), ssn()),
 # --- logs
 lambda: '%s INFO auth login ok user=%s ip=%s' % (dt(), user(), ip()),
 lambda: '%s WARN payment declined card=%s customer="%s"' % (dt(), card(), N()),
 lambda: '%s DEBUG http headers={"authorization":"Bearer %s","accept":"*/*"}' % (dt(), jwt()),
 lambda: '%s ERROR smtp 535 auth failed for %s with password %s' % (dt(), mail(), PW(pws())),
 lambda: '[%s] session created sid=%s for %s' % (dt(), S(hexs(32)), N()),
 lambda: 'Set-Cookie: sessionid=%s; Path=/; HttpOnly' % S(tok(32, string.ascii_lowercase + string.digits)),
 lambda: '%s - %s [12/Mar/2026:10:11:12 +0000] "GET /?api_key=%s HTTP/1.1" 200 512' % (ip(), user(), S(tok(32))),
 lambda: 'sms sent to %s from gateway 3, text "Hello %s"' % (phone(), F()),
 # --- XML
 lambda: '<customer><firstName>%s</firstName><lastName>%s</lastName><birthDate>%s</birthDate><phone>%s</phone></customer>' % (F(), L(), dob("%Y-%m-%d"), phone()),
 lambda: '<Employee id="%d"><Name>%s</Name><SSN>%s</SSN><Address>%s</Address></Employee>' % (R.randint(10, 99), N(), ssn(), addr_us()),
 lambda: '<wsse:UsernameToken><wsse:Username>%s</wsse:Username><wsse:Password Type="PasswordText">%s</wsse:Password></wsse:UsernameToken>' % (user(), PW(pws())),
 lambda: '<Dbtr><Nm>%s</Nm></Dbtr><DbtrAcct><Id><IBAN>%s</IBAN></Id></DbtrAcct>' % (N("de_DE", "fr_FR"), M("IBAN", iban().replace(" ", ""))),
 lambda: 'PID|1||%s^^^HOSP^MR||%s^%s||%s|F|||%s^^%s' % (CN("#######"), L(), F(), dob("%Y%m%d"), addr_us(), city()),
 # --- code
 lambda: 'const client = new Client({ user: "%s", password: "%s", host: "db" });' % (user(), PW(pws())),
 lambda: 'conn = psycopg2.connect(host="db", user="%s", password="%s")' % (user(), PW(pws())),
 lambda: 'app.config["SECRET_KEY"] = "%s"' % S(tok(32)),
 lambda: '$cfg[\'Servers\'][1][\'password\'] = \'%s\';' % PW(pws()),
 lambda: 'define( \'AUTH_KEY\', \'%s\' );\ndefine( \'DB_PASSWORD\', \'%s\' );' % (S(tok(64, AN + "!@#%^&*()-_[]{}<>~`+=,.;:/?|")), PW(pws())),
 lambda: 'machine api.example.com login %s password %s' % (user(), PW(pws())),
 lambda: '//registry.npmjs.org/:_authToken=%s' % S("npm_" + tok(36)),
 lambda: '[default]\naws_access_key_id = %s\naws_secret_access_key = %s' % (S("AKIA" + tok(16, string.ascii_uppercase + "234567")), S(tok(40, AN + "+/"))),
 lambda: 'Authorization: Basic %s' % S(base64.b64encode(("admin:" + pws()).encode()).decode()),
 lambda: 'X-Api-Key: %s' % S(tok(40)),
 lambda: '{"auths":{"registry.example.com":{"auth":"%s"}}}' % S(base64.b64encode(("bot:" + pws()).encode()).decode()),
 lambda: '{"type":"service_account","project_id":"acme","private_key_id":"%s","client_email":"%s"}' % (hexs(40), M("EMAIL", "bot@acme.iam.gserviceaccount.com")),
)
rows = []
per = 2
for f in T:
    for _ in range(3): rows.append((f(), {}))
rows = rows if len(rows) <= 600 else R.sample(rows, 600)
# fixed rows of the brief, once more and exactly
R.shuffle(rows)
write("payloads", rows)
print(len(T), "templates")
