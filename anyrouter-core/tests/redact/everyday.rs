//! What people paste: settings, shells, logs, mails, tables, addresses. What is to be found stands
//! in `⟦…⟧`, and nothing else is.

use anyrouter_core::redact::Redactor;

#[track_caller]
fn finds(marked: &str) {
    let text = marked.replace(['⟦', '⟧'], "");
    let expected: Vec<&str> = marked
        .split('⟦')
        .skip(1)
        .filter_map(|part| Some(part.split_once('⟧')?.0))
        .collect();
    let found = Redactor::default().find(&text);
    assert_eq!(
        found
            .iter()
            .map(|f| &text[f.start..f.end])
            .collect::<Vec<_>>(),
        expected,
        "{text}\n{found:?}"
    );
}

#[test]
fn settings() {
    finds("database:\n  password: |\n    ⟦Tr0ub4dor&3⟧\n  pool: 5\n");
    finds("password: >-\r\n  ⟦correct horse battery 9⟧\r\nport: 80\n");
    finds("smtp:\n  pass: \"⟦kdjf83jf!!x⟧\"\n");
    finds(
        "data:\n  password: ⟦c3VwZXJzZWNyZXQxMjM=⟧\nstringData:\n  api-token: \"⟦k8s-7fh3kd92kd03kd92⟧\"",
    );
    finds(
        "Authorization: Basic ⟦YWRtaW46aHVudGVyMjI=⟧\nAuthorization: token ⟦8f3kd93kd02kq93kd92xd93kd92zd93kd92kd93k⟧",
    );
    finds("description: |\n  the password is in the vault\n");
}

#[test]
fn cookies() {
    finds("Cookie: theme=dark; session=⟦8f3kd93kd0a⟧; csrftoken=⟦aSDkj39dkwl29dkw02kdls⟧");
    finds(
        "Set-Cookie: sid=⟦s%3AqzKp0s8dk3.8dk39dk20dkf⟧; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; HttpOnly",
    );
    finds("Cookie: theme=dark; lang=en-GB; consent=all-20260101");
    finds("the cookie is stored in `session=` and read back");
}

#[test]
fn wallets() {
    finds(
        "recovery phrase: ⟦witch collapse practice feed shame open despair creek road again ice least⟧.",
    );
    finds(
        "the seed phrase is made of words that only you know and that no one else can ever guess",
    );
}

#[test]
fn commands() {
    finds("mysql -u root -p⟦hunterhunter⟧ prod");
    finds("docker login -u ci -p ⟦x8Kd93kd0s⟧ registry.example.com");
    finds("Zoom passcode ⟦482934⟧, PIN ⟦4821⟧");
}

#[test]
fn logs() {
    finds("INFO [auth] user ⟦jane.doe⟧ logged in from ⟦203.0.113.9⟧");
    finds("sshd: Failed password for invalid user ⟦admin1⟧ from ⟦10.1.2.4⟧ port 22 ssh2");
    finds("sshd: Accepted password for ⟦joe⟧ from ⟦10.1.2.3⟧ port 22 ssh2");
    finds("User \"⟦maria⟧\" logged in successfully");
    finds("the user logged in from home; a user from 3 countries; user input failed to parse");
}

#[test]
fn mails() {
    finds("From: \"⟦Doe, Jane⟧\" <⟦jane.doe@corp.example⟧>");
    finds("⟦Zorblax Quimby⟧ <⟦z@q.com⟧>; Support Team <⟦help@q.com⟧>; No Reply <⟦noreply@q.com⟧>");
    finds("client = Client(timeout=5)");
}

#[test]
fn tables() {
    finds("id,name,city\n1,\"⟦Smith⟧, ⟦Jane⟧\",\"⟦Bonn⟧\"\n2,⟦Bob Jones⟧,⟦Paris⟧\n");
    finds("temperature,reading\n\"20, at noon\",7\n\"21\",8\n");
}

#[test]
fn addresses() {
    finds("住在⟦北京市朝阳区建国路88号⟧。");
    finds("⟦上海市浦东新区世纪大道100号2号楼502室⟧，⟦大阪府大阪市北区梅田3-1-3⟧に");
    finds("주소는 ⟦서울특별시 강남구 테헤란로 152⟧ 입니다");
    finds("⟦北京⟧市朝阳区有3号线");
    finds("PLZ ⟦80331⟧ ⟦München⟧, Tel.");
    finds("J'habite au ⟦12 rue de la Paix, 75002 Paris⟧.");
    finds("mieszkam przy ⟦ul. Marszałkowska 10/5, 00-590 Warszawa⟧");
    finds("Wir wohnen: ⟦Am Stadtpark 5, 22303 Hamburg⟧.");
    finds("⟦Unter den Linden 77, 10117 Berlin⟧");
    finds("vivo en ⟦C/ Gran Vía 28⟧, 3º B");
    finds("In Section 3, 12345 Items were found; see Chapter 5, 22303 Words");
    finds("живу на ⟦ул. Ленина, д. 5⟧");
}

#[test]
fn names_end_at_signs() {
    finds("الاسم: ⟦محمد علي⟧، الهاتف");
}

#[test]
fn names_in_small_letters_stand_behind_words_that_ask_for_somebody() {
    finds("conosci ⟦bianca rossi⟧? era in classe con noi");
    finds("¿conoces a ⟦hernán garcía⟧?");
    finds("znasz ⟦agnieszka kowalska⟧? chodziła z nami");
    finds("mon patron ⟦jean-pierre⟧ refuse mes congés depuis un an");
    finds("kennst du diesen laden? der war früher bei uns");
    finds("according to the plan we met in the office");
}

#[test]
fn names_stand_before_words_of_respect_whether_a_list_has_them_or_not() {
    finds("⟦Zorvaniye⟧ Hanım aradı, faturayı sordu.");
    finds("⟦Xalaksh⟧ ji refund maang rahe hain");
    finds("öğretmenimiz ⟦ayşe⟧ hanım sınavı erteledi");
}

#[test]
fn names_in_capitals_are_found_in_a_text_that_is_not() {
    finds("⟦OLGA KOWALSKA⟧ jest na liście gości");
    finds("⟦MARIA GARCÍA⟧ está en la lista");
    finds("WARNING MESSAGE is printed, and ERROR CODE follows");
    finds("The SIL Open Font License, MIT License and GNU General Public License");
}

#[test]
fn a_part_of_a_full_name_is_found_where_it_stands_alone() {
    finds("I had lunch with ⟦Jack Frost⟧ today. ⟦Frost⟧ thinks the merger is off.");
    finds("Al cliente ⟦Genaro Mendoza⟧ se le cobró dos veces. ⟦Mendoza⟧ pide la devolución.");
    finds("Ask ⟦Mark Jones⟧ first. Mark the box if he agrees.");
}

#[test]
fn a_name_is_found_beside_one_that_it_is_joined_to() {
    finds("⟦Erdogan⟧ ve ⟦Umut⟧ dün nişanlandı");
    finds("Invitamos a ⟦Carlos⟧ y a ⟦Lucía⟧ a la boda");
}

#[test]
fn signs_at_a_word_hide_no_value_in_it() {
    finds("¿contraseña: ⟦hunter22xx⟧?");
    finds("—⟦Carlos García⟧ llamó ayer");
    finds("«⟦Carlos García⟧» llamó ayer");
    finds("•email:⟦jane@example.org⟧");
}

#[test]
fn codes_that_are_sent_are_found_before_and_behind_their_name() {
    finds("Ihr Code lautet ⟦482910⟧.");
    finds("⟦482910⟧ is your verification code. Do not share it.");
    finds("Votre code est ⟦4829⟧, il expire dans 5 minutes");
    finds("your code is 1200 lines long");
    finds("2FA code: ⟦482913⟧");
    finds("use the authentication code ⟦993201⟧ to go on");
    finds("Einmalcode: ⟦4471⟧");
}

#[test]
fn a_customers_number_may_stand_in_groups() {
    finds("Kundennummer: ⟦88 213 44⟧");
    finds("customer number ⟦4455 9912⟧, please call back");
    finds("customer number ⟦44559912⟧ 3 times");
}

#[test]
fn a_signature_that_opens_a_url_is_a_secret() {
    finds(
        "https://x.blob.core.windows.net/c/b?sv=2022-11-02&sr=b&sig=⟦Z%2FRHIX5Xcg0Mq2rqI3OlWTjEg2tYkboXr1P9ZUXDtkk%3D⟧",
    );
    finds(
        "https://b.s3.amazonaws.com/k?X-Amz-Expires=60&X-Amz-Signature=⟦b228dbec8c1008c80c162e1210e4503dceead1e4d4751b4d9787314fd6da4d55⟧",
    );
    finds("gpg: sig 3 0x1234ABCD9876EF01 2021-04-01");
}

#[test]
fn passwords_among_arguments_of_more_programs() {
    finds("sqlcmd -S srv -U sa -P ⟦Passw0rdx⟧ -Q 'select 1'");
    finds("mosquitto_pub -h broker -u joe -P ⟦Passw0rdx⟧ -t topic");
    finds("smbclient //srv/share -U joe%⟦Passw0rdx⟧");
    finds("htpasswd -b users.txt joe ⟦Passw0rdx⟧");
    finds("openssl enc -aes-256-cbc -k ⟦Passw0rdx⟧ -in a");
    finds("requirepass ⟦Passw0rdx⟧");
    finds("echo 'bob:⟦Sup3rpassx⟧' | sudo chpasswd");
    finds("useradd -p and openssl are described in the manual");
}

#[test]
fn secrets_that_are_short_or_read_like_words_are_found_by_their_name() {
    finds("api_key: ⟦93kd02ksl20d⟧");
    finds("access_token=⟦k20dk3ls9dk2⟧");
    finds("SECRET_KEY=⟦correcthorsebattery⟧");
    finds("credentials: ⟦joe:hunter2x⟧");
    finds("SharedAccessKey=⟦k3jd9aKd93kdls0dk3jdk29dk3jd9dk3jd9k3=⟧");
    finds("token: parser2\nkey: sha256sum\napi_version: v2beta1");
    finds("password: Option<String>, token: String");
}

#[test]
fn a_part_of_a_name_is_found_in_its_field() {
    finds("Vorname: ⟦Jörn⟧\nNachname: ⟦Ützelbach⟧");
    finds("Apellido: ⟦Zubirizarre⟧");
    finds("Nazwisko: ⟦Brzęckowicz⟧");
}

#[test]
fn birth_dates_with_the_month_in_words_stand_behind_a_colon_too() {
    finds("Geburtsdatum: ⟦3. Mai 1980⟧");
    finds("Doğum tarihi: ⟦3 Mayıs 1980⟧");
    finds("Sitzung: 3. Mai 2026");
}
