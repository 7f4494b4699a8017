//! Precedence, both spellings of keys, the words of a refusal, prefixes.

use std::io::Write as _;

use clap::{Args as _, CommandFactory as _, Parser};

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    inner: Inner,
    #[command(flatten)]
    sources: Sources,
}

#[derive(Debug, clap::Args)]
struct Inner {
    /// A number
    #[arg(long, default_value_t = 7)]
    max_room: u16,
    /// Several
    #[arg(long)]
    auth_secret: Vec<String>,
    /// A text
    #[arg(long)]
    name: Option<String>,
    /// A switch
    #[arg(long)]
    lan: bool,
    /// One secret
    #[arg(long)]
    token: Option<String>,
}

const NAMES: Names = Names {
    prefix: "PROG",
    secrets: &["auth-secret", "token"],
};

/// Loads with a file's text, environment variables and arguments.
fn load(file: &str, env: &[(&str, &str)], argv: &[&str]) -> Result<Settings, Error> {
    load_command(Cli::command(), file, env, argv)
}

fn load_command(
    command: Command,
    file: &str,
    env: &[(&str, &str)],
    argv: &[&str],
) -> Result<Settings, Error> {
    let mut on_disk = tempfile::NamedTempFile::new().unwrap();
    on_disk.write_all(file.as_bytes()).unwrap();
    let config = format!("--config={}", on_disk.path().display());
    let argv = ["prog", &config].into_iter().chain(argv.iter().copied());
    let env = env.iter().map(|(name, value)| (name.into(), value.into()));
    Settings::load(command, NAMES, argv.map(Into::into), env)
}

fn inner(settings: Settings) -> Inner {
    Cli::from_arg_matches(&settings.matches).unwrap().inner
}

#[test]
fn command_line_beats_environment_beats_file_beats_default() {
    let file = "max-room = 1\nauth-secret = [\"f1\", \"f2\"]\nlan = true";
    let env = [("PROG_MAX_ROOM", "2"), ("PROG_AUTH_SECRET", "e1\ne2")];
    let of = |file: &str, env: &[_], argv: &[&str]| inner(load(file, env, argv).unwrap());
    assert_eq!(of("", &[], &[]).max_room, 7);
    let from_file = of(file, &[], &[]);
    assert_eq!((from_file.max_room, from_file.lan), (1, true));
    assert_eq!(from_file.auth_secret, ["f1", "f2"]);
    let from_env = of(file, &env, &[]);
    assert_eq!(from_env.max_room, 2);
    assert_eq!(
        from_env.auth_secret,
        ["e1", "e2"],
        "layers replace each other, they don't add up"
    );
    let from_line = of(file, &env, &["--max-room", "3", "--auth-secret", "a"]);
    assert_eq!(
        (from_line.max_room, from_line.auth_secret),
        (3, vec!["a".to_owned()])
    );
}

/// A secret of several words was taken for several secrets of one word each.
#[test]
fn a_variable_is_one_value_a_line_byte_for_byte() {
    let secrets = |value: &str| {
        let env = [("PROG_AUTH_SECRET", value)];
        inner(load("", &env, &[]).unwrap()).auth_secret
    };
    assert_eq!(secrets("a long random text"), ["a long random text"]);
    assert_eq!(
        secrets(" \tone\u{a0}\r \n\n-two=\"x\"\n"),
        [" \tone\u{a0}\r ", "-two=\"x\""]
    );
    let name = |value| inner(load("", &[("PROG_NAME", value)], &[]).unwrap()).name;
    for value in [" two words ", "two\nlines\n", "--lan", "'quoted'"] {
        assert_eq!(name(value).as_deref(), Some(value));
    }
}

/// What containers set from variables that are not set.
#[test]
fn an_empty_variable_is_as_good_as_none() {
    let names = ["MAX_ROOM", "AUTH_SECRET", "NAME", "LAN"].map(|name| format!("PROG_{name}"));
    let env: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let file = "max-room = 1\nauth-secret = [\"f\"]\nname = \"n\"\nlan = true";
    let from_file = inner(load(file, &env, &[]).unwrap());
    assert_eq!((from_file.max_room, from_file.lan), (1, true));
    assert_eq!(from_file.auth_secret, ["f"]);
    assert_eq!(from_file.name.as_deref(), Some("n"));
    let empty = [(OsString::from("PROG_CONFIG"), OsString::new())];
    let argv = ["prog".into()];
    let without_file = Settings::load(Cli::command(), NAMES, argv, empty).unwrap();
    assert_eq!(inner(without_file).max_room, 7, "nor a file of no name");
}

#[test]
fn keys_are_taken_with_dashes_and_underscores() {
    assert_eq!(inner(load("max_room = 4", &[], &[]).unwrap()).max_room, 4);
    assert_eq!(inner(load("maxroom = 5", &[], &[]).unwrap()).max_room, 5);
}

#[test]
fn a_bad_value_is_named_wherever_it_stood() {
    let message = |file, env: &[_]| match load(file, env, &[]).unwrap_err() {
        Error::Usage(error) => {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        }
        Error::File(..) => panic!("the file is there"),
    };
    for text in [
        message("max-room = \"many\"", &[]),
        message("", &[("PROG_MAX_ROOM", "many")]),
    ] {
        assert!(
            text.contains("--max-room") && text.contains("many"),
            "{text}"
        );
    }
    assert!(message("max-rooom = 3", &[]).contains("unknown key `max-rooom`"));
    assert!(message("max-room =", &[]).contains("not TOML"));
    assert!(message("max-room = 1\nmax_room = 2", &[]).contains("twice"));
}

#[test]
fn a_missing_file_is_no_usage_error() {
    let argv = ["prog", "--config", "no/such/file.toml"].map(OsString::from);
    let error = Settings::load(Cli::command(), NAMES, argv, []).unwrap_err();
    assert!(matches!(error, Error::File(_, path, _) if path.ends_with("file.toml")));
}

#[test]
fn what_is_printed_can_be_loaded_again_and_hides_secrets() {
    let settings = load(
        "max-room = 9",
        &[],
        &["--auth-secret", "hush", "--lan", "--name", "007"],
    )
    .unwrap();
    let knowledge = Knowledge {
        secrets: &["auth-secret"],
        computed: vec![("name".to_owned(), "given beats computed".into())],
        example: &|_| None,
    };
    let text = settings.to_toml(&knowledge);
    assert!(!text.contains("hush"), "{text}");
    assert!(text.contains("# auth-secret is set"), "{text}");
    let again = inner(load(&text, &[], &[]).unwrap());
    assert!(
        again.auth_secret.is_empty(),
        "no placeholder becomes a secret"
    );
    assert_eq!(
        (again.max_room, again.lan, again.name.as_deref()),
        (9, true, Some("007"))
    );
}

#[test]
fn an_example_has_every_option_under_its_heading() {
    let knowledge = Knowledge {
        secrets: &[],
        computed: Vec::new(),
        example: &|name| match name {
            "auth-secret" => Some("[\"s\"]"),
            "name" => Some("\"n\""),
            _ => None,
        },
    };
    let text = example(&Cli::command(), &knowledge);
    for lines in [
        "\n##### General\n\n# A number\n#max-room = 7\n",
        "\n# Several\n#auth-secret = [\"s\"]\n",
        "\n# A switch\n#lan = false\n",
    ] {
        assert!(text.contains(lines), "{lines} in {text}");
    }
    assert!(!text.contains("print-config ="), "{text}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused_by_its_name() {
    use std::os::unix::ffi::OsStringExt as _;
    let load = |wrong: &'static str| {
        let env = [(OsString::from(wrong), OsString::from_vec(vec![0xFF]))];
        Settings::load(Cli::command(), NAMES, ["prog".into()], env)
    };
    let error = load("PROG_NAME").unwrap_err().to_string();
    assert!(
        error.contains("PROG_NAME") && error.contains("UTF-8"),
        "{error}"
    );
    assert!(
        load("PROG_OTHER").is_ok(),
        "variables of others are not our business"
    );
}

#[test]
fn options_of_another_program_under_a_prefix_and_in_a_table() {
    let command =
        || Sources::augment_args(Command::new("outer")).args(prefixed::<Inner>("turn", "Relay"));
    let file = "[turn]\nmax-room = 3\nlan = true";
    let settings = load_command(command(), file, &[("PROG_TURN_AUTH_SECRET", "e")], &[]).unwrap();
    let inner: Inner = extract("turn", &settings.matches).unwrap();
    assert_eq!(
        (inner.max_room, inner.lan, inner.auth_secret),
        (3, true, vec!["e".to_owned()])
    );
    let settings = load_command(command(), "[turn.max]\nroom = 4", &[], &[]).unwrap();
    let inner: Inner = extract("turn", &settings.matches).unwrap();
    assert_eq!(inner.max_room, 4, "tables in tables");
    let error = load_command(command(), "", &[], &["--turn-max-room=x"]).unwrap_err();
    assert!(matches!(error, Error::Usage(error) if error.to_string().contains("--turn-max-room")));
}

/// Secrets of containers and of systemd are files, as a rule with a newline at the end.
#[test]
fn secrets_are_read_from_files_in_every_layer() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let one = write("one", b"s3cret \n");
    let two = write("two", "\u{feff}a\r\n\n-b=c\n".as_bytes());
    let token = |settings| inner(settings).token;
    let flag = format!("--token-file={one}");
    let env = [("PROG_TOKEN_FILE", one.as_str())];
    let file = format!("token-file = {one:?}\nauth_secret_file = [{one:?}, {two:?}]");
    assert_eq!(token(load("", &[], &[&flag]).unwrap()).unwrap(), "s3cret ");
    assert_eq!(token(load("", &env, &[]).unwrap()).unwrap(), "s3cret ");
    let settings = load(&file, &[], &[]).unwrap();
    assert_eq!(settings.warnings, [""; 0]);
    let inner_of_file = inner(settings);
    assert_eq!(inner_of_file.token.unwrap(), "s3cret ");
    assert_eq!(inner_of_file.auth_secret, ["s3cret ", "a", "-b=c"]);
    // The two forms are one option: a layer replaces both.
    let plain = load(&file, &[("PROG_TOKEN", "plain")], &[]).unwrap();
    assert_eq!(token(plain).unwrap(), "plain");
    let line = load(&file, &env, &["--token", "line"]).unwrap();
    assert_eq!(token(line).unwrap(), "line");
    let printed = load(&file, &[], &[]).unwrap();
    let knowledge = Knowledge {
        secrets: NAMES.secrets,
        computed: Vec::new(),
        example: &|_| None,
    };
    let printed = printed.to_toml(&knowledge);
    assert!(
        printed.contains("token-file = ") && !printed.contains("s3cret"),
        "{printed}"
    );
    let again = inner(load(&printed, &[], &[]).unwrap());
    assert_eq!(again.auth_secret, ["s3cret ", "a", "-b=c"]);
}

#[test]
fn files_of_secrets_that_are_of_no_use_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let in_file = |bytes: &[u8], argv: &[&str]| {
        let path = directory.path().join("secret");
        std::fs::write(&path, bytes).unwrap();
        let flag = format!("--token-file={}", path.display());
        let argv = [&[flag.as_str()], argv].concat();
        load("", &[], &argv).unwrap_err().to_string()
    };
    for (bytes, words) in [
        (&b""[..], "empty"),
        (b"\n", "empty"),
        (b"\r\n", "empty"),
        (b"s3cret\xFF", "UTF-8"),
    ] {
        let error = in_file(bytes, &[]);
        assert!(
            error.contains("--token-file") && error.contains(words),
            "{error}"
        );
        assert!(!error.contains("s3cret"), "{error}");
    }
    let error = in_file(b"s3cret", &["--token=other"]);
    assert!(error.contains("--token and --token-file"), "{error}");
    let error = load("", &[], &["--token-file", "/dev/zero"]).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
    let missing = load("", &[], &["--token-file", "/no/such"]).unwrap_err();
    assert!(matches!(missing, Error::File(option, ..) if option == "--token-file"));
}

#[test]
fn a_secret_that_ends_with_a_newline_is_told() {
    let warnings = |file: &str, env: &[_]| load(file, env, &[]).unwrap().warnings;
    for file in [
        "token = \"\"\"\ns3cret\n\"\"\"",
        "auth-secret = [\"s3cret\\n\"]",
    ] {
        let told = warnings(file, &[]);
        assert_eq!(told.len(), 1, "{file}");
        assert!(
            told[0].contains("newline") && !told[0].contains("s3cret"),
            "{told:?}"
        );
    }
    assert_eq!(warnings("", &[("PROG_TOKEN", "s3cret\n")]).len(), 1);
    assert!(warnings("name = \"x\\n\"", &[("PROG_AUTH_SECRET", "s\n")]).is_empty());
}

#[test]
fn refusals_of_the_command_line_hide_secrets_and_explain_dashes() {
    let refused = |argv: &[&str]| load("", &[], argv).unwrap_err().to_string();
    for argv in [
        &["--auth-secret", "-Abc"][..],
        &["--auth-secret", "--Abc"],
        &["--token", "-Abc"],
    ] {
        let error = refused(argv);
        assert!(error.contains(&format!("{}=VALUE", argv[0])), "{error}");
        assert!(!error.contains("Abc") && !error.contains("-A"), "{error}");
    }
    assert!(refused(&["--token", "--lan"]).contains("--token"));
    assert!(
        refused(&["--max-room", "x"]).contains("'x'"),
        "others are shown"
    );
    let mut command = Cli::command();
    command = command.mut_arg("token", |arg| {
        arg.value_parser(|text: &str| match text.len() {
            0..4 => Err("expected four bytes"),
            _ => Ok(text.to_owned()),
        })
    });
    let error = load_command(command, "", &[], &["--token", "abc"]).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("--token") && error.contains("four bytes"),
        "{error}"
    );
    assert!(!error.contains("abc"), "{error}");
}

#[test]
fn names_that_are_nearly_right_or_coturn_s_have_a_hint() {
    let error = |file: &str| load(file, &[], &[]).unwrap_err().to_string();
    assert!(error("max-rom = 3").contains("did you mean `max-room`?"));
    assert!(error("static-auth-secret = \"x\"").contains("`auth-secret`"));
    let conf = "listening-port=3478\nuse-auth-secret\nstatic-auth-secret=hush\n";
    let told = error(conf);
    assert!(
        told.contains("turnserver.conf") && told.contains("from-coturn.md"),
        "{told}"
    );
    assert!(!told.contains("hush"), "{told}");
    let env = [
        ("PROG_AUTH_SECERT", "hush"),
        ("PROG_SERVICE_HOST", "10.0.0.1"),
        ("PROG_NAME", ""),
    ];
    let told = load("", &env, &[]).unwrap().warnings;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("did you mean PROG_AUTH_SECRET?"),
        "{told:?}"
    );
    assert!(!told[0].contains("hush"), "{told:?}");
}
