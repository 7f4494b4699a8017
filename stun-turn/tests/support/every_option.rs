//! Every option of a program, taken from its own description, with what operators get wrong: empty,
//! doubled, in another encoding, huge, of another type, unreadable. Each is taken, or refused with the
//! option's name; nothing panics, and no refusal has a secret or is long.
//!
//! Shared by the tests of both programs.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use clap::{Arg, ArgAction, Command};
use stun_turn::settings::Names;

/// What no refusal may have.
const SECRET: &str = "s3cr3t-of-the-operator";
/// The longest refusal, in bytes: what an operator reads.
const LONGEST: usize = 4096;

/// What a program makes of arguments, variables and the text of its file.
pub(crate) type Load<'l> =
    &'l dyn Fn(Vec<OsString>, Vec<(OsString, OsString)>, &str) -> Result<(), String>;

/// Tries all of them.
pub(crate) fn check(command: &Command, names: Names, load: Load<'_>) {
    let mut tried = 0;
    for arg in command.get_arguments() {
        let name = arg.get_long().unwrap_or_default();
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let is_source = ["config", "help", "version"].contains(&name);
        if name.is_empty() || is_source || name.ends_with("-config") {
            continue;
        }
        let option = Option {
            arg,
            name,
            variable: format!("{}_{}", names.prefix, name.replace('-', "_").to_uppercase()),
            is_secret: names.secrets.iter().any(|secret| name.ends_with(secret)),
            load,
        };
        match takes_value {
            true => option.check_value(),
            false => option.check_switch(),
        }
        if option.is_secret {
            option.check_file();
        }
        tried += 1;
    }
    assert!(tried > 20, "only {tried} options");
}

struct Option<'o> {
    arg: &'o Arg,
    name: &'o str,
    variable: String,
    is_secret: bool,
    load: Load<'o>,
}

impl Option<'_> {
    fn by_line(&self, values: &[&str]) -> Result<(), String> {
        let argument = |value: &&str| format!("--{}={value}", self.name).into();
        (self.load)(values.iter().map(argument).collect(), Vec::new(), "")
    }

    fn by_variable(&self, value: OsString) -> Result<(), String> {
        let variables = vec![(OsString::from(&self.variable), value)];
        (self.load)(Vec::new(), variables, "")
    }

    fn by_file(&self, value: &str) -> Result<(), String> {
        (self.load)(
            Vec::new(),
            Vec::new(),
            &format!("{} = {value}\n", self.name),
        )
    }

    /// Taken, or refused by name and without a secret.
    fn judge(&self, what: &str, result: Result<(), String>) {
        let Err(refusal) = result else { return };
        let name = self.name;
        assert!(
            refusal.contains(name) || refusal.contains(&self.variable),
            "--{name}, {what}: {refusal}"
        );
        assert!(!refusal.contains(SECRET), "--{name}, {what}: {refusal}");
        assert!(
            refusal.len() < LONGEST,
            "--{name}, {what}: {} bytes",
            refusal.len()
        );
    }

    fn check_value(&self) {
        let huge = "9".repeat(1 << 17);
        let strange = "\u{2603}\u{202e} \u{a0}=\u{1}";
        let own = if self.is_secret { SECRET } else { strange };
        for value in ["", " ", own, &huge] {
            self.judge("line", self.by_line(&[value]));
            self.judge("variable", self.by_variable(value.into()));
            let quoted = serde_like(value);
            self.judge("file", self.by_file(&quoted));
            self.judge("file, list", self.by_file(&format!("[{quoted}, {quoted}]")));
            let twice = self.by_line(&[value, value]);
            if !matches!(self.arg.get_action(), ArgAction::Append) {
                assert!(twice.is_err(), "--{} twice", self.name);
            }
            self.judge("twice", twice);
        }
        assert_eq!(
            self.by_variable(OsString::new()),
            Ok(()),
            "an empty variable is unset"
        );
        // "Zoë" in Latin-1.
        let latin = self.by_variable(OsString::from_vec(b"Zo\xEB".to_vec()));
        assert!(latin.unwrap_err().contains(&self.variable));
        for value in [
            "true",
            "1.5",
            "1979-05-27",
            "[]",
            "[[1]]",
            "{}",
            "{ a = 1 }",
        ] {
            self.judge(value, self.by_file(value));
        }
    }

    fn check_switch(&self) {
        for value in ["", "0", "1", "yes", "no", "maybe", "\u{2603}"] {
            self.judge(value, self.by_variable(value.into()));
        }
        for value in ["true", "false", "3", "\"maybe\"", "[]", "[true]"] {
            self.judge(value, self.by_file(value));
        }
        self.judge(
            "twice",
            (self.load)(vec![format!("--{}", self.name).into(); 2], Vec::new(), ""),
        );
    }

    /// The companion that reads the value from a file.
    fn check_file(&self) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let path = path.to_str().unwrap();
        let file = format!("--{}-file={path}", self.name);
        let load = || (self.load)(vec![file.clone().into()], Vec::new(), "");
        let refused = |what: &str| {
            let refusal = load().expect_err(what);
            assert!(
                refusal.contains(&format!("--{}-file", self.name)),
                "{what}: {refusal}"
            );
            assert!(!refusal.contains(SECRET), "{what}: {refusal}");
        };
        refused("missing");
        std::fs::create_dir(path).unwrap();
        refused("a folder");
        std::fs::remove_dir(path).unwrap();
        for bytes in [&b""[..], b"\n", b"\r\n\n", b"\xFF\xFEs\0", b"Zo\xEB"] {
            std::fs::write(path, bytes).unwrap();
            refused("nothing, or another encoding");
        }
        std::fs::write(path, format!("{SECRET}\n")).unwrap();
        self.judge("secret of a file", load());
    }
}

/// A text as TOML writes it.
fn serde_like(text: &str) -> String {
    stun_turn::settings::Value::from(text).to_string()
}
