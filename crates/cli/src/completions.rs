//! `debugop completions`: a script that teaches a shell debugop's options.

use clap::Args;
use clap_complete::Shell;

/// Print a script that completes debugop's commands and options in a shell.
#[derive(Debug, Args)]
#[command(name = "completions", after_help = EXAMPLES, disable_version_flag = true)]
pub(crate) struct CompletionsArguments {
    /// The shell to write for
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  debugop completions bash > ~/.local/share/bash-completion/completions/debugop
  debugop completions fish > ~/.config/fish/completions/debugop.fish
  debugop completions zsh > ~/.zfunc/_debugop     (a directory in $fpath)";

impl CompletionsArguments {
    pub(crate) fn script(&self, command: &mut clap::Command) -> String {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "debugop", &mut script);
        String::from_utf8_lossy(&script).into_owned()
    }
}
