use super::*;

fn parse_words(words: &[&str]) -> Outcome {
    let args = std::iter::once("debugop").chain(words.iter().copied());
    // The text must not depend on the terminal that the tests run in.
    let command = Arguments::command().term_width(100);
    parse_for(command, args.map(OsString::from), false)
}

fn run(words: &[&str]) -> RunOptions {
    let words: Vec<&str> = std::iter::once("run")
        .chain(words.iter().copied())
        .collect();
    match parse_words(&words) {
        Outcome::Command(Command::Run(options)) => *options,
        other => panic!("{words:?} gave {other:?}"),
    }
}

/// The printed text, after checking where it goes and the exit status.
fn printed(words: &[&str], expected_status: u8) -> String {
    match parse_words(words) {
        Outcome::Print {
            text,
            to_stderr,
            status,
        } => {
            assert_eq!(status, expected_status);
            assert_eq!(to_stderr, status != 0);
            text
        }
        other => panic!("{words:?} gave {other:?}"),
    }
}

#[test]
fn everything_after_the_program_is_the_programs() {
    let check = |words: &[&str], target: Target, args: &[&str]| {
        let program = run(words).program;
        assert_eq!(program.target, target, "{words:?}");
        assert_eq!(program.args, args, "{words:?}");
    };
    let script = |path: &str| Target::Script(path.into());
    let module = |name: &str| Target::Module(name.into());
    let code = |text: &str| Target::Command(text.into());

    check(&["a.py"], script("a.py"), &[]);
    check(
        &["a.py", "--help", "-o", "x"],
        script("a.py"),
        &["--help", "-o", "x"],
    );
    check(&["a.py", "--", "-m"], script("a.py"), &["--", "-m"]);
    check(
        &["-m", "json.tool", "--help"],
        module("json.tool"),
        &["--help"],
    );
    check(&["-mjson.tool", "-"], module("json.tool"), &["-"]);
    check(
        &["-c", "print(1)", "-m", "x"],
        code("print(1)"),
        &["-m", "x"],
    );
    check(&["-cprint(1)"], code("print(1)"), &[]);
    check(&["-c", "--help"], code("--help"), &[]);
    check(&["-c", ""], code(""), &[]);
    check(&["-", "a"], Target::Stdin, &["a"]);
    check(
        &["--", "-odd.py", "--limit"],
        script("-odd.py"),
        &["--limit"],
    );
    check(&["run"], script("run"), &[]);
}

#[test]
fn options_stand_before_the_program() {
    let options = run(&[
        "--function",
        "lol",
        "-f",
        "Parser.*",
        "--include=json",
        "--exclude",
        "json.encoder",
        "--depth",
        "3",
        "--limit",
        "1000",
        "--format",
        "jsonl",
        "-oout.jsonl",
        "--color=never",
        "a.py",
        "--limit",
        "1",
    ]);
    let texts = |patterns: &[Pattern]| -> Vec<String> {
        patterns
            .iter()
            .map(|pattern| pattern.as_str().to_owned())
            .collect()
    };
    assert_eq!(texts(&options.functions), ["lol", "Parser.*"]);
    assert_eq!(texts(&options.filters.include), ["json"]);
    assert_eq!(texts(&options.filters.exclude), ["json.encoder"]);
    assert_eq!(options.depth, Some(3));
    assert_eq!(options.limit, Some(1000));
    assert_eq!(options.format, Format::Jsonl);
    let path = options.output.map(|output| output.path);
    assert_eq!(path, Some("out.jsonl".into()));
    assert_eq!(options.color, Color::Never);
    assert_eq!(options.program.target, Target::Script("a.py".into()));
    assert_eq!(options.program.args, ["--limit", "1"]);
}

#[test]
fn an_option_may_have_a_program_like_value() {
    let options = run(&["-o", "-", "--include", "a.py", "-m", "b"]);
    let path = options.output.map(|output| output.path);
    assert_eq!(path, Some("-".into()));
    assert_eq!(options.program.target, Target::Module("b".into()));
}

#[test]
fn help_teaches() {
    insta::assert_snapshot!("help", printed(&["--help"], 0));
    insta::assert_snapshot!("help_run", printed(&["run", "-h"], 0));
    insta::assert_snapshot!("help_run_long", printed(&["run", "--help"], 0));
    insta::assert_snapshot!("help_info", printed(&["info", "--help"], 0));
    insta::assert_snapshot!("help_pack", printed(&["pack", "--help"], 0));
    insta::assert_snapshot!("help_completions", printed(&["completions", "--help"], 0));
}

#[test]
fn version() {
    assert_eq!(
        printed(&["--version"], 0),
        format!("debugop {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn errors_suggest_what_was_meant() {
    let error = |words: &[&str]| printed(words, 2);
    insta::assert_snapshot!("error_no_program", error(&["run"]));
    insta::assert_snapshot!("error_options_only", error(&["run", "--limit", "5"]));
    insta::assert_snapshot!("error_no_module", error(&["run", "-m"]));
    insta::assert_snapshot!("error_no_code", error(&["run", "-c"]));
    insta::assert_snapshot!(
        "error_misspelt",
        error(&["run", "--formt", "jsonl", "a.py"])
    );
    insta::assert_snapshot!("error_format", error(&["run", "--format", "json", "a.py"]));
    insta::assert_snapshot!("error_limit", error(&["run", "--limit", "0", "a.py"]));
    insta::assert_snapshot!(
        "error_step",
        error(&["query", "writes", "a.debugop", "self.total"])
    );
    insta::assert_snapshot!("error_glob", error(&["run", "--include", "[a", "a.py"]));
    insta::assert_snapshot!("error_forgot_run", error(&["script.py", "x"]));
    insta::assert_snapshot!("error_forgot_run_module", error(&["-m", "json.tool"]));
    insta::assert_snapshot!("error_command", error(&["rum", "script.py"]));
    insta::assert_snapshot!("error_shell", error(&["completions", "tcsh"]));
}

#[test]
fn completions_know_the_options() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell], 0);
        assert!(script.contains("include"), "{shell}");
    }
}

proptest::proptest! {
    #[test]
    fn any_words_are_answered(words in proptest::collection::vec("[-a-zé= \\[]{0,6}", 0..6)) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        parse_words(&words);
        let run: Vec<&str> = std::iter::once("run").chain(words).collect();
        parse_words(&run);
    }
}

mod recordings {
    use std::path::Path;

    use debugop_recording::file::{Header, Options, Summary, Writer};

    use super::*;

    fn answer(words: &[&str]) -> Answer {
        match parse_words(words) {
            Outcome::Command(Command::Info(options)) => options.answer(),
            Outcome::Command(Command::Pack(options)) => options.answer(|_, _| {}),
            other => panic!("{words:?} gave {other:?}"),
        }
    }

    fn record(path: &Path) -> Writer {
        let header = Header {
            debugop: "0.1.0".into(),
            platform: "Linux".into(),
            command: vec!["python".into(), "a\x1b[31m.py".into()],
            directory: "/home".into(),
            pid: 7,
            ..Header::default()
        };
        let mut writer = Writer::create(path, &header, &Options::default()).expect("created");
        writer.try_next(0).expect("no failure");
        let slot = writer.slot().expect("just made");
        slot.bytes_mut()[..3000].fill(7);
        slot.commit(3000);
        writer
    }

    #[test]
    fn what_a_recording_is_of_is_shown_and_it_is_packed_in_place() {
        let name = format!("debugop-cli-{}.debugop", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = path.to_str().expect("UTF-8");
        let summary = Summary {
            duration: 1_500_000_000,
            steps: Some(1234),
            exit_status: Some(1),
            ..Summary::default()
        };
        record(&path).finish(&summary).expect("finished");
        let Answer { text, status, .. } = answer(&["info", file]);
        assert_eq!(status, 0, "{text}");
        let wanted = [
            "command       python a\\x1b[31m.py\n",
            "ended         after 1.500 s, exit status 1\n",
            "steps         1,234\n",
            "started       1970-01-01 00:00:00 UTC\n",
        ];
        for wanted in wanted {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        let json = answer(&["info", "--json", file]).text;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["steps"], 1234);
        assert_eq!(json["stream"]["bytes"], 3000);
        assert_eq!(json["header"]["pid"], 7);

        let packed = answer(&["pack", file]);
        assert_eq!(packed.status, 0, "{packed:?}");
        assert_eq!(answer(&["info", file]).status, 0);

        let other = format!("{file}.recovered");
        let recovered = answer(&["info", file, "--recover", &other]);
        assert!(
            recovered
                .text
                .contains("1 chunk recovered, 1 of them of the stream"),
            "{recovered:?}"
        );
        for path in [file, &other] {
            std::fs::remove_file(path).expect("there");
        }
    }

    #[test]
    fn what_is_wrong_with_a_recording_is_said() {
        let name = format!("debugop-cli-{}.wrong", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = path.to_str().expect("UTF-8");
        let refused = |words: &[&str], wanted: &str| {
            let answer = answer(words);
            assert_eq!((answer.to_stderr, answer.status), (true, 1));
            assert!(answer.text.contains(wanted), "{}", answer.text);
        };
        refused(&["info", file], "cannot open the recording: No such file");
        std::fs::write(&path, "no").expect("written");
        refused(&["info", file], "not a debugop recording");
        refused(&["pack", file], "not a debugop recording");
        drop(record(&path));
        refused(&["pack", file], "still being written");
        std::fs::remove_file(format!("{file}.tail")).expect("there");
        refused(&["info", file], "--recover OUT");
        std::fs::remove_file(&path).expect("there");
    }
}

#[test]
fn the_debugger_has_commands_of_its_own() {
    let check = |words: &[&str], commands: &[&str], target: Target, args: &[&str]| {
        let words: Vec<&str> = std::iter::once("debug")
            .chain(words.iter().copied())
            .collect();
        let Outcome::Command(Command::Debug(options)) = parse_words(&words) else {
            panic!("{words:?} is no command");
        };
        assert_eq!(options.commands, commands, "{words:?}");
        let Subject::Program(program) = options.subject else {
            panic!("{words:?} is no program");
        };
        assert_eq!(program.target, target, "{words:?}");
        assert_eq!(program.args, args, "{words:?}");
    };
    let script = || Target::Script("a.py".into());
    check(&["a.py", "-c", "x"], &[], script(), &["-c", "x"]);
    check(&["-c", "b 3", "-cc", "a.py"], &["b 3", "c"], script(), &[]);
    check(
        &["--command", "until 9", "-m", "json.tool", "-m"],
        &["until 9"],
        Target::Module("json.tool".into()),
        &["-m"],
    );
    check(&["--", "a.py"], &[], script(), &[]);
    let history = |words: &[&str]| {
        let Outcome::Command(Command::Debug(options)) = parse_words(words) else {
            panic!("{words:?} is no command");
        };
        let Subject::Program(program) = options.subject else {
            panic!("{words:?} is no program");
        };
        assert_eq!(program.target, script(), "{words:?}");
        options.history
    };
    assert_eq!(history(&["debug", "a.py"]), None);
    assert_eq!(history(&["debug", "--history", "a.py"]), Some(64 << 20));
    assert_eq!(
        history(&["debug", "--history", "8MiB", "a.py"]),
        Some(8 << 20)
    );
    assert_eq!(
        history(&["debug", "--history=2G", "-c", "x", "a.py"]),
        Some(2 << 30)
    );
    assert!(printed(&["debug", "--history=3", "a.py"], 2).contains("a size of at least 1M"));
    assert!(printed(&["debug", "--history", "a.debugop"], 2).contains("all history"));
    assert!(printed(&["debug", "-c", "c"], 2).contains("nothing to debug"));
    assert!(printed(&["debug", "-"], 2).contains("stdin is for the debugger"));
}

#[test]
fn the_debugger_opens_recordings() {
    let Outcome::Command(Command::Debug(options)) =
        parse_words(&["debug", "-c", "rc", "a.debugop"])
    else {
        panic!("this is no command");
    };
    let path = "a.debugop".into();
    let at_failure = false;
    assert_eq!(options.subject, Subject::Recording { path, at_failure });
    assert!(printed(&["debug", "a.debugop", "x"], 2).contains("a recording takes no arguments"));
    assert!(printed(&["debug", "--last", "a.py"], 2).contains("no program to name"));
    assert!(printed(&["debug", "--last"], 2).contains("no recording"));
}
