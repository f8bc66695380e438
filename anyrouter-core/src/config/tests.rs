use super::*;

fn load(file: &str, variables: &[(&str, &str)], arguments: &str) -> Result<Config, String> {
    let pair = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    let sources = Sources {
        file: Some(FileText {
            path: "any.toml".into(),
            text: file.to_owned(),
        }),
        arguments: toml::from_str(arguments).unwrap(),
        environment: variables.iter().map(pair).collect(),
        memory: Some(1 << 30),
    };
    let none = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    Config::load(&sources, &none).map_err(|e| e.to_string())
}

#[test]
fn arguments_stand_over_the_environment_and_that_over_the_file_key_by_key() {
    let file = "listen = \"127.0.0.1:1\"\n[limits]\ndepth = 100\nattempts = 2\n\
                [privacy]\nblock = [\"groq\"]\nenforce_zdr = true";
    let variables = [
        ("ANYROUTER_LISTEN", "127.0.0.1:2"),
        ("ANYROUTER_LIMITS_DEPTH", "200"),
        ("ANYROUTER_PRIVACY_BLOCK", "xai"),
        ("ANYROUTER_PROVIDER_GROQ_TIER", "free"),
    ];
    let config = load(file, &variables, "listen = \"127.0.0.1:3\"").unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!((config.limits.depth, config.limits.attempts), (200, 2));
    assert_eq!(config.limits.memory, 1 << 30);
    let block = config.privacy.block.unwrap();
    assert_eq!(block, ["xai"], "a list stands in place of a list");
    assert_eq!(config.privacy.enforce_zdr, Some(true));
    let groq = config.catalog.endpoints().iter();
    assert!(
        groq.filter(|e| e.provider.as_str() == "groq")
            .all(|e| e.tier == catalog::Tier::Free),
        "a provider's variables add to what is known of it"
    );
}

#[test]
fn what_is_wrong_is_placed_in_the_layer_that_has_it() {
    let file = "\n[limits]\ndepth = 1";
    let says = |file: &str, variables: &[(&str, &str)], arguments: &str, place: &str| {
        let error = load(file, variables, arguments).unwrap_err();
        assert!(error.starts_with(place), "{place}: {error}");
    };
    says(file, &[], "", "any.toml, line 3: limits.depth: must be");
    let variable = [("ANYROUTER_LIMITS_DEPTH", "2")];
    says(
        file,
        &variable,
        "",
        "ANYROUTER_LIMITS_DEPTH: limits.depth: ",
    );
    let argument = "limits = { depth = 3 }";
    says(
        file,
        &variable,
        argument,
        "the command line: limits.depth: ",
    );
    says("\n\nlisten = 5", &[], "", "any.toml, line 3: listen: ");
    says(
        "[limits]\nx = 5",
        &[],
        "",
        "any.toml, line 2: x: unknown field",
    );
    let text = [("ANYROUTER_LIMITS_DEPTH", "a secret")];
    says("", &text, "", "ANYROUTER_LIMITS_DEPTH: it must be a whole");
    assert!(load(file, &[("ANYROUTER_LIMITS_DEPTH", "9")], "").is_ok());
    let culprit = [
        ("ANYROUTER_LIMITS_DEPTH", "9"),
        ("ANYROUTER_LIMITS_ATTEMPTS", "x"),
    ];
    let overridden = "[limits]\ndepth = \"x\"";
    says(overridden, &culprit, "", "ANYROUTER_LIMITS_ATTEMPTS: ");
    let section = "[log]\nlevel = \"warn\"\n";
    says(
        &format!("limits = 5\n{section}"),
        &variable,
        "",
        "any.toml, line 1: limits: ",
    );
    let rules = "[redact]\nrules = []\n[privacy]\nredaction_rules = [{}]";
    says(
        rules,
        &[],
        "",
        "any.toml, line 4: privacy.redaction_rules: ",
    );
    let address = [("ANYROUTER_PROVIDER_GROQ_BASE_URL", "foo")];
    says("", &address, "", "the environment (ANYROUTER_PROVIDER_…): ");
    says(
        "",
        &[("ANYROUTER_TLS_CERT", "x")],
        "",
        "ANYROUTER_TLS_…: tls: ",
    );
    says("", &[("ANYROUTER_LISTEN", "x")], "", "ANYROUTER_LISTEN: ");
}

#[test]
fn what_was_expected_is_said_in_words_that_are_not_rusts() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code)] // read for its errors
    struct Settings {
        on: bool,
        count: u32,
        names: Vec<String>,
        inner: BTreeMap<String, f64>,
    }
    for (settings, expected) in [
        ("on = 5", "it must be true or false"),
        (
            "on = true\ncount = \"secret\"",
            "it must be a whole number, 0 or above",
        ),
        (
            "on = true\ncount = -1",
            "it must be a whole number, 0 or above",
        ),
        ("on = true\ncount = 1\nnames = 7", "it must be a list"),
        ("on = true\ncount = 1\nnames = [7]", "it must be a string"),
        (
            "on = true\ncount = 1\nnames = []\ninner = 3",
            "it must be an object",
        ),
        (
            "on = true\ncount = 1\nnames = []\ninner = { a = \"x\" }",
            "it must be a number",
        ),
    ] {
        let error = toml::from_str::<Settings>(settings)
            .map(|_| ())
            .unwrap_err();
        assert_eq!(without_values(error.message()), expected, "{settings}");
    }
}
